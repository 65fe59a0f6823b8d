from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrics.classification import multilabel_scores
from metrics.editing import Bootstrap, classification_of_edits, mean_over_edits

FEW = Bootstrap(resamples=20)


@given(
    tables=st.tuples(st.integers(2, 30), st.integers(1, 5)).flatmap(
        lambda shape: st.tuples(*[hnp.arrays(np.int64, shape, elements=st.integers(0, 1))] * 2)
    ),
    images=st.integers(2, 9),
)
def test_scores_are_those_of_all_edits_together(
    tables: tuple[np.ndarray, np.ndarray], images: int
) -> None:
    predicted, target = tables
    image = np.arange(len(predicted)) % images
    got = classification_of_edits(predicted, target, image, FEW)
    want = multilabel_scores(target, predicted)
    assert got["accuracy"].value == pytest.approx(want.subset_accuracy)
    assert got["hamming_accuracy"].value == pytest.approx(want.hamming_accuracy)
    for average in ("macro", "micro", "weighted", "samples"):
        assert got[f"f1_{average}"].value == pytest.approx(getattr(want.f1, average))


def test_images_are_resampled_whole() -> None:
    # Ten edits of each image, all right or all wrong: as uncertain as ten images are, not hundred.
    image = np.repeat(np.arange(10), 10)
    right = mean_over_edits(image % 2, image)
    alone = mean_over_edits(np.arange(10) % 2, np.arange(10))
    assert right.value == 0.5
    assert (right.interval.low, right.interval.high) == (alone.interval.low, alone.interval.high)
    assert right.interval.high - right.interval.low > 0.4


def test_images_with_more_edits_weigh_more() -> None:
    assert mean_over_edits([1, 1, 1, 0], [0, 0, 0, 1], FEW).value == 0.75


def test_perfect_edits_have_no_spread() -> None:
    target = np.eye(3, dtype=int)
    for score in classification_of_edits(target, target, [0, 1, 2], FEW).values():
        assert (score.value, score.interval.low, score.interval.high) == (1.0, 1.0, 1.0) or (
            score.value == 1.0 and score.interval.high == 1.0  # F1 of an attribute that is missing
        )


@pytest.mark.parametrize(
    ("predicted", "target", "image", "message"),
    [
        ([[1, 0]], [[1, 0]], [0], "at least two images"),
        ([[1, 0]] * 2, [[1]] * 2, [0, 1], r"shape \(2, 2\) were predicted, but \(2, 1\)"),
        ([[1, 2]] * 2, [[1, 0]] * 2, [0, 1], "must be 0 or 1"),
        ([[1, 0]] * 2, [[1, 0]] * 2, [0, 1, 2], "2 edits, but the images of 3"),
    ],
)
def test_bad_input(predicted: object, target: object, image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_of_edits(predicted, target, image)


def test_values_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="values of the edits"):
        mean_over_edits([1.0, np.nan], [0, 1])
