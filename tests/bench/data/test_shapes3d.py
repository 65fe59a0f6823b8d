from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.data.shapes3d import FACTOR_SIZES, FACTORS, Shapes3D

INDICES = st.integers(0, 479_999)
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)

# Measured on the published pictures, with the orientation's index counted from -30 degrees:
# first and last row and column of the object, by (scale, shape, orientation).
BOXES = {
    (0, CUBE, 7): (38, 54, 24, 39),
    (0, CYLINDER, 14): (37, 54, 24, 39),
    (0, SPHERE, 14): (35, 52, 24, 39),
    (0, CAPSULE, 14): (26, 52, 25, 38),
    (1, CAPSULE, 14): (23, 52, 25, 38),
    (2, CAPSULE, 14): (21, 52, 24, 39),
    (3, CAPSULE, 14): (18, 52, 23, 40),
    (4, CAPSULE, 14): (15, 52, 23, 40),
    (5, CAPSULE, 14): (12, 52, 22, 41),
    (6, CAPSULE, 14): (9, 52, 21, 42),
    (7, CAPSULE, 14): (7, 52, 21, 42),
}
PICTURE_MEANS = [179.763, 99.565, 102.364]
FINGERPRINT = "26cd1882"
CORNER_COLUMNS = {0: 44, 1: 47, 2: 51, 3: 55, 4: 59}  # by the orientation's index


@pytest.fixture(scope="module")
def shapes3d() -> Shapes3D:
    return Shapes3D()


def _bytes(dataset: Shapes3D, *factors: int) -> Tensor:
    """One image with values in [0, 255], (3, H, W)."""
    images, _ = dataset.batch(dataset.index(torch.tensor([factors])))
    return (images[0] + 1) * 127.5


@given(st.tuples(*(st.integers(0, size - 1) for size in FACTOR_SIZES)))
def test_factors_and_index_are_inverse(shapes3d: Shapes3D, factors: tuple[int, ...]) -> None:
    index = shapes3d.index(torch.tensor([factors]))
    assert shapes3d.factors(index).tolist() == [list(factors)]


def test_index_order_is_that_of_the_original(shapes3d: Shapes3D) -> None:
    bases = shapes3d.index(torch.eye(6, dtype=torch.int64))
    assert bases.tolist() == [48000, 4800, 480, 60, 15, 1]


@given(INDICES, st.sampled_from(range(6)), st.data())
def test_counterfactual_changes_one_factor(
    shapes3d: Shapes3D, index: int, factor: int, data: st.DataObject
) -> None:
    value = data.draw(st.integers(0, FACTOR_SIZES[factor] - 1))
    before = shapes3d.factors(torch.tensor([index]))[0].tolist()
    changed = shapes3d.counterfactual(torch.tensor([index]), FACTORS[factor], value)
    before[factor] = value
    assert shapes3d.factors(changed)[0].tolist() == before


def test_attributes_are_the_factors_scaled_to_the_unit_interval(shapes3d: Shapes3D) -> None:
    corners = torch.tensor([[0] * 6, [size - 1 for size in FACTOR_SIZES], [3, 0, 0, 0, 1, 7]])
    _, attributes = shapes3d.batch(shapes3d.index(corners))
    assert attributes.dtype == torch.float32
    torch.testing.assert_close(
        attributes,
        torch.tensor([[0.0] * 6, [1.0] * 6, [3 / 9, 0.0, 0.0, 0.0, 1 / 3, 0.5]]),
    )
    assert shapes3d.attributes.names == FACTORS


def test_an_image_depends_on_its_index_only(shapes3d: Shapes3D) -> None:
    indices = torch.tensor([470_000, 17, 17, 123_456, 470_000])
    images, attributes = shapes3d.batch(indices)
    fresh = Shapes3D()
    for place in reversed(range(len(indices))):
        image, attribute = fresh[int(indices[place])]
        assert torch.equal(image, images[place])
        assert torch.equal(attribute, attributes[place])


@pytest.mark.parametrize("size", [1, 20, 96])
def test_any_size(shapes3d: Shapes3D, size: int) -> None:
    indices = torch.tensor([7, 240_000])
    images, _ = Shapes3D(size).batch(indices)
    assert images.shape == (2, 3, size, size)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1
    # The same scene, whatever the resolution.
    small, own = (
        torch.nn.functional.interpolate(one, 1, mode="area")
        for one in (images, shapes3d.batch(indices)[0])
    )
    torch.testing.assert_close(small, own, atol=0.1 if size == 1 else 0.02, rtol=0)


def test_an_empty_batch_and_wrong_indices(shapes3d: Shapes3D) -> None:
    images, attributes = shapes3d.batch(torch.tensor([], dtype=torch.int64))
    assert images.shape == (0, 3, 64, 64)
    assert attributes.shape == (0, 6)
    for wrong in (-1, 480_000):
        with pytest.raises(IndexError, match=r"\[0, 480000\)"):
            shapes3d.batch(torch.tensor([wrong]))
    with pytest.raises(IndexError):
        shapes3d.counterfactual(torch.tensor([0]), "shape", 4)
    with pytest.raises(ValueError, match="floor_hue"):
        shapes3d.counterfactual(torch.tensor([0]), "colour", 0)


@pytest.mark.parametrize(("view", "box"), BOXES.items())
def test_objects_stand_where_those_of_the_original_do(
    shapes3d: Shapes3D, view: tuple[int, int, int], box: tuple[int, ...]
) -> None:
    change = (_bytes(shapes3d, 0, 6, 3, *view) - _bytes(shapes3d, 0, 6, 8, *view)).abs().amax(0)
    seen = change > 0.5 * change.max()
    rows = (seen.sum(1) >= 2).nonzero()
    columns = (seen.sum(0) >= 2).nonzero()
    found = (int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1]))
    assert max(abs(a - b) for a, b in zip(found, box, strict=True)) <= 2, found


@pytest.mark.parametrize(("orientation", "column"), CORNER_COLUMNS.items())
def test_the_rooms_corner_is_where_that_of_the_original_is(
    shapes3d: Shapes3D, orientation: int, column: int
) -> None:
    walls = _bytes(shapes3d, 0, 6, 3, 0, CUBE, orientation)[1, 24:34].mean(0)
    step = int(walls.diff().abs().argmax())
    assert abs(step - column) <= 2


def test_colours_are_those_of_the_original(shapes3d: Shapes3D) -> None:
    front = _bytes(shapes3d, 0, 6, 5, 2, CUBE, 7)
    assert front[:, :12].mean((1, 2)).round().tolist() == [153, 226, 249]
    assert front[1, 46, 32] / 255 == pytest.approx(0.945, abs=0.02)  # the cube's front
    assert 1.0 <= front[1, 22:36, 8:20].mean() / 102 <= 1.1  # the wall behind
    assert front[0, 60, 4] == pytest.approx(255)  # the floor, clipped on the left
    assert 0.7 <= front[0, 56:, 60:].mean() / 255 <= 0.95  # and darker on the right
    capsule = _bytes(shapes3d, 0, 6, 5, 7, CAPSULE, 7)
    assert capsule[0, 55, 42] / 255 == pytest.approx(0.33, abs=0.03)  # the shadow
    turned = _bytes(shapes3d, 0, 6, 5, 2, CUBE, 0)
    assert 0.6 <= turned[1, 24:34, 50:].mean() / 102 <= 0.8  # the dark wall


def test_each_hue_colours_its_own_part(shapes3d: Shapes3D) -> None:
    index = shapes3d.index(torch.tensor([[0, 0, 0, 4, SPHERE, 3]]))
    image = shapes3d.batch(index)[0]
    parts = []
    for factor in ("floor_hue", "wall_hue", "object_hue"):
        changed = shapes3d.batch(shapes3d.counterfactual(index, factor, 5))[0]
        parts.append((changed - image)[0].abs().amax(0) > 1.2)
    floor, wall, thing = parts
    assert not (floor & wall).any()
    assert not (wall & thing).any()
    assert not (floor & thing).any()
    assert min(int(part.sum()) for part in parts) > 300
    assert not wall[44:].any()
    assert not floor[:38].any()


def test_pictures_change_only_with_the_fingerprint(shapes3d: Shapes3D) -> None:
    # Whoever changes how images look has to raise _PICTURES in bench/data/shapes3d.py, and then
    # to write the new numbers here: generators, predictors and results hang on the fingerprint.
    images, _ = shapes3d.batch(torch.arange(0, 480_000, 48_077))
    means = (images + 1).mean((0, 2, 3)) * 127.5
    assert means.tolist() == pytest.approx(PICTURE_MEANS, abs=0.01)
    assert shapes3d.fingerprint().startswith(FINGERPRINT)
    assert Shapes3D(32).fingerprint() != shapes3d.fingerprint()


def test_training_and_test_images_are_disjoint(shapes3d: Shapes3D) -> None:
    train, test = shapes3d.split("train"), shapes3d.split("test")
    assert len(train) == 432_000
    assert torch.equal(torch.cat([train, test]).sort().values, torch.arange(480_000))
    assert torch.equal(test, Shapes3D(32).split("test"))
    with pytest.raises(ValueError, match="validation"):
        shapes3d.split("validation")  # type: ignore[arg-type]
