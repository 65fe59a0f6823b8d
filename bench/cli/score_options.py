"""What several commands of ``bench score`` ask and print in the same words."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bench.score.report import Report

_F = TypeVar("_F", bound=Callable[..., Any])

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
real_option = click.option(
    "--real", required=True, type=click.Path(path_type=Path), help="The folder of real images."
)
fake_option = click.option(
    "--fake", required=True, type=click.Path(path_type=Path), help="The folder of generated images."
)
device_option = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute.  [default: the best]"
)


def net_option(default: str, purpose: str) -> Callable[[_F], _F]:
    """Add ``--net``, one of the networks of LPIPS."""
    return click.option(
        "--net",
        type=click.Choice(["alex", "vgg", "squeeze"]),
        default=default,
        show_default=True,
        help=purpose,
    )


def batch_size_option(what: str) -> Callable[[_F], _F]:
    """Add ``--batch-size``."""
    return click.option(
        "--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help=what
    )


_SIZE_OPTIONS = (
    click.option(
        "--size",
        type=click.IntRange(min=1),
        help="Crop images to squares and bring them to so many pixels.  [default: their own size, "
        "if all have the same]",
    ),
    click.option(
        "--on-bad-image",
        type=click.Choice(["skip", "fail"]),
        default="fail",
        show_default=True,
        help="What to do with an image file that cannot be read.",
    ),
)

_FEATURE_OPTIONS = (
    click.option(
        "--extractor",
        default="efficientnet-lite0",
        show_default=True,
        help="The feature network, of `bench list extractors`.",
    ),
    *_SIZE_OPTIONS,
    device_option,
    batch_size_option("Images at a time."),
    click.option(
        "--compile",
        "compiled",
        is_flag=True,
        help="Compile the network first: worth the wait from some thousand images on.",
    ),
)


def size_options(command: _F) -> _F:
    """Add ``--size`` and ``--on-bad-image``."""
    return reduce(lambda made, option: option(made), reversed(_SIZE_OPTIONS), command)


def feature_options(limit: int | None = None) -> Callable[[_F], _F]:
    """Add the fields of ``bench.score.folders.FeatureOptions``; ``limit`` is a default."""
    at_most = click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=limit,
        show_default=limit is not None,
        help="At most so many images of a folder, evenly spread.",
    )
    options = (*_FEATURE_OPTIONS, at_most)
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def seed_option(default: int) -> Callable[[_F], _F]:
    """Add ``--seed``."""
    return click.option(
        "--seed",
        type=click.IntRange(min=0, max=2**32 - 1),  # numpy's limit
        default=default,
        show_default=True,
        help="Seeds all that is drawn.",
    )


def print_report(report: Report, as_json: bool) -> None:
    """Print scores as tables, or as JSON."""
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        click.echo(report.as_text())
