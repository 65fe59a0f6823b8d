"""``bench edit``: put an attribute into images by examples, with a trained inverter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

_POINTER = "IMAGES"


@click.command(
    epilog="""\b
IMAGES is an image's file, a folder of images, or places of the dataset's test
part, as in test:3,17. Options of images can be repeated; the first image of
--without and the first of --with are a pair, and so on.

\b
Examples:
  bench edit RUN --source me.png --without plain.png --with glasses.png --k 0.5 1 1.5
  bench edit RUN --source test:0,1,2 --without test:4 --with test:9 \\
      --neutral faces/plain --attributed faces/glasses
"""
)
@click.argument("run")
@click.argument("more_amounts", nargs=-1, type=float, metavar="[K]...")
@click.option("--source", multiple=True, required=True, metavar=_POINTER, help="What to edit.")
@click.option(
    "--without", multiple=True, required=True, metavar=_POINTER, help="Without the attribute."
)
@click.option(
    "--with", "attributed", multiple=True, required=True, metavar=_POINTER, help="With it."
)
@click.option(
    "--k",
    "amounts",
    multiple=True,
    type=float,
    help="How far to go; several numbers, or once for each.  [default: 0.5 1 1.5]",
)
@click.option(
    "--unit",
    type=click.Choice(["pair", "latent"]),
    default="pair",
    show_default=True,
    help="What --k counts in: distances between the images of a pair, or units of the latent.",
)
@click.option(
    "--neutral",
    multiple=True,
    metavar=_POINTER,
    help="More images without the attribute, to tell how far an edit may go.",
)
@click.option(
    "--attributed", "attributed_set", multiple=True, metavar=_POINTER, help="More images with it."
)
@click.option(
    "--runs", type=click.Path(path_type=Path), help="Where the runs lie.  [default: runs]"
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute.  [default: the best]"
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("edits"),
    show_default=True,
    help="The folder of the figures.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: str,
    more_amounts: tuple[float, ...],
    amounts: tuple[float, ...],
    as_json: bool,
    runs: Path | None,
    device: str | None,
    out: Path,
    **images: Any,
) -> None:
    """Put an attribute into images with the inverter of RUN, by one or more pairs of examples.

    RUN is a run's folder or the first digits of its hash. Latents move along the direction from
    the images without the attribute to their partners with it.
    """
    from bench.attribute_edits import EditRequest, edit_images
    from bench.cli.finding import find_result
    from bench.trained import load_trained

    trained = load_trained(find_result(run, runs).parent, device)
    request = EditRequest(
        source=images["source"],
        without=images["without"],
        attributed=images["attributed"],
        amounts=amounts + more_amounts,
        unit=images["unit"],
        neutral_set=images["neutral"],
        attributed_set=images["attributed_set"],
    )
    report = edit_images(trained, request, out)
    click.echo(json.dumps(report, indent=2) if as_json else "\n".join(_lines(report)))


def _lines(report: dict[str, Any]) -> list[str]:
    width = max(map(len, report))
    return [f"{key:{width}}  {_plain(value)}" for key, value in report.items()]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(" to ".join(map(str, v)) if isinstance(v, list) else str(v) for v in value)
    return str(value)
