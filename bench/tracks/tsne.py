"""Real and generated features in one t-SNE, as the conditional track measures and shows them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bench.errors import BenchError, counted
from metrics.tsne import (
    OPENTSNE_ITERATIONS,
    SKLEARN_ITERATIONS,
    Embedding,
    TsneChamfer,
    joint_opentsne,
    joint_tsne,
    largest_perplexity,
    opentsne_chamfer,
    tsne_chamfer,
)

Package = Literal["opentsne", "scikit-learn", "none"]
Report = Callable[[str, int, int], None]

_LIBRARIES = {"opentsne": "openTSNE", "scikit-learn": "sklearn.manifold"}


@dataclass(frozen=True)
class Tsne:
    """How features are embedded.

    Attributes:
        package: Whose t-SNE; those of two packages make two metrics.
        perplexity: The number of neighbours that count, in effect.
        seed: Of the initial positions.
        threads: See ``metrics.tsne.joint_tsne``.
        report: Is told what is being done, how far it is and how far it goes.
    """

    package: Literal["opentsne", "scikit-learn"]
    perplexity: float
    seed: int
    threads: int
    report: Report

    def chamfer(self, real: Tensor, fake: Tensor) -> TsneChamfer:
        """Chamfer distances in three dimensions of features (N, D) and (M, D).

        Raises:
            BenchError: They cannot be embedded: all are the same, or far too large.
        """
        measure = opentsne_chamfer if self.package == "opentsne" else tsne_chamfer
        with self._explained(), self._shown("t-SNE in three dimensions") as progress:
            return measure(
                real.numpy(),
                fake.numpy(),
                perplexity=self.perplexity,
                seed=self.seed,
                threads=self.threads,
                progress=progress,
            )

    def planar(self, real: Tensor, fake: Tensor) -> Embedding:
        """Both sets in two dimensions, for a picture; few points get a smaller perplexity.

        Raises:
            BenchError: As ``chamfer``.
        """
        embed = joint_opentsne if self.package == "opentsne" else joint_tsne
        with self._explained(), self._shown("t-SNE in two dimensions") as progress:
            return embed(
                real.numpy(),
                fake.numpy(),
                dimensions=2,
                perplexity=min(self.perplexity, largest_perplexity(len(real) + len(fake))),
                seed=self.seed,
                threads=self.threads,
                progress=progress,
            )

    @contextmanager
    def _shown(self, task: str) -> Iterator[Callable[[int], None]]:
        total = OPENTSNE_ITERATIONS if self.package == "opentsne" else SKLEARN_ITERATIONS
        done = 0

        def advance(iterations: int) -> None:
            nonlocal done
            done += iterations
            self.report(task, done, total)

        importlib.import_module(_LIBRARIES[self.package])  # its time is none of the iterations'
        self.report(task, 0, total)
        yield advance

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise BenchError(
                f"There is no t-SNE of these features ({error}): --set track.tsne=none leaves it "
                "out."
            ) from error


def require_embeddable(package: Package, points: int, perplexity: float) -> None:
    """Refuse what t-SNE cannot embed.

    Args:
        package: Whose t-SNE.
        points: Of each side.
        perplexity: What is asked for.

    Raises:
        BenchError: There are too few points, or the package is missing.
    """
    if package == "none":
        return
    if package == "opentsne" and importlib.util.find_spec("openTSNE") is None:
        raise BenchError(
            "openTSNE is not installed: pip install 'gan-attribute-bench[metrics]', or --set "
            "track.tsne=scikit-learn, which is slower and another metric, or track.tsne=none."
        )
    largest = largest_perplexity(2 * points)
    if perplexity > largest:
        raise BenchError(
            f"A t-SNE of 2 x {counted(points, 'point')} allows a perplexity of at most "
            f"{largest:.4g}, not track.perplexity={perplexity:g}: lower it with --set, or raise "
            "track.tsne_points, track.distribution_samples or --limit."
        )
