"""The informative subspace of W: principal components of a generator's codes.

Härkönen et al., "GANSpace: Discovering Interpretable GAN Controls" (NeurIPS 2020), section 2, and
ContraFeat (Zhu, Xu and Tao, AAAI 2023), appendix A: sample z, map it to w, analyse the codes.

``ExactSubspace`` streams the covariance and solves it once, in memory that does not depend on the
number of codes; it is the default everywhere. ``IncrementalSubspace`` is the approximation that
GANSpace's release computes (scikit-learn's IncrementalPCA; Ross et al., "Incremental Learning for
Robust Visual Tracking", IJCV 2008). All of their state is in buffers, so that a run can stop and
go on between any two steps.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from baselines.base import Batch, Stage
from metrics.moments import RunningMoments


class Subspace(nn.Module, ABC):
    """Principal components of codes that come in batches.

    Args:
        dim: Size D of a code.
        size: How many components C are kept.

    Attributes:
        count: int64 scalar, codes seen.
        mean: float64 (D,).
        components: float64 (C, D), unit rows, largest variance first.
        variances: float64 (C,), along the components, divided by count - 1.
        total_variance: float64 scalar, over all D dimensions.

    Raises:
        ValueError: ``size`` is not in 1..D.
    """

    count: Tensor
    mean: Tensor
    components: Tensor
    variances: Tensor
    total_variance: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        if not 1 <= size <= dim:
            raise ValueError(
                f"{size} principal components are asked for, but the generator's codes have "
                f"{dim} dimensions: choose 1 to {dim} (subspace_size or components)."
            )
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("components", torch.eye(size, dim, dtype=torch.float64))
        self.register_buffer("variances", torch.ones(size, dtype=torch.float64))
        self.register_buffer("total_variance", torch.zeros((), dtype=torch.float64))

    @abstractmethod
    def observe(self, codes: Tensor) -> None:
        """Take in codes (N, D), N > 0."""

    @abstractmethod
    def solve(self) -> None:
        """Make the components those of all codes seen; asked once, after the last ones."""


class ExactSubspace(Subspace):
    """Exact components, from the streamed covariance.

    Batches are merged by the update of Chan, Golub and LeVeque (1979), in float64.
    """

    scatter: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__(dim, size)
        self.register_buffer("scatter", torch.zeros(dim, dim, dtype=torch.float64))

    @torch.no_grad()
    def observe(self, codes: Tensor) -> None:
        batch = RunningMoments(codes.device).update(codes)
        seen, new = int(self.count), batch.count
        offset = batch.mean - self.mean
        self.scatter += batch.covariance(ddof=0) * new
        self.scatter += torch.outer(offset, offset) * (seen * new / (seen + new))
        self.mean += offset * (new / (seen + new))
        self.count += new

    @torch.no_grad()
    def solve(self) -> None:
        eigen = eigen_descending(self.scatter / (int(self.count) - 1))
        self.components.copy_(eigen.vectors[: len(self.components)])
        self.variances.copy_(eigen.values[: len(self.variances)].clamp(min=0))
        self.total_variance.copy_(eigen.values.sum())


class IncrementalSubspace(Subspace):
    """Components updated batch by batch, which forgets what lies outside the kept ones.

    Every batch needs at least C codes. The small components are off by percents.
    """

    column_variances: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__(dim, size)
        self.register_buffer("column_variances", torch.zeros(dim, dtype=torch.float64))

    @torch.no_grad()
    def observe(self, codes: Tensor) -> None:
        if len(codes) < len(self.components):
            raise ValueError(
                f"An incremental step over {len(codes)} codes cannot give "
                f"{len(self.components)} components: raise codes_per_step."
            )
        codes = codes.double()
        seen, new = int(self.count), len(codes)
        total = seen + new
        batch_mean = codes.mean(0)
        rows = codes - batch_mean
        offset = batch_mean - self.mean
        if seen > 0:
            # What was kept so far stands for all earlier codes; one more row for the moved mean.
            kept = (self.variances * (seen - 1)).sqrt()[:, None] * self.components
            correction = math.sqrt(seen * new / total) * offset
            rows = torch.cat([kept, rows, correction[None]])
        squares = self.column_variances * seen + (codes - batch_mean).square().sum(0)
        squares += offset.square() * (seen * new / total)
        eigen = eigen_descending(rows.T @ rows)
        self.components.copy_(eigen.vectors[: len(self.components)])
        self.variances.copy_(eigen.values[: len(self.variances)].clamp(min=0) / (total - 1))
        self.column_variances.copy_(squares / total)
        self.mean += offset * (new / total)
        self.count += new

    @torch.no_grad()
    def solve(self) -> None:
        unbiased = int(self.count) / (int(self.count) - 1)
        self.total_variance.copy_(self.column_variances.sum() * unbiased)


class SubspaceStage(Stage):
    """Samples codes and finds their components; nothing is optimised.

    Args:
        subspace: What is to be found.
        generator: A generator with ``mapping`` and ``z_dim``; never registered as a module.
        codes: How many codes in all.
        codes_per_step: How many at a time, over all processes; divides ``codes``.
    """

    name = "subspace"

    def __init__(self, subspace: Subspace, generator: Any, codes: int, codes_per_step: int) -> None:
        super().__init__()
        self.subspace = subspace
        self.generator = generator
        self.codes_per_step = codes_per_step
        self.steps = codes // codes_per_step

    def step(self, batch: Batch) -> dict[str, Tensor]:
        z = batch.draws.normal("z", batch.share(self.codes_per_step), self.generator.z_dim)
        self.subspace.observe(gathered(sample_codes(self.generator, z)))
        if batch.step == self.steps - 1:
            self.subspace.solve()
        return {"codes": self.subspace.count}


@torch.no_grad()
def sample_codes(generator: Any, z: Tensor) -> Tensor:
    """Codes w (N, D) of latents z (N, z_dim), without truncation and in full precision."""
    with torch.autocast(z.device.type, enabled=False):
        return generator.mapping(z)[:, 0]


def mixed_codes(generator: Any, z: Tensor, segments: int) -> Tensor:
    """W+ codes that mix several w, each on an equal share of consecutive layers.

    Args:
        generator: A generator with ``mapping`` and ``num_ws`` L.
        z: (N * segments, z_dim).
        segments: How many w go into one code; 1 for none mixed.

    Returns:
        (N, L, D).
    """
    codes = sample_codes(generator, z).unflatten(0, (-1, segments))  # (N, segments, D)
    owner = torch.arange(generator.num_ws, device=z.device) * segments // generator.num_ws
    return codes[:, owner]


def require_segments(generator: Any, segments: int) -> None:
    """Refuse ``style_segments`` that ``mixed_codes`` cannot mix.

    Raises:
        ValueError: There are more segments than layers; a single layer mixes nothing.
    """
    if segments > generator.num_ws > 1:
        raise ValueError(
            f"style_segments is {segments}, but the generator has {generator.num_ws} layers: "
            "choose at most that many."
        )


def gathered(codes: Tensor) -> Tensor:
    """The codes (N, D) of all processes one after the other, the same in each of them."""
    if not (dist.is_available() and dist.is_initialized()):
        return codes
    parts = [torch.empty_like(codes) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, codes.contiguous())
    return torch.cat(parts)


def projected_deviations(codes: Tensor, components: Tensor) -> Tensor:
    """Population standard deviation of codes (N, D) along components (C, D): float64 (C,)."""
    return (codes.double() @ components.double().T).std(0, correction=0)


class Eigen(NamedTuple):
    """Eigenpairs of a symmetric matrix, largest eigenvalue first.

    Attributes:
        values: float64 (D,).
        vectors: float64 (D, D), unit rows.
    """

    values: Tensor
    vectors: Tensor


def eigen_descending(matrix: Tensor) -> Eigen:
    """Eigenpairs of a symmetric float64 matrix (D, D), in a fixed order and with fixed signs.

    An eigenvector's sign is arbitrary; its entry of largest magnitude is made positive, so that
    the same data name the same directions everywhere.
    """
    # On the host even for a matrix on a GPU: it is small, and the bits do not depend on the device.
    values, columns = torch.linalg.eigh(matrix.cpu())
    vectors = columns.T.flip(0)
    largest = vectors.abs().argmax(1, keepdim=True)
    vectors = vectors * vectors.gather(1, largest).sign()
    return Eigen(values.flip(0).to(matrix.device), vectors.to(matrix.device))
