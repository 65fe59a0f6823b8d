"""`bench score`: the numbers of the metrics themselves, and what they say of themselves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.cli.score import command
from bench.predictors import load_predictor
from bench.score import distributions, pairs
from metrics.classification import multilabel_scores
from metrics.disentanglement.dci import dci
from metrics.disentanglement.mig import mig
from metrics.disentanglement.sampling import split
from metrics.disentanglement.sap import sap
from metrics.frechet import frechet_distance_from_features
from metrics.inception_score import inception_score
from metrics.kernel_distance import kernel_distance
from metrics.precision_recall import precision_recall
from metrics.tsne import tsne_chamfer
from tests.bench.cli.scoring import TOY, pictures, score, table
from tests.bench.extractors.toy import Quarters

COMMANDS = sorted(command.commands)
pytestmark = pytest.mark.usefixtures("scratch")


def report(*arguments: Any) -> dict[str, Any]:
    done = score(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def values(found: dict[str, Any]) -> dict[str, float]:
    return {measured["name"]: measured["value"] for measured in found["scores"]}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_two_worked_examples(name: str) -> None:
    text = score(name, "--help").stdout
    examples = re.findall(rf"^ *bench score {name} .*$", text, re.MULTILINE)
    assert len(examples) == 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom bench.cli import main\n"
        "try:\n    main(['score', 'fd', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numpy', 'pandas', 'pydantic') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


NAMES = (("real", 0), ("fake", 1))


def test_distances_of_folders_are_those_of_the_features() -> None:
    real, fake = (Quarters().pooled(pictures(name, 40, seed)) for name, seed in NAMES)
    folders = ("--real", "real", "--fake", "fake", *TOY)
    found = report("fd", *folders)
    assert values(found) == {
        "fd:quarters": pytest.approx(frechet_distance_from_features(real, fake), rel=1e-4)
    }
    assert found["scores"][0]["identity"] == {
        "extractor": "quarters",
        "weights": "d" * 64,
        "resizer": "bilinear",
        "image_size": 16,
        "real_images": 40,
        "fake_images": 40,
    }
    drawn = {"subsets": 3, "subset_size": 20, "seed": 5}
    kernel = kernel_distance(real, fake, **drawn)
    found = report("kd", *folders, "--subsets", 3, "--subset-size", 20, "--seed", 5)
    assert values(found) == {
        "kd:quarters": pytest.approx(kernel.mean, rel=1e-3, abs=1e-6),
        "kd:quarters.std": pytest.approx(kernel.std, rel=1e-3, abs=1e-6),
    }
    assert drawn.items() <= found["scores"][0]["identity"].items()
    found = report("prdc", *folders)
    usual = {3: ("precision", "recall"), 5: ("density", "coverage")}
    for k, names in usual.items():
        shares = precision_recall(fake, real, neighbours=k)
        for name in names:
            assert values(found)[f"{name}:quarters"] == pytest.approx(getattr(shares, name))
    assert [one["identity"]["neighbours"] for one in found["scores"]] == [3, 3, 5, 5]


def test_inception_score_and_its_splits() -> None:
    logits = Quarters().logits(pictures("fake", 12, 0))
    expected = inception_score(logits, splits=3, seed=1)
    found = report("is", "--fake", "fake", "--splits", 3, "--seed", 1, *TOY)
    assert values(found) == {
        "is:quarters": pytest.approx(expected.mean, rel=1e-6),
        "is:quarters.std": pytest.approx(expected.std, abs=1e-6),
    }


def test_equal_folders_and_streamed_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures("real", 30, 0)
    pictures("fake", 30, 1)
    same = ("--real", "real", "--fake", "real", *TOY)
    assert values(report("fd", *same))["fd:quarters"] == pytest.approx(0.0, abs=1e-9)
    assert set(values(report("prdc", *same, "--neighbours", 2)).values()) >= {1.0}
    others = ("--real", "real", "--fake", "fake", *TOY)
    kept = values(report("fd", *others))["fd:quarters"]
    monkeypatch.setattr(distributions, "_FEW", 0)
    assert values(report("fd", *others))["fd:quarters"] == pytest.approx(kept, rel=1e-9)
    few = score("fd", *others, "--limit", 6)
    assert "Warning: A Fréchet distance from 6 samples of 12 features is biased" in few.stderr
    assert re.search(r"^  fake_images +6$", few.stdout, re.MULTILINE)


def test_sizes_and_bad_images_are_chosen_by_options() -> None:
    pictures("real", 4, 0, size=16)
    pictures("fake", 4, 1, size=12)
    Path("fake/notes.txt").write_text("no image")
    Path("fake/broken.png").write_bytes(b"\x89PNG")
    folders = ("--real", "real", "--fake", "fake", *TOY)
    assert "broken.png" in score("fd", *folders).stderr
    found = score("fd", *folders, "--on-bad-image", "skip")
    assert "real of 16 and fake of 12 pixels): give --size 12 or less" in found.stderr
    found = report("fd", *folders, "--on-bad-image", "skip", "--size", 8)
    assert found["scores"][0]["identity"]["image_size"] == 8
    assert found["inputs"]["fake"] == {"folder": "fake", "images": 4}


def test_chamfer_names_its_points() -> None:
    real, fake = (Quarters().pooled(pictures(name, 46, seed, size=8)) for name, seed in NAMES)
    expected = tsne_chamfer(real, fake, seed=3)
    found = report("chamfer", "--real", "real", "--fake", "fake", "--seed", 3, *TOY)
    assert values(found) == {
        "tsne_chamfer:quarters.infoscc": pytest.approx(expected.infoscc, rel=1e-6),
        "tsne_chamfer:quarters.pytorch3d": pytest.approx(expected.pytorch3d, rel=1e-6),
    }
    points = {"real_points": 46, "fake_points": 46, "seed": 3}
    assert points.items() <= found["scores"][0]["identity"].items()


def test_hashes_of_two_images() -> None:
    imagehash = pytest.importorskip("imagehash")
    pictures("a", 2, 0, size=32)
    one, other = (Image.open(f"a/00{index}.png") for index in range(2))
    told = report("hashes", "a/000.png", "a/001.png")
    found, (pair,) = values(told), told["pairs"]
    for name in ("dhash", "phash", "whash"):
        hashes = [getattr(imagehash, name)(image) for image in (one, other)]
        assert found[f"{name}_similarity"] == 1 - (hashes[0] - hashes[1]) / 64
        assert [pair["hashes"][side][name] for side in ("first", "second")] == [*map(str, hashes)]
    difference = (np.asarray(one, dtype=float) - np.asarray(other)) / 127.5
    assert found["mae"] == pytest.approx(np.abs(difference).mean(), rel=1e-6)
    assert found["mse"] == pytest.approx((difference**2).mean(), rel=1e-6)


def test_folders_pair_by_name_and_say_what_does_not() -> None:
    pictures("a", 4, 0, size=32)
    pictures("b", 3, 0, size=32)
    Image.open("b/001.png").save("b/001.bmp")
    Path("b/001.png").unlink()
    Image.new("L", (20, 9), 7).save("a/small.png")
    Image.new("RGB", (20, 9), (7, 7, 7)).save("b/small.png")
    done = score("hashes", "a", "b", "--json")
    found = json.loads(done.stdout)
    assert "Warning: a holds 1 image without a counterpart, left out: 003.png." in done.stderr
    assert found["inputs"]["unpaired"] == {"first": ["003.png"], "second": []}
    assert [row["pair"] for row in found["pairs"]] == ["000.png", "001.png", "002.png", "small.png"]
    assert values(found)["dhash_similarity"] == 1.0
    assert (values(found)["mae"], values(found)["ssim"]) == (0.0, None)
    assert found["scores"][0]["identity"] == {"pairs": 4, "hash_size": 8}
    assert found["scores"][0]["interval"] == {"low": 1.0, "high": 1.0, "level": 0.95}
    text = score("hashes", "a", "b").stdout
    assert "hashes" not in text
    assert re.search(r"^psnr +100 +\[100, 100\] \(95%\)$", text, re.MULTILINE)
    assert re.search(r"^ssim +n/a$", text, re.MULTILINE)
    assert re.search(r"^small.png +1 ", text, re.MULTILINE)


def test_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lpips")
    from bench.extractors.lpips import Lpips
    from bench.extractors.weights import Weights
    from bench.verify.perceptual import backbone_by_rule

    images, others = pictures("a", 3, 0, size=40), pictures("b", 3, 1, size=40)
    missing = score("lpips", "a", "b")
    assert missing.exit_code == 2
    assert "bench fetch alexnet" in missing.stderr
    network = Lpips("alex", Weights(backbone_by_rule("alex", 0), "e" * 64))
    monkeypatch.setattr(pairs, "load_lpips", lambda net, device: network)
    found = report("lpips", "a", "b", "--net", "alex", "--device", "cpu")
    distances = network(images, others)
    assert [row["lpips-alex"] for row in found["pairs"]] == pytest.approx(distances.tolist())
    assert found["scores"][0]["identity"] == {"pairs": 3, "weights": "e" * 64}
    pictures("tiny", 1, 0, size=8)
    assert (
        "000.png: lpips-alex needs images of at least 31" in score("lpips", "tiny", "tiny").stderr
    )


def test_path_length_of_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lpips")
    pytest.importorskip("torch_fidelity")
    from bench.extractors import fidelity
    from bench.extractors.lpips import Lpips
    from bench.extractors.weights import Weights
    from bench.generators import load_generator
    from bench.score import path_length
    from bench.verify.perceptual import backbone_by_rule

    shipped = ("ppl", "--generator", "shapes3d-stylegan2", "--device", "cpu")
    missing = score(*shipped)
    assert missing.exit_code == 2
    assert "bench fetch vgg16" in missing.stderr
    network = Lpips("alex", Weights(backbone_by_rule("alex", 0), "e" * 64))
    for module in (fidelity, path_length):
        monkeypatch.setattr(module, "load_lpips", lambda net, device: network)
    drawn = {"samples": 6, "epsilon": 0.01, "interpolation": "lerp", "seed": 3}
    options = [part for name, value in drawn.items() for part in (f"--{name}", value)]
    found = report(*shipped, "--net", "alex", *options)
    generator = load_generator("shapes3d-stylegan2")
    expected = fidelity.perceptual_path_length(generator, "alex", **drawn)
    assert values(found) == {
        "ppl:lpips-alex": pytest.approx(expected.mean, rel=1e-4),
        "ppl:lpips-alex.std": pytest.approx(expected.standard_deviation, rel=1e-4),
    }
    weights = {"generator": generator.sha256, "weights": "e" * 64, "compared_size": 64}
    assert found["scores"][0]["identity"] == {**weights, **drawn}


@pytest.fixture
def codes() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    factors = np.stack([random.integers(0, size, 120) for size in (3, 4)], axis=1)
    mixed = factors @ random.standard_normal((2, 3)) + 0.1 * random.standard_normal((120, 3))
    np.save("codes.npy", mixed.astype(np.float32))
    np.save("factors.npy", factors)
    return mixed.astype(np.float32), factors


def test_disentanglement(codes: tuple[np.ndarray, np.ndarray]) -> None:
    found = report("disentanglement", "codes.npy", "factors.npy", "--metrics", "mig", "sap", "dci")
    train, test = split(*codes)
    boosted = dci(*train, *test)
    assert values(found) == {
        "mig": mig(*codes).score,
        "sap": sap(*train, *test).score,
        "dci.disentanglement": pytest.approx(boosted.disentanglement),
        "dci.completeness": pytest.approx(boosted.completeness),
        "dci.informativeness": boosted.informativeness_test,
    }
    size = {"samples": 120, "codes": 3, "factors": 2}
    parts = {"train_samples": 80, "test_samples": 40, "seed": 0}
    identities = [measured["identity"] for measured in found["scores"]]
    assert identities == [size] + [{**size, **parts}] * 4


def test_codes_may_be_bools(codes: tuple[np.ndarray, np.ndarray]) -> None:
    signs = codes[0] > 0
    np.save("signs.npy", signs)
    found = values(report("disentanglement", "signs.npy", "factors.npy", "--metrics", "mig"))
    assert found == {"mig": mig(signs, codes[1]).score}


def test_all_metrics_of_disentanglement_and_the_fast_booster(
    codes: tuple[np.ndarray, np.ndarray],
) -> None:
    pytest.importorskip("lightgbm")
    found = values(report("disentanglement", "codes.npy", "factors.npy", "--fast"))
    assert found.keys() == {
        *("mig", "modularity", "sap", "explicitness", "fvm", "beta-vae"),
        *(f"dci:lightgbm.{part}" for part in ("disentanglement", "completeness")),
        "dci:lightgbm.informativeness",
    }
    assert all(0 <= value <= 1 for value in found.values())


def test_classification_by_names_of_columns_and_samples() -> None:
    truth = np.array([[0, 1], [1, 1], [0, 0], [0, 1]])
    predicted = np.array([[0, 1], [1, 0], [1, 0], [0, 1]])
    table("true.csv", "name,Bald,Young", "NA,0,1", "b,1,1", "c,0,0", "d,0,1")
    table("pred.csv", "Young, Bald, name", "0,1,b", "1,0,d", "0,1,c", "1,0,NA")
    found = report("classification", "pred.csv", "true.csv", "--id", "name")
    scores = multilabel_scores(truth, predicted)
    got = values(found)
    assert (got["subset_accuracy"], got["hamming_accuracy"]) == (0.5, 0.75)
    for name in ("f1", "precision", "recall", "jaccard"):
        for average in ("macro", "micro", "weighted", "samples"):
            assert got[f"{name}.{average}"] == getattr(getattr(scores, name), average)
    assert [row["attribute"] for row in found["attributes"]] == ["Bald", "Young"]
    assert [row["f1"] for row in found["attributes"]] == scores.f1.per_attribute.tolist()
    identity = {"samples": 4, "attributes": "Bald, Young", "zero_division": 0}
    assert found["scores"][0]["identity"] == identity
    text = score("classification", "pred.csv", "true.csv", "--id", "name").stdout
    assert re.search(r"^subset_accuracy +0.5 +\[0, 1\] \(95%\)$", text, re.MULTILINE)
    assert re.search(r"^Young +0.75 +0.75 ", text, re.MULTILINE)


def test_signed_labels_and_what_nothing_over_nothing_is() -> None:
    table("true.csv", "Bald,Young", "-1,1", "-1,-1")
    table("pred.csv", "Bald,Young", "-1,1", "-1,1")
    files = ("classification", "pred.csv", "true.csv")
    assert "give --signed if -1 stands for absent" in score(*files).stderr
    assert values(report(*files, "--signed"))["f1.macro"] == pytest.approx(1 / 3)
    found = report(*files, "--signed", "--zero-division", 1)
    assert values(found)["f1.macro"] == pytest.approx(5 / 6)


def test_attributes_of_images_are_read_as_the_tracks_read_them() -> None:
    images = pictures("edits", 5, seed=1, size=32)
    for predictor, more in (("celeba-synth", ()), ("digits", ("--classes",))):
        network = load_predictor(predictor)
        scores = network(images)
        likeliest = torch.nn.functional.one_hot(scores.argmax(dim=1), scores.shape[1])
        expected = likeliest if more else (scores > 0.5).int()
        done = score("attributes", "edits", "--predictor", predictor, *more, "--batch-size", 2)
        assert done.exit_code == 0, done.stderr
        header, *rows = (line.split(",") for line in done.stdout.splitlines())
        assert header == ["image", *network.names]
        assert [row[0] for row in rows] == [f"{index:03d}.png" for index in range(5)]
        assert [[int(label) for label in row[1:]] for row in rows] == expected.tolist()
    Path("predicted.csv").write_text(done.stdout)
    same = score("classification", "predicted.csv", "predicted.csv", "--id", "image", "--json")
    assert json.loads(same.stdout)["scores"][0]["value"] == 1
    factors = score("attributes", "edits", "--predictor", "shapes3d")
    assert (factors.exit_code, "not attributes; name one" in factors.stderr) == (2, True)
