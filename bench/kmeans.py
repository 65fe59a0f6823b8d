"""k-means on embeddings, and how good a clustering is: by itself, and against known classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.data.base import Split
from bench.data.subset import evenly_spread

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

STARTS = 10  # of k-means++ in a fit; the best is taken
FITS = 5  # of which the agreement is measured
SILHOUETTE_IMAGES = 5000  # its time grows with their square

_SEEDS = 2**32  # numpy's


@dataclass(frozen=True, eq=False)
class Clustering:
    """One clustering; clusters are numbered by their size in the training part, the largest is 0.

    Attributes:
        centres: (k, D).
        assigned: int64 (N,), the cluster of each image, by part of the dataset.
        stability: Mean adjusted Rand index of all pairs of fits with different seeds.
    """

    centres: Floats
    assigned: Mapping[Split, Places]
    stability: float

    @property
    def k(self) -> int:
        """How many clusters there are."""
        return len(self.centres)

    def sizes(self, split: Split) -> Places:
        """How many images each cluster has, (k,)."""
        return np.bincount(self.assigned[split], minlength=self.k)


def fit(embedded: Mapping[Split, Floats], k: int, seed: int) -> Clustering:
    """Cluster the training images; the test images get the nearest centre.

    Args:
        embedded: (N, D) embeddings by part of the dataset.
        k: How many clusters, at most as many as there are training images; where fewer of these
            differ, the last clusters are empty.
        seed: Of the fit that is kept; the seeds after it tell how stable it is.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score

    fits = []
    with _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer different rows than k
        for number in range(FITS):
            model = KMeans(
                k,
                init="k-means++",
                n_init=STARTS,
                max_iter=300,
                tol=1e-4,
                algorithm="lloyd",
                random_state=(seed + number) % _SEEDS,
            )
            fits.append(model.fit(embedded["train"]))
        assigned = {split: fits[0].predict(rows) for split, rows in embedded.items()}
    order = np.argsort(-np.bincount(assigned["train"], minlength=k), kind="stable")
    number_of = np.argsort(order)
    pairs = combinations([model.labels_ for model in fits], 2)
    return Clustering(
        fits[0].cluster_centers_[order],
        {split: number_of[clusters] for split, clusters in assigned.items()},
        float(np.mean([adjusted_rand_score(one, other) for one, other in pairs])),
    )


def separation(embedded: Floats, clusters: Places) -> dict[str, float | None]:
    """How well clusters are apart.

    Args:
        embedded: (N, D).
        clusters: int64 (N,).

    Returns:
        ``silhouette`` in [-1, 1], the mean over at most 5,000 evenly spread images, higher is
        better; and ``davies_bouldin``, 0 or more, lower is better. None where there are as many
        clusters as images, which leaves them undefined.
    """
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    shown = evenly_spread(SILHOUETTE_IMAGES, len(embedded)).numpy()
    silhouette = davies_bouldin = None
    with _one_thread():
        if 1 < len(np.unique(clusters[shown])) < len(shown):
            silhouette = float(silhouette_score(embedded[shown], clusters[shown]))
        if clusters.max() + 1 < len(embedded):
            davies_bouldin = float(davies_bouldin_score(embedded, clusters))
    return {"silhouette": silhouette, "davies_bouldin": davies_bouldin}


def agreement(clusters: Places, classes: Places) -> dict[str, float]:
    """How well clusters agree with known classes; 1 is best in each score.

    Args:
        clusters: int64 (N,).
        classes: int64 (N,).

    Returns:
        ``purity``, the share of images that are of their cluster's commonest class; ``nmi``, the
        normalised mutual information (arithmetic mean of both entropies); and ``ari``, the
        adjusted Rand index.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    table = np.zeros((clusters.max() + 1, classes.max() + 1), np.int64)
    np.add.at(table, (clusters, classes), 1)
    return {
        "purity": float(table.max(axis=1).sum() / len(clusters)),
        "nmi": float(normalized_mutual_info_score(classes, clusters, average_method="arithmetic")),
        "ari": float(adjusted_rand_score(classes, clusters)),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads add up in any order, and the rounding then moves images between clusters."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="openmp"):
        yield
