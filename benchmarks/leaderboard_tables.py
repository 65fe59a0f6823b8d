"""The leaderboard of 100,000 results: one merged file as it is, against validating each record.

    python benchmarks/leaderboard_tables.py
    python benchmarks/leaderboard_tables.py --methods 10 --settings 500 --seeds 1

Writes synthetic results (methods x settings x datasets x seeds, four scores each, with intervals,
identities and provenance as long as real ones) as a merged file, and prints their tables twice in
processes of their own: ``bench leaderboard FILE.jsonl``, and the same tables and markdown of
records that are validated one by one. Prints one JSON object:

- ``seconds``: wall-clock time of each process, Python's start included, and ``ratio``;
- ``cpu_seconds``: processor time of each, which a busy machine changes less;
- ``peak_gib``: the most memory that each one held.

Ours is to stay below 5 s and 1 GiB. Set ``OMP_NUM_THREADS`` to fix the number of threads.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import click

from leaderboard.schema import ConfidenceInterval, Measurement, Result
from leaderboard.store import parse_result, write_merged

SCORES = 4
IDENTITY: dict[str, str | int | float] = {
    "extractor": "efficientnet-lite0:" + "ab" * 6,
    "predictor": "cd" * 32,
    "images": 2000,
}


@click.command()
@click.option("--methods", default=50, show_default=True)
@click.option("--settings", default=1, show_default=True, help="Settings of each method.")
@click.option("--datasets", default=20, show_default=True)
@click.option("--seeds", default=100, show_default=True)
@click.option("--validating", type=click.Path(exists=True, path_type=Path), hidden=True)
def main(methods: int, settings: int, datasets: int, seeds: int, validating: Path | None) -> None:
    """Measure and print one JSON object."""
    if validating is not None:
        print_validated(validating)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "all.jsonl")
        write_merged(file, results(methods, settings, datasets, seeds))
        program = "from bench.cli import main; main()"
        ours = measure([sys.executable, "-c", program, "leaderboard", str(file)])
        theirs = measure([sys.executable, __file__, "--validating", str(file)])
        record = {
            "results": methods * settings * datasets * seeds,
            "megabytes": round(file.stat().st_size / 1e6),
            "seconds": {"ours": ours[0], "validating": theirs[0]},
            "cpu_seconds": {"ours": ours[1], "validating": theirs[1]},
            "peak_gib": {"ours": ours[2], "validating": theirs[2]},
            "ratio": round(theirs[0] / ours[0], 2),
        }
    click.echo(json.dumps(record, indent=2))


def results(methods: int, settings: int, datasets: int, seeds: int) -> Iterator[Result]:
    """Synthetic results; methods differ by less than the seeds of one, so that many are tied."""
    draws = random.Random(0)
    ranges = map(range, (datasets, methods, settings, seeds))
    for number, (dataset, method, setting, seed) in enumerate(product(*ranges)):
        scores = [0.01 * method + draws.gauss(0.0, 0.1) for _ in range(SCORES)]
        yield Result(
            method=f"method-{method}",
            track="discovery",
            dataset=f"dataset-{dataset}",
            preset="small",
            seed=seed,
            overrides={"width": setting, "loss": "lsgan"} if setting else {},
            spec_hash=f"{number:010x}",
            status="completed",
            metrics=tuple(
                Measurement(
                    name=f"metric-{place}",
                    value=score,
                    interval=ConfidenceInterval(low=score - 0.1, high=score + 0.1),
                    standard_error=0.05,
                    higher_is_better=True,
                    identity=IDENTITY,
                )
                for place, score in enumerate(scores)
            ),
            protocol={"reading": "signed-mean", "codes": 100, "edit_distance": 0.15},
            steps=1000,
            seconds=draws.uniform(10.0, 100.0),
            parameters=1_234_567,
            provenance={
                "packages": {f"package-{place}": "1.2.3" for place in range(12)},
                "commit": "ef" * 20,
                "device": "cpu",
                "weights": {"generator": "ab" * 32},
            },
            figures=("figures/traversal.png",),
        )


def measure(command: Sequence[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds and GiB at the peak of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed.")
    cpu = used.ru_utime + used.ru_stime
    return round(seconds, 2), round(cpu, 2), round(used.ru_maxrss / 2**20, 2)  # Linux: KiB


def print_validated(file: Path) -> None:
    """The straightforward way: each record validated, tables and markdown as ours."""
    from leaderboard.export import to_markdown
    from leaderboard.table import build_tables

    lines = file.read_bytes().splitlines()
    click.echo(to_markdown(build_tables([parse_result(line, "a line") for line in lines])))


if __name__ == "__main__":
    main()
