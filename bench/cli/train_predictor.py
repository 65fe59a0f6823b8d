"""``bench train-predictor``: the network that reads a dataset's attributes off images."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  bench train-predictor --dataset shapes3d
  bench train-predictor --dataset 3dshapes --steps 500 --out predictor.safetensors
"""
)
@click.option("--dataset", required=True, help="A name of `bench list datasets`.")
@click.option(
    "--steps", type=click.IntRange(min=1), default=1500, show_default=True, help="Optimiser steps."
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Images a step.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Where the dataset lies.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute.  [default: the best]"
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: DATASET-predictor.safetensors in $BENCH_WEIGHTS]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    dataset: str,
    steps: int,
    batch_size: int,
    seed: int,
    data: Path | None,
    device: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Train a network that reads a dataset's attributes off images.

    It learns from the ground truth and is scored on held-out images. Prints each attribute's R2,
    mean absolute error and accuracy; they and the command's settings are kept in the file, whose
    sha256 goes into every result that uses it. Name it by `bench run --predictor FILE`.
    """
    from bench.catalog import lookup
    from bench.downloads import weights_folder
    from bench.parts import open_dataset
    from bench.predictor_training import train_predictor
    from bench.predictors import predictor_file

    name = lookup("datasets", dataset).name
    path = out or weights_folder() / predictor_file(name)
    predictor = train_predictor(
        open_dataset(name, data, {}),
        path,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        device=device,
    )
    if as_json:
        made = {"predictor": str(path), "sha256": predictor.sha256, **predictor.report}
        click.echo(json.dumps(made, indent=2))
        return
    for score in predictor.report["scores"]:
        click.echo(
            f"{score['name']:<14} R2 {score['r2']:.4f}  MAE {score['mae']:.4f}  "
            f"accuracy {score['accuracy']:.4f}"
        )
    click.echo(f"{path} (sha256 {predictor.sha256})")
