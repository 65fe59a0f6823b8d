"""``bench score attributes``: what a predictor reads off images, as a table to be scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.score_options import batch_size_option, device_option, size_options


@click.command(
    epilog="""\b
Examples:
  bench score attributes edits --predictor celeba-synth > predicted.csv
  bench score attributes samples --predictor fashion-mnist --classes > predicted.csv
"""
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--predictor",
    required=True,
    help="A name of `bench list predictors`, or a file that `bench train-predictor` wrote.",
)
@click.option("--classes", is_flag=True, help="Attributes are classes: only the likeliest is set.")
@size_options
@device_option
@batch_size_option("Images at a time.")
def attributes(folder: Path, predictor: str, **options: Any) -> None:
    """Attributes of the images in FOLDER, read by a predictor as the tracks do, printed as .csv.

    `bench score classification predicted.csv asked.csv --id image` then says how many edits or
    samples show what they were asked for.
    """
    from bench.score.attributes import read_attributes

    click.echo(read_attributes(folder, predictor, **options), nl=False)
