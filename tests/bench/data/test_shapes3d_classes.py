from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.data.shapes3d import FACTORS, Shapes3D
from bench.data.shapes3d_classes import LABELS, Shapes3DLabels, Shapes3DShape
from bench.factor_labels import FactorLabels
from bench.parts import open_dataset
from bench.predictors import Predictor, load_predictor

VIEW_STRIDE = 11  # 44 of the 480 views: all scales, shapes and orientations, quickly rendered


def test_shapes_are_classes() -> None:
    dataset = Shapes3DShape(8)
    assert dataset.attributes.names == ("Cube", "Cylinder", "Sphere", "Capsule")
    assert dataset.attributes.classes
    assert dataset.attributes.exclusive == (dataset.attributes.names,)
    indices = torch.tensor([0, 15, 30, 45, 60, 479_999])
    images, labels = dataset.batch(indices)
    assert labels.argmax(1).tolist() == [0, 1, 2, 3, 0, 3]
    assert torch.equal(images, Shapes3D(8).batch(indices)[0])


def test_every_scene_has_one_label_of_each_group() -> None:
    dataset = Shapes3DLabels(8)
    attributes = dataset.attributes
    assert (len(attributes.names), len(attributes.exclusive)) == (34, 4)
    assert not attributes.classes
    indices = torch.arange(0, 480_000, 1_237)
    labels, factors = dataset.labels(indices), Shapes3D(1).factors(indices)
    for factor, group in LABELS.items():
        assert group in attributes.exclusive
        columns = [attributes.names.index(name) for name in group]
        assert (labels[:, columns].sum(1) == 1).all()
        assert torch.equal(labels[:, columns].argmax(1), factors[:, FACTORS.index(factor)])
    with pytest.raises(IndexError, match="shapes3d-labels"):
        dataset.labels(torch.tensor([480_000]))


def test_labels_and_sizes_are_in_the_fingerprint() -> None:
    datasets = (Shapes3DShape(8), Shapes3DLabels(8), Shapes3DLabels(16), Shapes3D(8))
    assert len({dataset.fingerprint() for dataset in datasets}) == 4
    assert Shapes3DShape.presets["small"] == {"size": 32}
    assert open_dataset("shapes3d-shape", None, {}).size == 64


@pytest.mark.parametrize("dataset", [Shapes3DShape(32), Shapes3DLabels(32)], ids=lambda d: d.name)
def test_the_predictor_knows_every_label(dataset: Shapes3DShape) -> None:
    predictor = load_predictor("shapes3d-labels")
    test = dataset.split("test")
    test = test[test % 480 % VIEW_STRIDE == 0]
    images, truth = dataset.batch(test[:: len(test) // 200][:200])
    columns = [predictor.names.index(name) for name in dataset.attributes.names]
    scores = predictor(images)[:, columns]
    assert ((scores >= 0) & (scores <= 1)).all()
    for group in dataset.attributes.exclusive:
        own = [dataset.attributes.names.index(name) for name in group]
        assert (scores[:, own].argmax(1) == truth[:, own].argmax(1)).float().mean() > 0.98
    assert ((scores > 0.5) == (truth > 0.5)).float().mean() > 0.99
    assert predictor.sha256 == load_predictor("shapes3d").sha256


class _Scores(Predictor):
    """Reads the scores off the first pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :2]


def test_labels_are_as_near_as_the_scores_of_factors() -> None:
    factors = _Scores(("scale", "shape"), (8, 4), sha256="abc")
    predictor = FactorLabels(factors, {"shape": ("a", "b", "c", "d"), "scale": tuple("efghijkl")})
    scores = torch.tensor([[1 / 7, 0.0], [0.0, 0.5], [1.0, 0.3]])
    labels = predictor(scores[:, None, None])
    assert predictor.names == tuple("abcdefghijkl")
    assert predictor.levels == (2,) * 12
    expected = torch.tensor([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0.1, 0.9, 0, 0]])
    torch.testing.assert_close(labels[:, :4], expected)
    assert labels[:, 4:].argmax(1).tolist() == [1, 0, 7]
