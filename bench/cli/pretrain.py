"""``bench pretrain``: a generator of one's own for a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import RUNS

if TYPE_CHECKING:
    from bench.spec import Precision


@click.command(
    epilog="""\b
Examples:
  bench pretrain stylegan2 --dataset shapes3d
  bench pretrain stylegan2 --dataset image-folder --data pictures --set dataset.size=128
"""
)
@click.argument("network", type=click.Choice(["stylegan2"]))
@click.option("--dataset", required=True, help="A name of `bench list datasets`.")
@click.option("--preset", default="small", show_default=True, help="smoke, small or paper.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the network, or of the dataset (dataset.size=32).",
)
@click.option("--data", type=click.Path(path_type=Path), help="Where the dataset lies.")
@click.option(
    "--on-bad-image",
    type=click.Choice(["skip", "fail"]),
    help="What to do with an image file that cannot be read.  [default: the dataset's]",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute.  [default: the best]"
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Arithmetic of the training.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the result.  [default: runs/pretrain/DATASET-NETWORK]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    network: str,
    dataset: str,
    preset: str,
    seed: int,
    settings: tuple[str, ...],
    data: Path | None,
    on_bad_image: str | None,
    device: str | None,
    precision: Precision,
    out: Path | None,
    as_json: bool,
) -> None:
    """Train a generator NETWORK on a dataset.

    An interrupted training goes on. Writes generator.safetensors and samples.png, a grid of its
    images, at every checkpoint; use the former as `bench run --generator FILE`.
    """
    from baselines.stylegan2 import StyleGAN2
    from bench.parts import open_dataset
    from bench.pretrain import pretrain
    from bench.resolve import configured, pop_table
    from bench.spec import parse_assignments
    from bench.trainer import TrainingOptions

    chosen = parse_assignments(settings)
    options = pop_table(chosen, "dataset")
    if on_bad_image:
        options["on_bad_image"] = on_bad_image
    configured(StyleGAN2, preset, chosen, f"setting of {network}")
    folder = out or RUNS / "pretrain" / f"{dataset}-{network}"
    summary = pretrain(
        open_dataset(dataset, data, options),
        folder,
        preset=preset,
        overrides=chosen,
        seed=seed,
        options=TrainingOptions(device, precision),
    )
    file = folder / "generator.safetensors"
    if as_json:
        made = {"generator": str(file), "steps": summary.steps, "seconds": summary.seconds}
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(f"{file} after {summary.steps:,} steps")
