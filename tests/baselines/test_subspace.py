from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, IncrementalPCA
from torch import Tensor

from baselines.base import Batch, TrainingData
from baselines.randomness import Draws
from baselines.subspace import (
    ExactSubspace,
    IncrementalSubspace,
    Subspace,
    SubspaceStage,
    eigen_descending,
    projected_deviations,
)


@pytest.fixture
def codes() -> Tensor:
    """Codes far from the origin, whose variances fall off slowly."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(12, 12, generator=generator)
    return 30 + torch.randn(600, 12, generator=generator) @ mixing


def observed(subspace: Subspace, codes: Tensor, block: int) -> Subspace:
    for part in codes.split(block):
        subspace.observe(part)
    subspace.solve()
    return subspace


@pytest.mark.parametrize("block", [1, 37, 600])
def test_exact_components_are_those_of_a_full_pca(codes: Tensor, block: int) -> None:
    found = observed(ExactSubspace(12, 5), codes, block)
    full = PCA(5, svd_solver="full").fit(codes.double().numpy())
    np.testing.assert_allclose(found.variances, full.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(found.mean, full.mean_, rtol=1e-12)
    ratio = found.variances / found.total_variance
    np.testing.assert_allclose(ratio, full.explained_variance_ratio_, rtol=1e-10)
    overlap = found.components.numpy() @ full.components_.T
    np.testing.assert_allclose(np.abs(overlap), np.eye(5), atol=1e-8)


def test_incremental_components_are_those_of_scikit_learn(codes: Tensor) -> None:
    found = observed(IncrementalSubspace(12, 5), codes, 100)
    reference = IncrementalPCA(5)
    for part in codes.double().split(100):
        reference.partial_fit(part.numpy())
    np.testing.assert_allclose(found.variances, reference.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(found.mean, reference.mean_, rtol=1e-12)
    ratio = found.variances / found.total_variance
    np.testing.assert_allclose(ratio, reference.explained_variance_ratio_, rtol=1e-9)
    overlap = found.components.numpy() @ reference.components_.T
    np.testing.assert_allclose(np.abs(overlap), np.eye(5), atol=1e-7)


@pytest.mark.parametrize("kind", [ExactSubspace, IncrementalSubspace])
def test_state_is_whole_in_the_buffers(kind: type[Subspace], codes: Tensor) -> None:
    whole = observed(kind(12, 5), codes, 100)
    stopped = kind(12, 5)
    for part in codes[:300].split(100):
        stopped.observe(part)
    resumed = kind(12, 5)
    resumed.load_state_dict(stopped.state_dict())
    observed(resumed, codes[300:], 100)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_stage_analyses_the_codes_of_its_draws(tiny_data: TrainingData) -> None:
    subspace = ExactSubspace(8, 3)
    stage = SubspaceStage(subspace, tiny_data.generator, codes=60, codes_per_step=20)
    assert stage.steps == 3
    for step in range(3):
        stage.step(Batch(step, Draws(5, step, 0, 1)))
    z = torch.cat([Draws(5, step, 0, 1).normal("z", 20, 6) for step in range(3)])
    expected = observed(ExactSubspace(8, 3), tiny_data.generator.mapping(z)[:, 0], 20)
    assert int(subspace.count) == 60
    assert torch.equal(subspace.components, expected.components)
    share = SubspaceStage(ExactSubspace(8, 3), tiny_data.generator, codes=60, codes_per_step=20)
    share.step(Batch(0, Draws(5, 0, 0, 2), processes=2))
    assert int(share.subspace.count) == 10


def test_eigenpairs_come_largest_first_with_a_fixed_sign() -> None:
    basis, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    values = torch.tensor([0.5, 3.0, 2.0, 9.0, 0.0, 1.0], dtype=torch.float64)
    eigen = eigen_descending(basis @ torch.diag(values) @ basis.T)
    torch.testing.assert_close(eigen.values, values.sort(descending=True)[0])
    largest = eigen.vectors.gather(1, eigen.vectors.abs().argmax(1, keepdim=True))
    assert (largest > 0).all()


def test_deviations_are_those_of_the_projections(codes: Tensor) -> None:
    components = torch.eye(12)[:2]
    expected = codes.double().std(0, correction=0)[:2]
    torch.testing.assert_close(projected_deviations(codes, components), expected)


def test_impossible_sizes_are_refused(codes: Tensor) -> None:
    with pytest.raises(ValueError, match="subspace_size"):
        ExactSubspace(12, 13)
    with pytest.raises(ValueError, match="codes_per_step"):
        IncrementalSubspace(12, 5).observe(codes[:4])
