"""``bench data``: what is in a folder of images, before anything is trained on it; drawn faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.data.celeba_check import LabelReport
    from bench.data.check import FolderReport

_EXAMPLES = """\b
Examples:
  bench data check pictures
  bench data check pictures --size 256 --json
  bench data check ~/data/celeba
  bench data make celeba-synth faces --n 5000
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Look at data before it is used, or make some."""


@command.command(epilog=_EXAMPLES)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--size", type=click.IntRange(min=1), default=1, help="Smaller images, in pixels, are bad."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(ctx: click.Context, path: Path, size: int, as_json: bool) -> None:
    """Decode every image in the folder PATH and say what can be used, and what not and why.

    In a folder of CelebA, say also what its labels are and whether they go with the images.

    Exits 2 if an image is bad, none is usable, or labels do not go with the images or have not
    CelebA's 40 attributes. What is wrong comes last, with its remedy.
    """
    from bench.data.celeba_check import check_labels
    from bench.data.celeba_folder import holds_celeba
    from bench.data.check import check_folder

    report = check_folder(path, size)
    labels = check_labels(path, report) if holds_celeba(path) else None
    if as_json:
        annotated = {} if labels is None else {"labels": labels.as_json()}
        click.echo(json.dumps(report.as_json() | annotated, indent=2, ensure_ascii=False))
    else:
        _print(report)
        if labels is not None:
            _print_labels(labels)
        _print_faults(report, labels)
    sound = report.pictures and not report.bad and (labels is None or labels.usable)
    ctx.exit(0 if sound else 2)


def _print(report: FolderReport) -> None:
    megabytes = sum(one.bytes for one in report.pictures) / 1e6
    usable = _agreeing(len(report.pictures), "usable image", "usable images")
    click.echo(f"{usable}, {megabytes:,.1f} MB")
    click.echo(f"sizes    {_counts((f'{w} x {h}', n) for (w, h), n in report.sizes.items())}")
    click.echo(f"modes    {_counts(report.modes.items())}")
    if report.ignored:
        kinds = ((kind or "no ending", n) for kind, n in report.ignored.items())
        click.echo(f"ignored  {_counts(kinds)}: no images by their names")


def _print_labels(report: LabelReport) -> None:
    click.echo(f"labels   {_agreeing(report.rows, 'row', 'rows')} in {report.path.name}")
    shares = ((name, n / report.rows) for name, n in report.positives.items())
    click.echo(f"present  {', '.join(f'{name} {share:.1%}' for name, share in shares)}")
    if report.constant:
        click.echo(f"constant {', '.join(report.constant)}: nothing can be learnt of these")
    if report.identities is None:
        click.echo("people   unknown: there is no identity_CelebA.txt")
    else:
        click.echo(f"people   {report.identities:,}")
    if report.parts is None:
        click.echo("parts    unknown: there is no list_eval_partition.txt")
    else:
        click.echo(f"parts    {_counts(report.parts.items())}")
    if report.conflicts:
        click.echo(f"both     {_counts(report.conflicts.items())}: exclusive by their meaning")
    if report.without_row:
        fault = _agreeing(len(report.without_row), "has no label and is", "have no labels and are")
        click.echo(f"images   {fault} not used: {_named(report.without_row)}")


def _print_faults(report: FolderReport, labels: LabelReport | None) -> None:
    images = [f"bad      {one}" for one in report.bad]
    images += _image_faults(labels) if labels else []
    annotations = _annotation_faults(labels) if labels else []
    for fault in (*annotations, *images):
        click.echo(fault)
    left_out = "the images among them" if annotations else "them"
    remedy = f", or leave {left_out} out by --on-bad-image skip at the run" if images else ""
    count = len(report.bad) + (labels.faults if labels else 0)
    if count:
        click.echo(f"{_agreeing(count, 'fault', 'faults')}: mend or remove what is named{remedy}.")


def _image_faults(report: LabelReport) -> list[str]:
    return [
        f"images   {_agreeing(len(names), one, many)}: {_named(names)}"
        for names, one, many in (
            (report.without_image, "has labels and is not there", "have labels and are not there"),
            (
                report.wrong_size,
                "has not the 178 x 218 pixels of CelebA",
                "have not the 178 x 218 pixels of CelebA",
            ),
        )
        if names
    ]


def _annotation_faults(report: LabelReport) -> list[str]:
    faults = [
        f"columns  {name} is none of CelebA's 40 attributes"
        + (f": did you mean {near}?" if near else "")
        for name, near in report.unknown.items()
    ]
    if report.missing:
        verb = _agreeing(len(report.missing), "is", "are")
        faults.append(f"columns  {verb} missing of CelebA's 40: {', '.join(report.missing)}")
    for count, place in (
        (report.without_identity, "not in identity_CelebA.txt"),
        (report.without_part, "in no part of list_eval_partition.txt"),
    ):
        if count:
            faults.append(f"labels   {_agreeing(count, 'row is', 'rows are')} {place}")
    return faults


def _agreeing(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _named(names: Sequence[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (" ..." if len(names) > shown else "")


def _counts(counts: Iterable[tuple[str, int]], shown: int = 8) -> str:
    parts = [f"{name} ({count:,})" for name, count in counts]
    more = f" and {len(parts) - shown} more" if len(parts) > shown else ""
    return ", ".join(parts[:shown]) + more or "none"


@command.command(epilog=_EXAMPLES)
@click.argument("dataset", type=click.Choice(["celeba-synth"]))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--n", type=click.IntRange(min=16), default=5000, help="How many images.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Another seed: other people.")
@click.option("--quiet", is_flag=True, help="No progress.")
def make(dataset: str, folder: Path, n: int, seed: int, quiet: bool) -> None:
    """Draw faces into FOLDER in CelebA's exact format; a folder left unfinished is continued."""
    from bench.data.celeba_synth_folder import make_folder

    written = make_folder(folder, n, seed, quiet)
    click.echo(f"{n:,} images in {folder}, {written:,} of them new")
