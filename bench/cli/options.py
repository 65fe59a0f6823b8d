"""What ``run`` and ``plan`` ask in the same words, on the command line or in a config file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from leaderboard.vocabulary import ASKED

if TYPE_CHECKING:
    from bench.spec import RunSpec

RUNS = Path("runs")

_F = TypeVar("_F", bound=Callable[..., Any])
_IN_CONFIG = ("method", "dataset", "preset", "seeds", "data", *ASKED)

_OPTIONS = (
    click.option("--method", help="A name of `bench list methods`, or package.module:Class."),
    click.option(
        "--dataset",
        help="A name of `bench list datasets`.  [default: the embedded one of the method's track]",
    ),
    click.option(
        "--preset",
        help="smoke (seconds), small (minutes on two cores) or paper (a GPU).  [default: small]",
    ),
    click.option(
        "--generator", help="A name of `bench list generators`, or a .pkl, .pt or .safetensors."
    ),
    click.option("--predictor", help="A name of `bench list predictors`, or a file of one."),
    click.option("--extractor", help="The track's feature network, of `bench list extractors`."),
    click.option("--seeds", help="Such as 0..2 or 0,3; both ends count.  [default: 0]"),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a setting of the method (num_directions=8), the track (track.samples=50) or "
        "the dataset (dataset.size=32); `bench list settings` shows them. Can be repeated.",
    ),
    click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A TOML file with these options by name and a table [set]; options given here win.",
    ),
    click.option(
        "--limit",
        type=click.IntRange(min=1),
        help="At most so many images of the dataset and samples of the evaluation.",
    ),
    click.option(
        "--precision", help="float32 or bfloat16 (mixed), for training.  [default: float32]"
    ),
    click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="Where the dataset lies.  [default: $BENCH_DATA/DATASET]",
    ),
    click.option(
        "--checkpoint",
        type=click.Path(path_type=Path),
        help="Trained weights in place of training: the files of the method's reference "
        "implementation, or what `bench convert --method` made of them.",
    ),
    click.option(
        "--directions",
        type=click.Path(path_type=Path),
        help="A finished discovery run, whose directions make the pairs of images that group-vae "
        "learns from; or the folder of a discovery method's runs, for that of the same preset and "
        "seed. `--set directions.pairs=1000` and the like change how.",
    ),
    click.option(
        "--artefact",
        multiple=True,
        type=click.Path(path_type=Path),
        help="The folder of a finished stage of another run (RUNS/artefacts/METHOD/STAGE-HASH), to "
        "take for that stage. Can be repeated. Those that this run would make by itself are taken "
        "unasked.",
    ),
    click.option(
        "--on-bad-image",
        type=click.Choice(["skip", "fail"]),
        help="What to do with an image file that cannot be read.  [default: the dataset's]",
    ),
    click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=RUNS,
        show_default=True,
        help="The folder of all runs.",
    ),
)


def run_options(command: _F) -> _F:
    """Add the options that say what to run."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


def specs_from(options: Mapping[str, Any], *, allow_absent: bool = False) -> list[RunSpec]:
    """One specification for each seed, from the values of ``run_options``.

    Args:
        options: Their values.
        allow_absent: Whether files may be missing; see ``bench.resolve.resolve``.

    Raises:
        BenchError: Something is missing, unknown or wrong.
    """
    from bench.catalog import embedded_dataset
    from bench.errors import BenchError
    from bench.resolve import RunRequest, resolve_seeds
    from bench.spec import check_keys, merged, parse_assignments, parse_seeds, read_toml

    config = read_toml(options["config"]) if options["config"] else {}
    check_keys(config, [*_IN_CONFIG, "set"], f"option in {options['config']}")
    changes = config.pop("set", {})
    if not isinstance(changes, dict):
        raise BenchError(f"set in {options['config']} has to be a table of settings.")
    settings = merged(changes, parse_assignments(options["settings"]))
    if options["on_bad_image"]:
        settings = merged(settings, {"dataset": {"on_bad_image": options["on_bad_image"]}})
    given = {name: options[name] for name in _IN_CONFIG if options[name] not in (None, ())}
    chosen = {**config, **given}
    if "dataset" not in chosen and "method" in chosen:
        chosen["dataset"] = embedded_dataset(chosen["method"])
    for name in ("method", "dataset"):
        if not chosen.get(name):
            raise BenchError(f"--{name} is missing; `bench list {name}s` shows what there is.")
    seeds = parse_seeds(str(chosen.pop("seeds", 0)))
    request = RunRequest.checked({**chosen, "settings": settings})
    return resolve_seeds(request, seeds, allow_absent=allow_absent)
