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
"""
)
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: Path, target: Path, as_json: bool) -> None:
    """Write a foreign StyleGAN2 checkpoint as safetensors.

    Reads SOURCE and writes its generator to TARGET. NVIDIA's network pickles and rosinality's .pt
    files are understood. Nothing in the file is executed; one that asks for code is refused. Prints
    what was found.
    """
    from dataclasses import asdict

    from bench.checkpoints import convert

    report = convert(source, target)
    click.echo(json.dumps(asdict(report), indent=2, default=str) if as_json else str(report))
