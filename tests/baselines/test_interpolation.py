from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.interpolation import lerp, slerp
from baselines.randomness import normals

SEEDS = st.integers(0, 999)
SHARES = st.floats(0, 1)


@given(seed=SEEDS, share=SHARES)
def test_spherical_paths_keep_the_length_and_share_the_angle(seed: int, share: float) -> None:
    start, end = torch.nn.functional.normalize(normals(seed, 0, 2, 5).double(), dim=1)
    point = slerp(start, end, share)
    assert point.norm().item() == pytest.approx(1)
    whole, part = torch.dot(start, end).acos(), torch.dot(start, point).clamp(-1, 1).acos()
    assert part.item() == pytest.approx(share * whole.item(), abs=1e-6)


@given(seed=SEEDS, share=SHARES)
def test_paths_lead_from_one_end_to_the_other_row_by_row(seed: int, share: float) -> None:
    start, end = normals(seed, 0, 6, 4).reshape(2, 3, 4)
    for path in (lerp, slerp):
        torch.testing.assert_close(path(start, end, 0.0), start)
        torch.testing.assert_close(path(start, end, 1.0), end)
        rows = [path(a, b, share) for a, b in zip(start, end, strict=True)]
        torch.testing.assert_close(path(start, end, share), torch.stack(rows))


def test_paths_between_parallel_and_opposite_vectors_are_straight() -> None:
    start = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    end = torch.tensor([[2.0, 4.0], [-1.0, -2.0]])
    torch.testing.assert_close(slerp(start, end, 0.25), lerp(start, end, 0.25))
