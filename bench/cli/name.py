"""``bench name``: names of discovered directions, by the attribute predictor and by CLIP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.score_options import device_option

if TYPE_CHECKING:
    from bench.directions.names import NamedDirections

_MODEL = "ViT-B-32"
_CODES = 32
_OF_CLIP = ("clip_model", "words", "codes")


@click.command(
    epilog="""\b
Nothing is downloaded: fetch weights of open_clip by hand, such as
open_clip_model.safetensors of laion/CLIP-ViT-B-32-laion2B-s34B-b79K. OpenAI's
own weights go with --clip-model ViT-B-32-quickgelu.

\b
Examples:
  bench name runs/discovery/shapes3d/contrafeat/small-s0-3f2a90c1d4
  bench name 3f2a --clip-weights open_clip_model.safetensors \\
      --words "a red wall,a large object,a sphere"
"""
)
@click.argument("run")
@click.option(
    "--clip-weights",
    type=click.Path(path_type=Path),
    help="Weights of open_clip (.safetensors, or a .pt of tensors), to name directions by words.",
)
@click.option("--clip-model", help=f"The model of open_clip that they are of.  [default: {_MODEL}]")
@click.option(
    "--words",
    metavar="FILE|A,B,C",
    help="Words to choose from, separated by commas, or a file with one on each line.  "
    "[default: the predictor's attributes]",
)
@click.option(
    "--codes",
    type=click.IntRange(min=2),
    help=f"How many codes are moved for the names by words.  [default: {_CODES}]",
)
@click.option(
    "--runs", type=click.Path(path_type=Path), help="Where the runs lie.  [default: runs]"
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: str,
    clip_weights: Path | None,
    runs: Path | None,
    device: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Name the directions of RUN, a finished run of the track discovery.

    RUN is a run's folder, its result.json, or the first digits of its hash. The predictor's name is
    the attribute that a direction changes most, with its share of all changes. CLIP's is the word
    whose texts differ from "a photo" as images at the two ends of the direction do, with the cosine
    of the two; below 0, a step forward takes the word away.
    """
    from bench.cli.finding import find_result
    from bench.directions.names import NamedDirections
    from bench.errors import BenchError

    path = find_result(run, runs)
    found = NamedDirections.read(path)
    report = _report(found)
    given = [f"--{name.replace('_', '-')}" for name in _OF_CLIP if options[name] is not None]
    if clip_weights is not None:
        _add_words(report, path.parent, found, clip_weights, device, options)
    elif given:
        raise BenchError(
            f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} for names by CLIP: give its "
            "weights by --clip-weights, too."
        )
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(report)))


def _report(found: NamedDirections) -> dict[str, Any]:
    result = found.result
    return {
        "method": result.method,
        "dataset": result.dataset,
        "preset": result.preset,
        "seed": result.seed,
        "directions": [
            {
                "direction": k,
                "attribute": name.attribute if name else None,
                "share": round(name.share, 6) if name else 0.0,
            }
            for k, name in enumerate(found.names)
        ],
    }


def _add_words(
    report: dict[str, Any],
    folder: Path,
    found: NamedDirections,
    weights: Path,
    device: str | None,
    options: Mapping[str, Any],
) -> None:
    """Add CLIP's names to what is reported of each direction, and how they were found."""
    from bench.extractors.clip import Clip
    from bench.processes import process_state
    from bench.trained import load_trained
    from bench.word_names import name_by_words, words_from

    words = found.attributes if options["words"] is None else words_from(options["words"])
    codes = options["codes"] or _CODES
    model = Clip(weights, options["clip_model"] or _MODEL, process_state(device).device)
    names = name_by_words(load_trained(folder, device), model, words, found.scale, codes)
    for entry, name in zip(report["directions"], names, strict=True):
        cosines = (round(value, 4) for value in name.cosines)
        entry["word"], entry["cosine"] = name.word, round(name.cosine, 4)
        entry["cosines"] = dict(zip(words, cosines, strict=True))
    report["clip"] = {
        "model": model.model,
        "weights": model.sha256,
        "codes": codes,
        "edit_scale": found.scale,
        "least_cosine": round(names[0].least, 4),
    }


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield "{method} on {dataset} ({preset}, seed {seed})".format_map(report)
    clip = report.get("clip")
    rows = [["direction", "predictor", *(["CLIP", "cosine"] if clip else [])]]
    for entry in report["directions"]:
        attribute = entry["attribute"]
        share = f"{attribute} {100 * entry['share']:.0f} %" if attribute else "no change"
        found = [entry["word"] or "-", f"{entry['cosine']:+.2f}"] if clip else []
        rows.append([str(entry["direction"]), share, *found])
    yield from _table(rows)
    if clip:
        yield (
            f"CLIP: {clip['model']}, {clip['codes']} codes moved by {clip['edit_scale']:.3g}; no "
            f"name where the largest cosine is below {clip['least_cosine']:.2f} in size, common to "
            "other words, or unsure over codes"
        )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()
