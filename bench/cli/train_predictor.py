"""``bench train-predictor``: the network that reads a dataset's attributes off images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  bench train-predictor --dataset shapes3d
  bench train-predictor --dataset 3dshapes --steps 500 --out predictor.safetensors
  bench train-predictor --dataset celeba --steps 25000
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
@click.option(
    "--width",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Channels of the first layers of a classifier of binary attributes; AttGAN's has 16.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the dataset, such as dataset.size=64. Can be repeated.",
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
    width: int,
    settings: tuple[str, ...],
    seed: int,
    data: Path | None,
    device: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Train a network that reads a dataset's attributes off images.

    It learns from the ground truth - all attributes that the dataset has, whichever methods are
    given - and is scored on held-out images. Factors of many values get a residual network, binary
    attributes the classifier of AttGAN and STGAN. Prints each attribute's R2,
    mean absolute error and accuracy; they and the command's settings are kept in the file, whose
    sha256 goes into every result that uses it. Name it by `bench run --predictor FILE`.
    """
    from bench.catalog import lookup
    from bench.downloads import weights_folder
    from bench.parts import open_dataset
    from bench.predictor_training import train_predictor
    from bench.predictors import predictor_file
    from bench.resolve import pop_table
    from bench.spec import check_keys, parse_assignments

    entry = lookup("datasets", dataset)
    asked = parse_assignments(settings)
    options = {**entry.load().everything, **pop_table(asked, "dataset")}
    check_keys(asked, [], "setting of a predictor")
    name = entry.name
    path = out or weights_folder() / predictor_file(name)
    predictor = train_predictor(
        open_dataset(name, data, options),
        path,
        steps=steps,
        batch_size=batch_size,
        width=width,
        seed=seed,
        device=device,
    )
    if as_json:
        made = {"predictor": str(path), "sha256": predictor.sha256, **predictor.report}
        click.echo(json.dumps(made, indent=2))
        return
    scores = predictor.report["scores"]
    widest = max(len(score["name"]) for score in scores)
    for score in scores:
        click.echo(f"{score['name']:<{widest}}  {_numbers(score)}")
    click.echo(f"{path} (sha256 {predictor.sha256})")


def _numbers(score: Mapping[str, float | None]) -> str:
    """The scores of one attribute that apply to it."""
    titles = {"r2": "R2", "mae": "MAE", "accuracy": "accuracy", "balanced_accuracy": "balanced"}
    values = ((title, score.get(key)) for key, title in titles.items())
    known = [f"{title} {value:.4f}" for title, value in values if value is not None]
    return "  ".join(known) or "one class only among the held-out images: not scored"
