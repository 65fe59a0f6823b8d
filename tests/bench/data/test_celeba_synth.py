from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from bench.cli import main
from bench.data.celeba import CelebA
from bench.data.celeba_annotations import (
    ATTRIBUTE_SETS,
    ATTRIBUTES,
    HAIR_COLOURS,
    read_attributes,
    read_numbers,
)
from bench.data.celeba_synth import CelebASynth
from bench.data.celeba_synth_labels import DRAWN, EXCLUSIVE, OF_PEOPLE, UNDRAWN, changed_labels
from bench.parts import open_dataset
from bench.spec import parse_assignments

COUNT = 400
PICTURE_MEANS = [142.835, 131.569, 120.748]
FINGERPRINT = "8b6a7805"

# Rates of CelebA's 202,599 images.
CELEBA_RATES = {
    "Male": 0.417,
    "Young": 0.774,
    "Bald": 0.022,
    "Bangs": 0.152,
    "Bushy_Eyebrows": 0.142,
    "Eyeglasses": 0.065,
    "Mouth_Slightly_Open": 0.483,
    "Mustache": 0.042,
    "No_Beard": 0.835,
    "Pale_Skin": 0.043,
    "Smiling": 0.482,
    "Wearing_Hat": 0.048,
    "Wearing_Necktie": 0.073,
    "Wearing_Lipstick": 0.472,
    "Rosy_Cheeks": 0.066,
}


@pytest.fixture(scope="module")
def faces() -> CelebASynth:
    return CelebASynth(COUNT, size=32, attributes="drawn")


def _toggled(faces: CelebASynth, indices: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Images without and with an attribute, cleared of what excludes it."""
    column = faces.attributes.names.index(name)
    rivals = {rival for group in EXCLUSIVE if name in group for rival in group} - {name}
    target = faces.labels(indices)
    target[:, [faces.attributes.names.index(rival) for rival in rivals]] = 0
    target[:, column] = 0
    without = faces.counterfactuals(indices, target)
    target[:, column] = 1
    return without, faces.counterfactuals(indices, target)


@settings(deadline=None, max_examples=6)
@given(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=7), st.sampled_from([17, 32]))
def test_an_image_depends_on_its_index_only(indices: list[int], size: int) -> None:
    together = CelebASynth(COUNT, size).batch(torch.tensor(indices))[0]
    fresh = CelebASynth(2 * COUNT, size)
    for image, index in zip(together, indices, strict=True):
        assert torch.equal(fresh[index][0], image)


def test_images_are_pixels_in_the_contracts_range(faces: CelebASynth) -> None:
    images, labels = faces.batch(torch.tensor([5, 3, 5]))
    assert (images.shape, images.dtype) == ((3, 3, 32, 32), torch.float32)
    assert images.abs().max() <= 1
    assert torch.equal(images[0], images[2])
    assert torch.equal(labels, faces.labels(torch.tensor([5, 3, 5])))
    assert set(labels.unique().tolist()) == {0.0, 1.0}
    assert faces.batch(torch.tensor([], dtype=torch.int64))[0].shape == (0, 3, 32, 32)
    with pytest.raises(IndexError, match=r"\[0, 400\)"):
        faces.batch(torch.tensor([COUNT]))


def test_the_counterfactual_of_ones_own_attributes_is_the_image(faces: CelebASynth) -> None:
    indices = torch.arange(0, COUNT, 17)
    images, labels = faces.batch(indices)
    assert torch.equal(faces.counterfactuals(indices, labels), images)


@pytest.mark.parametrize("name", DRAWN)
def test_every_attribute_is_visible(faces: CelebASynth, name: str) -> None:
    without, with_it = _toggled(faces, torch.arange(3, COUNT, 50), name)
    changed = (without - with_it).abs().amax(1)  # N, H, W
    # By a quarter of the range somewhere, on most faces and at 32 pixels; hair or another attribute
    # may hide a small thing on some.
    assert (changed.amax((1, 2)) > 0.15).float().mean() > 0.6, changed.amax((1, 2))


@pytest.mark.parametrize(
    ("name", "box"),  # rows and columns that an attribute may change at 32 pixels
    [
        ("Smiling", (12, 27, 7, 25)),
        ("Mouth_Slightly_Open", (19, 27, 9, 23)),
        ("Eyeglasses", (12, 22, 5, 27)),
        ("Wearing_Necktie", (26, 32, 0, 32)),
        ("Mustache", (18, 26, 8, 24)),
        ("Wearing_Hat", (0, 18, 0, 32)),
    ],
)
def test_an_edit_stays_in_its_place(
    faces: CelebASynth, name: str, box: tuple[int, int, int, int]
) -> None:
    bald = faces.labels(torch.arange(COUNT))[:, faces.attributes.names.index("Bald")] > 0
    hairy = (~bald).nonzero()[:12, 0]
    column = faces.attributes.names.index(name)
    target = faces.labels(hairy)
    target[:, column] = 1 - target[:, column]
    changed = (faces.counterfactuals(hairy, target) - faces.batch(hairy)[0]).abs().amax((0, 1)) > 0
    top, bottom, left, right = box
    assert changed[top:bottom, left:right].any()
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_hair_has_the_colour_of_its_label(faces: CelebASynth) -> None:
    index = torch.tensor([8 * 40])  # a young woman without a hat
    own = {name: _toggled(faces, index, name)[1][0, :, 5:8, 14:18] for name in HAIR_COLOURS}
    light = {name: float(patch.mean()) for name, patch in own.items()}
    warmth = {name: float(patch[0].mean() - patch[2].mean()) for name, patch in own.items()}
    assert light["Black_Hair"] < light["Brown_Hair"] < light["Gray_Hair"]
    assert light["Brown_Hair"] < light["Blond_Hair"]
    assert warmth["Gray_Hair"] < 0.1 < warmth["Brown_Hair"] < warmth["Blond_Hair"]


def test_the_same_drawing_at_any_size() -> None:
    indices = torch.arange(0, COUNT, 23)
    small = CelebASynth(COUNT, 32).batch(indices)[0]
    large = CelebASynth(COUNT, 128).batch(indices)[0]
    shrunk = torch.nn.functional.avg_pool2d(large, 4)
    assert (shrunk - small).abs().mean() < 0.02
    assert (shrunk - small).abs().amax((1, 2, 3)).median() < 0.5


def test_crops_are_parts_of_the_frame() -> None:
    indices = torch.tensor([3, 44])
    frames = CelebASynth(COUNT).frames(indices)
    assert (frames.shape, frames.dtype) == ((2, 3, 218, 178), torch.uint8)
    for crop, top, left, side in [("stargan", 20, 0, 178), ("icgan", 40, 30, 138)]:
        square = CelebASynth(COUNT, side, crop=crop).batch(indices)[0].add(1).mul(127.5).round()
        cut = frames[:, :, top : top + side, left : left + side].float()
        torch.testing.assert_close(square, cut, atol=1, rtol=0)


def test_labels_follow_celebas() -> None:
    faces = CelebASynth(20_000, 32)
    everything = torch.arange(20_000)
    table = faces.all_labels(everything)
    labels = dict(zip(ATTRIBUTES, table.T, strict=True))
    rates = {name: float(labels[name].float().mean()) for name in CELEBA_RATES}
    assert rates == pytest.approx(CELEBA_RATES, abs=0.02)
    assert not any(labels[name].any() for name in UNDRAWN)
    for group in EXCLUSIVE:
        assert int(sum(labels[name].long() for name in group).max()) == 1
    for name in ("Bald", "Mustache", "Goatee", "Sideburns", "5_o_Clock_Shadow", "Wearing_Necktie"):
        assert labels["Male"][labels[name]].all()
    assert labels["No_Beard"][~labels["Male"]].all()
    assert labels["Male"][labels["Wearing_Lipstick"]].float().mean() < 0.02
    assert not labels["Young"][labels["Gray_Hair"]].any()
    named = sum(labels[name].long() for name in HAIR_COLOURS)[~labels["Bald"]]
    assert 0.85 < named.float().mean() < 0.95  # the others are red
    # Another dataset size changes nothing; another seed does.
    assert torch.equal(CelebASynth(64, 32).all_labels(everything[:64]), table[:64])
    assert not torch.equal(CelebASynth(64, 32, seed=1).all_labels(everything[:64]), table[:64])


def test_people_share_attribute_vectors_and_show_several() -> None:
    faces = CelebASynth(2000, 32)
    everything = torch.arange(2000)
    people, labels = faces.identities(everything), faces.all_labels(everything)
    assert people.bincount().tolist() == [8] * 250
    personal = [ATTRIBUTES.index(name) for name in OF_PEOPLE]
    assert torch.equal(labels[:, personal], labels[people * 8][:, personal])
    vectors = faces.labels(everything)
    for vector in vectors.unique(dim=0):
        rows = (vectors == vector).all(1)
        if rows.sum() > 40:
            assert len(people[rows].unique()) > 20
    shown = [len(vectors[people == one].unique(dim=0)) for one in range(50)]
    assert sum(shown) / 50 > 3


def test_unselected_attributes_stay_unless_they_are_excluded() -> None:
    labels = torch.zeros(2, 40, dtype=torch.bool)
    for name in ("Bald", "Smiling", "No_Beard"):
        labels[:, ATTRIBUTES.index(name)] = True
    names = ATTRIBUTE_SETS["stargan"]
    changed = changed_labels(labels, names, torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 1, 0]]))
    shown = [{ATTRIBUTES[column] for column in row.nonzero()[:, 0]} for row in changed]
    assert shown == [
        {"Black_Hair", "Male", "Smiling", "No_Beard"},
        {"Bald", "Male", "Smiling", "No_Beard"},
    ]


def test_nobody_is_in_both_parts(faces: CelebASynth) -> None:
    train, test = faces.split("train"), faces.split("test")
    assert torch.equal(torch.cat([train, test]).sort().values, torch.arange(COUNT))
    assert len(test) == COUNT // 10
    assert not set(faces.identities(train).tolist()) & set(faces.identities(test).tolist())
    with pytest.raises(ValueError, match="validation"):
        faces.split("validation")  # type: ignore[arg-type]


def test_pictures_change_only_with_the_fingerprint() -> None:
    # Whoever changes how images look has to raise _PICTURES in bench/data/celeba_synth.py, and then
    # to write the new numbers here: predictors and results hang on the fingerprint.
    faces = CelebASynth(COUNT)
    means = (faces.batch(torch.arange(0, COUNT, 9))[0] + 1).mean((0, 2, 3)) * 127.5
    assert means.tolist() == pytest.approx(PICTURE_MEANS, abs=0.01)
    assert faces.fingerprint().startswith(FINGERPRINT)
    others = [
        CelebASynth(COUNT + 1),
        CelebASynth(COUNT, 32),
        CelebASynth(COUNT, seed=1),
        CelebASynth(COUNT, crop="attgan"),
        CelebASynth(COUNT, attributes="attgan"),
    ]
    assert len({one.fingerprint() for one in (faces, *others)}) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 15}, "n is at least 16"),
        ({"size": 0}, "at least 1 pixel"),
        ({"crop": "centre"}, "crop is one of stargan, attgan"),
        ({"attributes": "stargans"}, "did you mean stargan"),
        ({"attributes": "zzz"}, "attributes is one of stargan"),
        ({"attributes": ["Male", "Yuong"]}, "did you mean Young"),
        ({"attributes": "Smiling,Mael"}, "did you mean Male"),
        ({"attributes": ["Male", "Blurry"]}, "Blurry are not drawn"),
        ({"attributes": "infoscc-15"}, "Blurry are not drawn"),
        ({"attributes": "all"}, "dataset.attributes=drawn"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CelebASynth(**options)  # type: ignore[arg-type]


def test_names_are_taken_as_text() -> None:
    options = parse_assignments(["n=32", "attributes=Smiling,Male"])
    assert open_dataset("celeba-synth", None, options).attributes.names == ("Smiling", "Male")
    assert CelebASynth(COUNT, attributes="Bald").attributes.names == ("Bald",)


def test_the_catalog_opens_it() -> None:
    faces = open_dataset("celeba-synth", None, {"n": 32, "size": 32, "attributes": "attgan"})
    assert faces.attributes.names == ATTRIBUTE_SETS["attgan"]
    assert faces.attributes.exclusive == (("Black_Hair", "Blond_Hair", "Brown_Hair"),)


def _make(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["data", "make", "celeba-synth", str(folder), *options])


def test_make_writes_celebas_format(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    done = _make(folder, "--n", "24", "--seed", "3")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"24 images in {folder}, 24 of them new\n"
    drawn = CelebASynth(24, seed=3)
    everything = torch.arange(24)
    table = read_attributes(folder / "list_attr_celeba.txt")
    assert torch.equal(
        torch.from_numpy(table.columns(ATTRIBUTES)) > 0, drawn.all_labels(everything)
    )
    people = read_numbers(folder / "identity_CelebA.txt")
    assert list(people.values()) == [1] * 8 + [2] * 8 + [3] * 8
    parts = read_numbers(folder / "list_eval_partition.txt")
    assert list(parts.values()) == [0] * 8 + [1] * 8 + [2] * 8
    with Image.open(folder / "img_align_celeba" / "000001.jpg") as image:
        assert (image.size, image.mode, image.format) == ((178, 218), "RGB", "JPEG")
    read = CelebA(folder, size=64)
    error = (read.batch(everything)[0] - drawn.batch(everything)[0]).abs().mean()
    assert error < 0.05


def test_make_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    _make(folder, "--n", "16")
    first = folder / "img_align_celeba" / "000001.jpg"
    before = first.read_bytes()
    first.unlink()
    (folder / "list_attr_celeba.txt").unlink()
    again = _make(folder, "--n", "16")
    assert again.stdout.endswith(", 1 of them new\n")
    assert first.read_bytes() == before
    assert (folder / "list_attr_celeba.txt").exists()
    assert json.loads((folder / "celeba-synth.json").read_text())["images"] == 16
    for options in (("--n", "17"), ("--n", "16", "--seed", "1")):
        other = _make(folder, *options)
        assert other.exit_code == 2
        assert "another --n, --seed or version" in other.stderr


def test_make_leaves_other_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "thesis.txt"):
        refused = _make(folder, "--n", "16")
        assert refused.exit_code == 2
        assert "name a new folder" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert _make(tmp_path / "few", "--n", "3").exit_code == 2
