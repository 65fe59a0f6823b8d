"""The program: command line, catalog, runs, training loop, datasets, generators and tracks.

Its one function, ``run``, is the command ``bench run`` for programs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leaderboard.schema import Result

__all__ = ["run"]


def run(
    method: str,
    dataset: str | None = None,
    *,
    preset: str = "small",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    out: str | Path = "runs",
    generator: str | None = None,
    predictor: str | None = None,
    extractor: str | None = None,
    limit: int | None = None,
    precision: str = "float32",
    data: str | Path | None = None,
    checkpoint: str | Path | None = None,
    directions: str | Path | None = None,
    artefact: Sequence[str | Path] = (),
    device: str | None = None,
    force: bool = False,
    quiet: bool = True,
) -> Result:
    """Train a method, evaluate it and return the result, as ``bench run`` does.

    A run that was interrupted goes on where it stopped; a finished one is only read.

    Args:
        method: A name of ``bench list methods``, or ``package.module:Class``.
        dataset: A name of ``bench list datasets``; None for the embedded one of the method's track.
        preset: ``smoke``, ``small`` or ``paper``.
        seed: Root of all random numbers.
        settings: What ``--set`` changes: settings of the method by name, those of the track and the
            dataset below ``track`` and ``dataset``, or with a dot: ``{"track.samples": 50}``.
        out: The folder of all runs.
        generator: A name, or a checkpoint; None for the dataset's.
        predictor: A name, or a file; None for the dataset's.
        extractor: The track's feature network; None for its default.
        limit: At most so many images of the dataset and samples of the evaluation.
        precision: ``float32`` or ``bfloat16``, for training.
        data: Where the dataset lies.
        checkpoint: Trained weights of the method's reference, in place of training.
        directions: A finished discovery run, for methods that learn from its directions.
        artefact: Folders of finished stages of other runs, each to take for its stage.
        device: ``cpu``, ``cuda``, or None for the best one present.
        force: Start over, whatever is there.
        quiet: Show no progress on stderr.

    Returns:
        The result; its ``status`` is ``completed`` or ``diverged``.

    Raises:
        bench.errors.BenchError: Something of the input is missing or wrong, or the run failed; the
            message is one sentence.
        KeyboardInterrupt: Ctrl-C, after a checkpoint; the same call goes on.
    """
    from bench.catalog import embedded_dataset
    from bench.errors import BenchError
    from bench.resolve import RunRequest, resolve
    from bench.running import RunOptions, execute
    from bench.spec import nested

    dataset = dataset or embedded_dataset(method)
    if not dataset:
        raise BenchError(f"{method} needs a dataset; `bench list datasets` shows what there is.")
    if not isinstance(seed, int) or seed < 0:
        raise BenchError(f"The seed {seed!r} has to be a whole number of at least 0.")
    request = RunRequest.checked(
        {
            "method": method,
            "dataset": dataset,
            "preset": preset,
            "settings": nested(settings or {}),
            "generator": generator,
            "predictor": predictor,
            "extractor": extractor,
            "limit": limit,
            "precision": precision,
            "data": data,
            "checkpoint": checkpoint,
            "directions": directions,
            "artefact": tuple(artefact),
        }
    )
    return execute(resolve(request, seed), RunOptions(Path(out), device, force, quiet=quiet))
