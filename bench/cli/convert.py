"""``bench convert``: a foreign checkpoint as safetensors, read without executing it."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  bench convert ffhq.pkl ffhq.safetensors
  bench convert checkpoint/550000.pt church.safetensors
  bench convert --method stargan stargan_celeba_128/models stargan.safetensors
"""
)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--method", help="SOURCE is a checkpoint of this method's reference implementation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: Path, target: Path, method: str | None, as_json: bool) -> None:
    """Write a foreign checkpoint as safetensors.

    Without --method, SOURCE is a StyleGAN2 checkpoint and its generator is written to TARGET:
    NVIDIA's network pickles and rosinality's .pt files are understood. With it, SOURCE is a file or
    folder of the method's reference implementation, and TARGET is for `bench run --checkpoint`.
    Nothing in the files is executed; one that asks for code is refused. Prints what was found.
    """
    from dataclasses import asdict

    from bench.checkpoints import convert
    from bench.checkpoints.states import convert_states

    report = convert_states(method, source, target) if method else convert(source, target)
    click.echo(json.dumps(asdict(report), indent=2, default=str) if as_json else str(report))
