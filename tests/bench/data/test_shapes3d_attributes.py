from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.shapes3d import Shapes3D
from bench.data.shapes3d_attributes import Shapes3DAttributes
from bench.parts import open_dataset

EVERYTHING = torch.arange(384_000)
NAMES = ("Red_Object", "Green_Object", "Blue_Object", "Large_Object", "Round_Object")
FINGERPRINT = "32fec096"

TARGETS = st.tuples(st.sampled_from(range(4)), st.booleans(), st.booleans()).map(
    lambda drawn: [float(drawn[0] == colour) for colour in range(3)] + [*map(float, drawn[1:])]
)


@pytest.fixture(scope="module")
def scenes() -> Shapes3DAttributes:
    return Shapes3DAttributes(16)


def test_attributes_are_read_off_the_factors(scenes: Shapes3DAttributes) -> None:
    assert scenes.attributes.names == NAMES
    assert scenes.attributes.exclusive == (NAMES[:3],)
    labels = scenes.labels(EVERYTHING)
    factors = Shapes3D(1).factors(scenes.scenes(EVERYTHING))
    hues = [sorted(factors[labels[:, column] > 0, 2].unique().tolist()) for column in range(3)]
    assert hues == [[0, 9], [3, 4], [6, 7]]
    assert factors[(labels[:, :3] == 0).all(1), 2].unique().tolist() == [1, 2]
    assert torch.equal(labels[:, 3] > 0, factors[:, 3] >= 4)
    assert torch.equal(labels[:, 4] > 0, factors[:, 4] >= 2)
    assert labels.mean(0).tolist() == pytest.approx([0.25, 0.25, 0.25, 0.5, 0.5])


@given(st.integers(0, 383_999), TARGETS)
def test_an_edit_has_its_attributes_and_its_identity(
    scenes: Shapes3DAttributes, index: int, target: list[float]
) -> None:
    one = torch.tensor([index])
    edited = scenes.edited(one, torch.tensor([target]))
    assert scenes.labels(edited).tolist() == [target]
    assert torch.equal(scenes.identities(edited), scenes.identities(one))
    assert torch.equal(scenes.edited(edited, scenes.labels(one)), one)  # the reverse undoes it


def test_own_attributes_change_nothing(scenes: Shapes3DAttributes) -> None:
    assert torch.equal(scenes.edited(EVERYTHING, scenes.labels(EVERYTHING)), EVERYTHING)
    indices = torch.tensor([7, 200_000])
    images, labels = scenes.batch(indices)
    assert torch.equal(scenes.counterfactuals(indices, labels), images)
    assert torch.equal(images, Shapes3D(16).batch(scenes.scenes(indices))[0])


def test_identities_are_what_attributes_leave_open(scenes: Shapes3DAttributes) -> None:
    identities, labels = scenes.identities(EVERYTHING), scenes.labels(EVERYTHING)
    assert torch.equal(identities.bincount(), torch.full((24_000,), 16))
    # No two images of an identity have the same attributes.
    vectors = (labels @ torch.tensor([1.0, 2, 4, 8, 16])).long()
    assert len((identities * 32 + vectors).unique()) == 384_000


def test_no_identity_is_in_both_parts(scenes: Shapes3DAttributes) -> None:
    train, test = scenes.split("train"), scenes.split("test")
    assert torch.equal(torch.cat([train, test]).sort().values, EVERYTHING)
    assert len(test) == 38_400
    assert not torch.isin(scenes.identities(test), scenes.identities(train)).any()
    with pytest.raises(ValueError, match="validation"):
        scenes.split("validation")  # type: ignore[arg-type]


def test_attributes_are_visible_at_32_pixels() -> None:
    scenes = Shapes3DAttributes(32)
    yellow_cube = torch.tensor([1 * 38400 + 5 * 3840 + 7 * 480 + 1 * 60 + 0 * 15 + 7])
    image, labels = scenes.batch(yellow_cube)
    assert labels.sum() == 0
    for column in range(5):
        target = labels.clone()
        target[:, column] = 1
        change = (scenes.counterfactuals(yellow_cube, target) - image).abs().amax((0, 1))
        assert int((change > 0.5).sum()) > 5, NAMES[column]


def test_wrong_input(scenes: Shapes3DAttributes) -> None:
    with pytest.raises(ValueError, match="At most one of Red_Object"):
        scenes.counterfactuals(torch.tensor([0]), torch.tensor([[1.0, 1, 0, 0, 0]]))
    with pytest.raises(IndexError, match=r"\[0, 384000\)"):
        scenes.labels(torch.tensor([384_000]))
    with pytest.raises(ValueError, match="at least 1 pixel"):
        Shapes3DAttributes(0)


def test_the_catalog_opens_it(scenes: Shapes3DAttributes) -> None:
    opened = open_dataset("shapes3d-attributes", None, {"size": 16})
    assert opened.fingerprint() == scenes.fingerprint() != Shapes3DAttributes().fingerprint()
    assert scenes.fingerprint().startswith(FINGERPRINT)
