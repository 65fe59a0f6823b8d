"""``bench score contrast``: ContraFeat's loss of true factors, pure and mixed."""

from __future__ import annotations

from typing import Any

import click

from bench.cli.score_options import (
    as_json_option,
    batch_size_option,
    device_option,
    print_report,
    seed_option,
)


@click.command(
    epilog="""\b
Examples:
  bench score contrast --samples 200
  bench score contrast --extractor alexnet --samples 1000 --json
"""
)
@click.option(
    "--extractor",
    default="efficientnet-lite0",
    show_default=True,
    help="The feature network, of `bench list extractors`; alexnet in the paper.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=2),
    default=100,
    show_default=True,
    help="Samples of each pair of factors; 1,000 in the paper.",
)
@click.option(
    "--cosine",
    type=click.Choice(["absolute", "squared", "signed"]),
    default="absolute",
    show_default=True,
    help="How changes are compared; squared in the released training.",
)
@batch_size_option("Samples at a time, of five images each.")
@device_option
@seed_option(0)
@as_json_option
def contrast(as_json: bool, **options: Any) -> None:
    """ContraFeat's loss of the true factors of 3D Shapes, pure and mixed (its Table 8).

    The three ways to compare changes, each with the paper's own numbers beside it. A way that
    suits discovery has a low loss where one factor changes (pure) and a higher one where two
    change at once (mixed).
    """
    from bench.score.contrast import score_contrast

    print_report(score_contrast(**options), as_json)
