"""Whether a method keeps the contract of ``baselines/base.py``: a row of checks, on the CPU.

Behind ``bench test``. The method is trained with its preset ``smoke``, whole and interrupted, and
its capability is called on a few samples; nothing is evaluated.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from baselines.base import Method
from bench.catalog import embedded_dataset, lookup
from bench.conformance.checks import CHECKS_OF_CLASS, CHECKS_OF_RUNS, Broken, Check, described
from bench.conformance.subject import Skipped, Subject
from bench.errors import BenchError
from bench.resolve import RunRequest, load_method, resolve


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: Its name.
        status: ``skipped`` if it has nothing to look at, or a check that has to pass first failed.
        found: What was found, or why it was skipped.
        remedy: What to do; empty unless it failed.
    """

    check: str
    status: Literal["passed", "failed", "skipped"]
    found: str
    remedy: str = ""


def conformance(
    method: str, dataset: str | None = None, directions: Path | None = None
) -> Iterator[Finding]:
    """Check a method.

    Args:
        method: A name of the catalog, or ``package.module:Class``.
        dataset: The dataset to train on; None for the embedded one of the method's track.
        directions: The discovery run, or the folder of one method's smoke runs, that a method which
            learns from directions is trained on.

    Yields:
        The finding of each check, as soon as it is known.

    Raises:
        BenchError: There is no such method or dataset, or the data or weights are missing.
    """
    kind = load_method(method)
    chosen = dataset or embedded_dataset(method) or lookup("tracks", kind.track).dataset
    if not chosen:
        raise BenchError(f"The track {kind.track} implies no dataset; name one with --dataset.")
    lookup("datasets", chosen)
    obstacle = yield from _findings(CHECKS_OF_CLASS, kind, kind, "")
    with TemporaryDirectory() as folder:
        subject = None
        if not obstacle:
            request = RunRequest(method, chosen, "smoke", directions=directions)
            subject = Subject(resolve(request, 0), Path(folder))
            subject.parts  # noqa: B018  # what is missing of them is not the method's fault
        yield from _findings(CHECKS_OF_RUNS, subject, kind, obstacle)


def _findings(
    checks: Sequence[Check[Any]], of: Any, kind: type[Method], obstacle: str
) -> Generator[Finding, None, str]:
    """Findings of the checks; returns the name of the one that stands in the way of the others."""
    for check in checks:
        if obstacle:
            yield Finding(check.name, "skipped", f"the check {obstacle} has to pass first")
            continue
        try:
            yield Finding(check.name, "passed", check.find(of))
        except Skipped as reason:
            yield Finding(check.name, "skipped", str(reason))
        except Exception as error:  # of the method's code, anything can come
            known = isinstance(error, Broken | BenchError)
            found = str(error) if known else described(error, kind)
            remedy = error.remedy if isinstance(error, Broken) else ""
            yield Finding(check.name, "failed", found, remedy or check.remedy)
            obstacle = check.name if check.essential else ""
    return obstacle
