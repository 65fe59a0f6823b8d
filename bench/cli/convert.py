"""``bench convert``: a foreign checkpoint as safetensors, read without executing it."""

from __future__ import annotations

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
def command(source: Path, target: Path) -> None:
    """Write a foreign StyleGAN2 checkpoint as safetensors.

    Reads SOURCE and writes its generator to TARGET. NVIDIA's network pickles and rosinality's .pt
    files are understood. Nothing in the file is executed; one that asks for code is refused. Prints
    what was found.
    """
    from bench.checkpoints import convert

    click.echo(str(convert(source, target)))
