"""Progress of long work: a live bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

_LINE_SECONDS = 30.0


class Progress:
    """Shows how far a task is, its rate, its remaining time and the newest numbers.

    Use as a context manager; ``update`` is cheap enough to be called at every step.

    Args:
        title: What is being done.
        total: How many steps the task has.
        done: How many of them were done before (by an interrupted run).
        quiet: Show nothing.
    """

    def __init__(self, title: str, total: int, done: int = 0, quiet: bool = False) -> None:
        self._title, self._total, self._start, self._done = title, total, done, done
        self._quiet = quiet
        self._began = self._said = time.monotonic()
        self._bar = None if quiet or not sys.stderr.isatty() else _live_bar()

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self._title, total=self._total, completed=self._start, numbers=""
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif not self._quiet and self._said > self._began:
            self._say("")

    def update(self, done: int, numbers: str = "") -> None:
        """Say that ``done`` steps are done, with the newest numbers as text."""
        self._done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done, numbers=numbers)
        elif not self._quiet and time.monotonic() - self._said > _LINE_SECONDS:
            self._say(numbers)

    def _say(self, numbers: str) -> None:
        self._said = time.monotonic()
        rate = (self._done - self._start) / max(self._said - self._began, 1e-9)
        left = (self._total - self._done) / rate if rate else float("inf")
        text = f"{self._title}: {self._done}/{self._total}, {rate:.3g}/s, {_clock(left)} left"
        sys.stderr.write(f"{text}  {numbers}".rstrip() + "\n")
        sys.stderr.flush()


@contextmanager
def counting(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of work that tells how much more of it is done."""
    done = 0
    with Progress(title, total) as progress:

        def count_more(more: int) -> None:
            nonlocal done
            done += more
            progress.update(done)

        yield count_more


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "unknown time"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _live_bar():  # type: ignore[no-untyped-def]  # rich is imported only where a bar is shown
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
        console=Console(stderr=True),
    )
