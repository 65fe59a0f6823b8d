"""Errors of latents, as they are and beside the spread of their prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metrics.latent_error import latent_errors, prior_spread

_LATENTS = arrays(np.float64, (5, 3), elements=st.floats(-100, 100, width=32))


def test_formulas() -> None:
    found, true = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    assert latent_errors(found, true).tolist() == [2.0, 12.5]
    assert prior_spread(true) == pytest.approx((1.0 + 4.0) / 2)


@settings(deadline=None, max_examples=50)
@given(true=_LATENTS, scale=st.floats(0.01, 100))
def test_relative_errors_have_no_scale(true: np.ndarray, scale: float) -> None:
    if np.ptp(true, axis=0).max() < 1e-3:
        return
    mean = np.broadcast_to(true.mean(axis=0), true.shape)
    for factor in (1.0, scale):
        errors = latent_errors(factor * mean, factor * true)
        assert errors.mean() / prior_spread(factor * true) == pytest.approx(1.0)
    assert latent_errors(true, true).max() == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latent_errors([[1.0]], [[1.0], [2.0]]), "1 latents have no errors against 2 true"),
        (lambda: latent_errors([[1.0]], [[1.0, 2.0]]), "latents found has 1 columns, but .* 2"),
        (lambda: latent_errors([[np.nan]], [[1.0]]), "latents found has 1 NaN"),
        (lambda: latent_errors([[1e200]], [[0.0]]), "so large that their errors overflow"),
        (lambda: prior_spread([[1.0, 2.0]] * 3), "latents are all the same"),
        (lambda: prior_spread([1.0, 2.0]), "must have 2 axes"),
        (lambda: prior_spread([[1e200], [-1e200]]), "so large that their variance overflows"),
    ],
)
def test_bad_input_is_refused(call, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
