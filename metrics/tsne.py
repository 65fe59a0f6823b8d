"""Chamfer distance of real and generated features in a joint t-SNE embedding.

Kinakh, Drozdova, Quétant, Golling and Voloshynovskiy, "Information-theoretic stochastic contrastive
conditional GAN: InfoSCC-GAN" (2021), section 3; van der Maaten and Hinton, "Visualizing Data using
t-SNE" (2008). Both sets are embedded together in three dimensions, and the distance between their
points is taken there, in the embedding's own units.

These units depend on every setting of t-SNE: scikit-learn's defaults of today make the sum six or
seven times smaller than those of version 0.24, which the released numbers were made with. All
settings are therefore stated here, and another package gives a metric of another name:

- ``tsne_chamfer``: scikit-learn's t-SNE as version 0.24 ran it by default (random initialisation,
  learning rate 200), with two degrees of freedom of the kernel in three dimensions. Slow: minutes
  for a thousand points a side.
- ``tsne_chamfer:opentsne``: openTSNE as its version 1.0 runs by default (initialisation by PCA,
  one degree of freedom), by Barnes and Hut's method and with exact neighbours. Several times
  faster.

t-SNE amplifies every difference in rounding: the same seed gives the same embedding on the same
machine, and on others one that is as good. Values compare only at equal numbers of points.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array, require_finite, two_sets
from metrics.chamfer import chamfer_infoscc, chamfer_pytorch3d

OPENTSNE_ITERATIONS = 750
SKLEARN_ITERATIONS = 1000
PERPLEXITY = 30.0

Embedding = tuple[FloatArray, FloatArray]
Progress = Callable[[int], None]

_DIMENSIONS = 3
_EARLY_ITERATIONS = 250
_ITERATIONS_PER_REPORT = 50

_SKLEARN_0_24 = {
    "early_exaggeration": 12.0,
    "learning_rate": 200.0,
    "max_iter": SKLEARN_ITERATIONS,  # n_iter until version 1.4
    "n_iter_without_progress": 300,
    "min_grad_norm": 1e-7,
    "metric": "euclidean",
    "metric_params": None,
    "init": "random",
    "method": "barnes_hut",
    "angle": 0.5,
}
_OPENTSNE_1_0 = {
    "learning_rate": "auto",
    "early_exaggeration_iter": _EARLY_ITERATIONS,
    "early_exaggeration": 12,
    "n_iter": OPENTSNE_ITERATIONS - _EARLY_ITERATIONS,
    "exaggeration": None,
    "dof": 1,
    "theta": 0.5,
    "initialization": "pca",
    "metric": "euclidean",
    "metric_params": None,
    "initial_momentum": 0.8,
    "final_momentum": 0.8,
    "max_grad_norm": None,
    "max_step_norm": 5,
    "neighbors": "exact",  # by default an approximation from a thousand points on
    "negative_gradient_method": "bh",  # the default, fft, has no third dimension
    "verbose": False,
}


@dataclass(frozen=True)
class TsneChamfer:
    """Chamfer distances of one embedding, and what they must share with others to compare.

    Attributes:
        name: ``tsne_chamfer`` or ``tsne_chamfer:opentsne``.
        infoscc: As released: squared distances from real to fake points, summed.
        real_to_fake: Their mean: what missing modes cost.
        fake_to_real: The mean of those from fake to real points: what implausible images cost.
        real_points: How many real points there were.
        fake_points: How many generated ones.
    """

    name: Literal["tsne_chamfer", "tsne_chamfer:opentsne"]
    infoscc: float
    real_to_fake: float
    fake_to_real: float
    real_points: int
    fake_points: int

    @property
    def pytorch3d(self) -> float:
        """The means of both directions, added."""
        return self.real_to_fake + self.fake_to_real


def tsne_chamfer(
    real: Any,
    fake: Any,
    *,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> TsneChamfer:
    """Chamfer distances in the embedding of ``joint_tsne`` in three dimensions.

    Args:
        real: (N, D) features of real images, not normalised.
        fake: (M, D) features of generated images.
        perplexity: See ``joint_tsne``; the released numbers have 30.
        seed: Seeds the embedding.
        threads: See ``joint_tsne``.
        progress: Likewise.

    Raises:
        ValueError: As ``joint_tsne``; with a perplexity of 30, fewer than 91 rows in all.
    """
    embedding = joint_tsne(
        real, fake, perplexity=perplexity, seed=seed, threads=threads, progress=progress
    )
    return _distances("tsne_chamfer", embedding)


def opentsne_chamfer(
    real: Any,
    fake: Any,
    *,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> TsneChamfer:
    """Chamfer distances in the embedding of ``joint_opentsne`` in three dimensions.

    Args:
        real: (N, D) features of real images.
        fake: (M, D) features of generated images.
        perplexity: See ``joint_opentsne``.
        seed: Seeds the embedding.
        threads: See ``joint_opentsne``.
        progress: Likewise.

    Raises:
        ValueError: As ``joint_opentsne``; with a perplexity of 30, fewer than 91 rows in all.
        ImportError: openTSNE is not installed.
    """
    embedding = joint_opentsne(
        real, fake, perplexity=perplexity, seed=seed, threads=threads, progress=progress
    )
    return _distances("tsne_chamfer:opentsne", embedding)


def joint_tsne(
    real: Any,
    fake: Any,
    *,
    dimensions: int = _DIMENSIONS,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Embedding:
    """scikit-learn's t-SNE of two sets together, with the defaults of version 0.24.

    It takes minutes for thousands of rows.

    Args:
        real: (N, D) features; they are embedded in float32, as networks give them.
        fake: (M, D) features.
        dimensions: Of the embedding, 2 or 3.
        perplexity: The number of neighbours that count, in effect.
        seed: Seeds the initial positions.
        threads: Of the search for neighbours and of the gradient. More than one change the order
            of a sum; that reaches the embedding very rarely, and then changes it altogether.
        progress: Called every 50 of the ``SKLEARN_ITERATIONS`` iterations with their number; once
            more at the end with those that were not needed. The package only prints how far it is,
            so standard output is read meanwhile.

    Returns:
        The embedded real points (N, dimensions) and the fake ones (M, dimensions).

    Raises:
        ValueError: NaN or infinite entries, empty sets, different widths, features whose squared
            distances overflow in float32, rows that are all equal, or a perplexity above a third
            of the number of other rows, both sets together.
    """
    joint, count = _joint(real, fake, perplexity)
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    tsne = TSNE(
        **_SKLEARN_0_24,
        n_components=dimensions,
        perplexity=perplexity,
        random_state=seed,
        n_jobs=threads,
        verbose=2 if progress else 0,
    )
    printed = _Printed(progress) if progress else None
    heard = redirect_stdout(printed) if printed else nullcontext()
    with threadpool_limits(threads, user_api="openmp"), heard:
        points = tsne.fit_transform(joint)
    if printed:
        printed.reach(SKLEARN_ITERATIONS)
    return _parted(points, count)


def joint_opentsne(
    real: Any,
    fake: Any,
    *,
    dimensions: int = _DIMENSIONS,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Embedding:
    """openTSNE's t-SNE of two sets together, with the defaults of version 1.0.

    Args:
        real: (N, D) features with D at least ``dimensions``; they are embedded in float32.
        fake: (M, D) features.
        dimensions: Of the embedding, 2 or 3.
        perplexity: The number of neighbours that count, in effect.
        seed: Seeds the initial positions.
        threads: See ``joint_tsne``.
        progress: Called every 50 of the ``OPENTSNE_ITERATIONS`` iterations with their number, 50.

    Returns:
        The embedded real points (N, dimensions) and the fake ones (M, dimensions).

    Raises:
        ValueError: As ``joint_tsne``, or fewer features than dimensions.
        ImportError: openTSNE is not installed.
    """
    joint, count = _joint(real, fake, perplexity)
    if joint.shape[1] < dimensions:
        raise ValueError(
            f"openTSNE starts from {dimensions} principal components, which {joint.shape[1]} "
            "features do not have."
        )
    try:
        from openTSNE import TSNE
    except ImportError as error:
        raise ImportError(
            "This embedding needs openTSNE: pip install 'gan-attribute-bench[metrics]'."
        ) from error

    def report(iteration: int, divergence: float, points: Any) -> None:
        if progress:
            progress(_ITERATIONS_PER_REPORT)

    tsne = TSNE(
        **_OPENTSNE_1_0,
        n_components=dimensions,
        perplexity=perplexity,
        random_state=seed,
        n_jobs=threads,
        callbacks=report,
        callbacks_every_iters=_ITERATIONS_PER_REPORT,
    )
    return _parted(tsne.fit(joint), count)


class _Printed(io.StringIO):
    """Hears how many iterations scikit-learn says that it has done."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress, self._done = progress, 0

    def write(self, text: str) -> int:
        if said := re.match(r"\[t-SNE\] Iteration (\d+): error", text):
            self.reach(int(said[1]))
        return len(text)

    def reach(self, iterations: int) -> None:
        if iterations > self._done:
            self._progress(iterations - self._done)
            self._done = iterations


def largest_perplexity(rows: int) -> float:
    """The largest perplexity that so many rows allow, both sets together."""
    return (rows - 1) / 3


def _joint(real: Any, fake: Any, perplexity: float) -> tuple[NDArray[np.float32], int]:
    """Both sets, one below the other, and the number of real rows."""
    first, second = two_sets(real, fake, "set of real features", "set of generated features")
    joint = np.concatenate([first, second]).astype(np.float32)
    squares = np.square(2.0 * np.abs(joint).max(axis=0)).sum()  # the largest distance possible
    require_finite(squares, "The features are so large that their distances overflow in float32")
    largest = largest_perplexity(len(joint))
    if not 0.0 < perplexity <= largest:
        raise ValueError(
            f"The perplexity of {len(joint)} rows (real and generated) is above 0 and at most "
            f"{largest:.4g}, not {perplexity:g}; more rows allow a larger one."
        )
    if (joint == joint[0]).all():
        raise ValueError("All rows of both sets of features are equal.")
    return joint, len(first)


def _parted(points: Any, count: int) -> Embedding:
    embedded = finite_array(np.asarray(points), "The t-SNE embedding", ndim=2)
    return embedded[:count], embedded[count:]


def _distances(
    name: Literal["tsne_chamfer", "tsne_chamfer:opentsne"], embedding: Embedding
) -> TsneChamfer:
    real, fake = embedding
    return TsneChamfer(
        name,
        chamfer_infoscc(real, fake),
        chamfer_pytorch3d(real, fake, single_directional=True),
        chamfer_pytorch3d(fake, real, single_directional=True),
        len(real),
        len(fake),
    )
