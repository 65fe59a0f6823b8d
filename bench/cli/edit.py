"""``bench edit``: edit images, by examples with an inverter, or along discovered directions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bench.trained import Trained

_POINTER = "IMAGES"
_OF_NUMBERS = ("--k", "--direction", "--step")
_BY_EXAMPLES = ("without", "with", "k", "unit", "neutral", "attributed")
_BY_DIRECTIONS = ("direction", "step", "preset", "set")


class _NumbersCommand(click.Command):
    """Lets some options take several numbers in a row, negative ones too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_spread(args)))


@click.command(
    cls=_NumbersCommand,
    epilog="""\b
IMAGES is an image's file, a folder of images, or places of the dataset's test
part, as in test:3,17. Files are cut to their central square and resized to the
method's size. Options of images can be repeated; the first image of --without
and the first of --with are a pair, and so on.

Codes that images are projected to, for a run of the track discovery, are kept
in OUT/codes and used again. The preset small takes 300 steps, a minute or less
for a few images of 64 pixels on two cores; paper has the 1000 steps and the
other settings of NVIDIA's projector.

\b
Examples:
  bench edit RUN --source me.png --without plain.png --with glasses.png --k 0.5 1 1.5
  bench edit RUN --source test:0,1,2 --without test:4 --with test:9 \\
      --neutral faces/plain --attributed faces/glasses
  bench edit DISCOVERY_RUN --source test:0,1 --direction 3 --step -2 -1 1 2
  bench edit DISCOVERY_RUN --source me.png --preset paper --device cuda
""",
)
@click.argument("run")
@click.option("--source", multiple=True, required=True, metavar=_POINTER, help="What to edit.")
@click.option("--without", multiple=True, metavar=_POINTER, help="Without the attribute.")
@click.option("--with", multiple=True, metavar=_POINTER, help="With it.")
@click.option(
    "--k",
    multiple=True,
    type=float,
    help="How far to go; several numbers, or once for each.  [default: 0.5 1 1.5]",
)
@click.option(
    "--unit",
    type=click.Choice(["pair", "latent"]),
    help="What --k counts in: distances between the images of a pair, or units of the latent.  "
    "[default: pair]",
)
@click.option(
    "--neutral",
    multiple=True,
    metavar=_POINTER,
    help="More images without the attribute, to tell how far an edit may go.",
)
@click.option("--attributed", multiple=True, metavar=_POINTER, help="More images with it.")
@click.option(
    "--direction",
    multiple=True,
    type=int,
    help="A direction of a discovery run, from 0; several numbers, or once for each.  "
    "[default: all]",
)
@click.option(
    "--step",
    multiple=True,
    type=float,
    help="How far to go along it, in the run's edit scales; several numbers, or once for each.  "
    "[default: -2 -1 1 2]",
)
@click.option(
    "--preset",
    type=click.Choice(["small", "paper"]),
    help="How thoroughly images are projected for it.  [default: small]",
)
@click.option(
    "--set",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the projection, such as steps=400. Can be repeated.",
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
    source: tuple[str, ...],
    as_json: bool,
    runs: Path | None,
    device: str | None,
    out: Path,
    **options: Any,
) -> None:
    """Edit images with what RUN has learned.

    RUN is a run's folder or the first digits of its hash. With a run of the track reconstruction,
    one or more pairs of examples put an attribute into images: their latents move along the
    direction from the images without the attribute to their partners with it. With a run of the
    track discovery, images are projected to codes of the generator, which move along directions.
    """
    from bench.cli.finding import find_result
    from bench.trained import load_trained

    trained = load_trained(find_result(run, runs).parent, device)
    if trained.spec.track == "discovery":
        report = _along_directions(trained, source, options, out)
    else:
        report = _by_examples(trained, source, options, out)
    click.echo(json.dumps(report, indent=2) if as_json else "\n".join(_lines(report)))


def _along_directions(
    trained: Trained, source: Sequence[str], options: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    from bench.directions.edits import DirectionEditRequest, edit_along_directions
    from bench.spec import parse_assignments

    _refuse(_BY_EXAMPLES, options, "of the track reconstruction", trained)
    request = DirectionEditRequest(
        source=source,
        directions=options["direction"],
        steps=options["step"],
        preset=options["preset"] or "small",
        settings=parse_assignments(options["set"]),
    )
    return edit_along_directions(trained, request, out)


def _by_examples(
    trained: Trained, source: Sequence[str], options: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    from bench.attribute_edits import EditRequest, edit_images
    from bench.errors import BenchError

    _refuse(_BY_DIRECTIONS, options, "of the track discovery", trained)
    if not (options["without"] and options["with"]):
        raise BenchError("Examples are missing: give pairs of images by --without and --with.")
    request = EditRequest(
        source=source,
        without=options["without"],
        attributed=options["with"],
        amounts=options["k"],
        unit=options["unit"] or "pair",
        neutral_set=options["neutral"],
        attributed_set=options["attributed"],
    )
    return edit_images(trained, request, out)


def _refuse(names: Sequence[str], options: Mapping[str, Any], where: str, trained: Trained) -> None:
    """Refuse options that mean nothing for a run's track."""
    from bench.errors import BenchError

    given = [f"--{name}" for name in names if options[name]]
    if given:
        raise BenchError(
            f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} for runs {where}, and "
            f"{trained.folder} is of the track {trained.spec.track}: leave it out, or give another "
            "run."
        )


def _spread(arguments: Sequence[str]) -> Iterator[str]:
    """``--step -1 1`` as ``--step -1 --step 1``; what begins with a dash would be no number."""
    option, waits = "", False
    for argument in arguments:
        if waits:
            waits = False
        elif argument in _OF_NUMBERS:
            option, waits = argument, True
        elif option and _is_number(argument):
            yield option
        else:
            option = ""
        yield argument


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(report: dict[str, Any]) -> list[str]:
    width = max(map(len, report))
    return [f"{key:{width}}  {_plain(value)}" for key, value in report.items()]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(" to ".join(map(str, v)) if isinstance(v, list) else str(v) for v in value)
    return str(value)
