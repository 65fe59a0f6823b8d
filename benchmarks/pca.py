"""Principal components of a million W codes: ours against scikit-learn's IncrementalPCA.

    python benchmarks/pca.py                  # 1,000,000 codes of 512 numbers, several minutes
    python benchmarks/pca.py --codes 100000

GANSpace (Härkönen et al., 2020) feeds IncrementalPCA with 80 components from blocks of
max(batch, 2000, 3 x components) codes; the commands of its README set the batch to 10,000. Both
sides see the same codes, block by block, so that neither ever holds them all; making the codes is
not timed. Prints one JSON object:

- ``seconds``: time spent in each of the two, and ``ratio``, how many times faster ours is;
- ``eigenvalue_error``: largest relative error of the 80 eigenvalues against the eigenvalues of the
  exact covariance (float64, in two passes over the codes);
- ``peak_memory_gib``: peak resident memory of this process when ours was done (torch included).

Set ``OMP_NUM_THREADS`` and ``OPENBLAS_NUM_THREADS`` to fix the number of threads.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from baselines.subspace import ExactSubspace

Codes = NDArray[np.float32]
MakeBlocks = Callable[[], Iterator[Codes]]


def code_blocks(codes: int, dimensions: int, batch: int, seed: int = 0) -> Iterator[Codes]:
    """Blocks (batch, dimensions) of codes with a decaying spectrum above a floor of noise.

    The same seed gives the same codes; a rank of a quarter of the dimensions carries most of the
    variance, as in the W space of a trained generator.
    """
    generator = np.random.default_rng(seed)
    rank = max(1, dimensions // 4)
    spread = np.logspace(0.5, -1.5, rank)[:, None]
    basis = (spread * generator.standard_normal((rank, dimensions))).astype(np.float32)
    offset = generator.standard_normal(dimensions, dtype=np.float32)
    for start in range(0, codes, batch):
        rows = min(batch, codes - start)
        block = generator.standard_normal((rows, rank), dtype=np.float32) @ basis
        block += np.float32(0.05) * generator.standard_normal((rows, dimensions), dtype=np.float32)
        block += offset
        yield block


def exact_variances(blocks: MakeBlocks, components: int) -> NDArray[np.float64]:
    """The leading eigenvalues of the covariance, in float64 and two passes."""
    count = sum(len(block) for block in blocks())
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks()) / count
    covariance = np.zeros((len(mean), len(mean)))
    for block in blocks():
        centred = block.astype(np.float64) - mean
        covariance += centred.T @ centred / (count - 1)
    descending = np.linalg.eigvalsh(covariance)[::-1]
    return descending[:components].astype(np.float64)


def time_ours(
    blocks: MakeBlocks, dimensions: int, components: int
) -> tuple[float, NDArray[np.float64]]:
    """Seconds and eigenvalues of the streaming covariance, as the methods use it."""
    subspace = ExactSubspace(dimensions, components)
    seconds = _time_over(map(torch.from_numpy, blocks()), subspace.observe)
    start = time.perf_counter()
    subspace.solve()
    return seconds + time.perf_counter() - start, subspace.variances.numpy()


def time_incremental(
    blocks: MakeBlocks, components: int, batch: int
) -> tuple[float, NDArray[np.float64]]:
    """Seconds and eigenvalues of scikit-learn's IncrementalPCA."""
    from sklearn.decomposition import IncrementalPCA

    model = IncrementalPCA(n_components=components, batch_size=batch)
    seconds = _time_over(blocks(), model.partial_fit)
    return seconds, model.explained_variance_


def _time_over(blocks: Iterator[Any], take: Callable[[Any], object]) -> float:
    seconds = 0.0
    for block in blocks:
        start = time.perf_counter()
        take(block)
        seconds += time.perf_counter() - start
    return seconds


@click.command()
@click.option("--codes", default=1_000_000, show_default=True, help="How many codes.")
@click.option("--dimensions", default=512, show_default=True, help="Numbers in a code.")
@click.option("--components", default=80, show_default=True, help="Components to keep.")
@click.option("--batch", default=10_000, show_default=True, help="Codes in a block.")
def main(codes: int, dimensions: int, components: int, batch: int) -> None:
    """Time both, compare their eigenvalues with the exact ones, print JSON."""
    block_size = max(batch, 2000, 3 * components)
    codes -= codes % block_size  # as GANSpace does; IncrementalPCA refuses a short last block

    def blocks() -> Iterator[Codes]:
        return code_blocks(codes, dimensions, block_size)

    ours, variances = time_ours(blocks, dimensions, components)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB
    theirs, incremental = time_incremental(blocks, components, block_size)
    exact = exact_variances(blocks, components)
    report = {
        "codes": codes,
        "dimensions": dimensions,
        "components": components,
        "batch": block_size,
        "seconds": {"ours": ours, "incremental_pca": theirs},
        "ratio": theirs / ours,
        "eigenvalue_error": {
            "ours": float(np.abs(variances / exact - 1.0).max()),
            "incremental_pca": float(np.abs(incremental / exact - 1.0).max()),
        },
        "peak_memory_gib": peak,
        "blas_threads": max(library["num_threads"] for library in threadpool_info()),
    }
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
