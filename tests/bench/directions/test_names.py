"""Names of directions: by a predictor's changes, and by a toy in place of CLIP."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from click.testing import Result as Done
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from bench.cli import main
from bench.directions.names import AttributeName, attribute_names
from bench.errors import BenchError, MissingFile, Refused, UnknownName
from bench.extractors.clip import _DEVIATION, _MEAN, Clip
from bench.trained import Trained
from bench.word_names import best_word, name_by_words, words_from
from leaderboard.schema import Result
from leaderboard.store import write_result
from metrics.images import to_bytes
from tests.bench.tracks import toy

CPU = torch.device("cpu")
WORDS = ("floor", "wall", "object", "cat", "big_dog")
AXES = {"floor": 0, "wall": 1, "object": 2, "cat": 20, "big dog": 21}
DIMENSIONS, PHOTO = 64, 63
DIRECTIONS = torch.tensor(
    [[1.0, 0, 0, 0], [0, 0, -2.0, 0], [0, 0, 0, 1.0], [0, 0, 0, 0], [0.1, 1.0, 0, 0]]
)
RECORD = Result(
    method="contrafeat",
    track="discovery",
    dataset="shapes3d",
    preset="small",
    seed=3,
    spec_hash="3f2a90c1d4",
    status="completed",
    protocol={
        "attributes": list(toy.FACTORS),
        "changes": [[0.3, 0.1, 0, 0], [0, 0, 0.5, 0], [0, 0, 0.1, 0.1], [0, 0, 0, 0], [0, 1, 0, 0]],
        "edit_scale": 0.5,
    },
)


class StripeWords:
    """Sees the brightness of each stripe, and knows which word means which stripe."""

    model, sha256 = "stripes", "d" * 64

    def images(self, images: Tensor) -> Tensor:
        vectors = torch.zeros(len(images), DIMENSIONS)
        vectors[:, :4] = images.mean(dim=(1, 3)).unflatten(1, (4, -1)).mean(dim=2)
        vectors[:, PHOTO] = 1.0
        return functional.normalize(vectors, dim=1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        vectors = torch.zeros(len(texts), DIMENSIONS)
        vectors[:, PHOTO] = 1.0
        for row, text in zip(vectors, texts, strict=True):
            if text != "a photo":
                row[AXES[text.removeprefix("a photo of ")]] = 1.0
        return functional.normalize(vectors, dim=1)


def trained(method: Any = None) -> Trained:
    parts: Any = SimpleNamespace(generator=toy.StripeGenerator(), device=CPU)
    spec: Any = SimpleNamespace(method="toy", seed=0)
    return Trained(Path("nowhere"), spec, method or toy.FixedDirections(DIRECTIONS), parts)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_result(tmp_path / "run" / "result.json", RECORD)
    return tmp_path / "run"


def name(*arguments: object) -> Done:
    return CliRunner().invoke(main, ["name", *map(str, arguments)])


def test_names_are_the_largest_shares() -> None:
    names = attribute_names(np.array([[1.0, 3.0], [0.0, 0.0]]), ("floor", "wall"))
    assert names == (AttributeName("wall", 0.75), None)
    assert str(names[0]) == "wall 75 %"


def test_the_predictors_names_are_printed(run: Path) -> None:
    done = name(run)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "contrafeat on shapes3d (small, seed 3)",
        "  direction  predictor",
        "  0          floor 75 %",
        "  1          object 100 %",
        "  2          object 50 %",
        "  3          no change",
        "  4          wall 100 %",
    ]
    report = json.loads(name(run / "result.json", "--json").stdout)
    assert report["directions"][0] == {"direction": 0, "attribute": "floor", "share": 0.75}
    assert report["directions"][3] == {"direction": 3, "attribute": None, "share": 0.0}
    assert "clip" not in report


def test_clips_names_stand_beside_them(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.extractors.clip.Clip", lambda *arguments: StripeWords())
    monkeypatch.setattr("bench.trained.load_trained", lambda *arguments: trained())
    asked = (run, "--clip-weights", "weights", "--words", ",".join(WORDS), "--device", "cpu")
    done = name(*asked)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[1] == ["direction", "predictor", "CLIP", "cosine"]
    assert [line[-2] for line in lines[2:7]] == ["floor", "object", "-", "-", "wall"]
    assert [line[-1][0] for line in lines[2:4]] == ["+", "-"]
    assert "32 codes moved by 0.5; no name where the largest cosine is below 0.32" in done.stdout
    report = json.loads(name(*asked, "--codes", "8", "--json").stdout)
    assert list(report["directions"][0]["cosines"]) == list(WORDS)
    assert report["directions"][3]["cosine"] == 0.0
    assert (report["clip"]["codes"], report["clip"]["weights"]) == (8, "d" * 64)


def test_words_are_found_where_their_meaning_is_known() -> None:
    names = name_by_words(trained(), StripeWords(), WORDS, scale=0.5)
    assert [found.word for found in names] == ["floor", "object", None, None, "wall"]
    assert names[0].cosine > 0.9 > -0.9 > names[1].cosine
    assert names[4].cosines[1] == names[4].cosine
    assert names[3].cosines == (0.0,) * len(WORDS)
    again = name_by_words(trained(), StripeWords(), WORDS, scale=0.5)
    assert names == again


def test_what_does_not_stand_out_is_no_name() -> None:
    axes = torch.eye(DIMENSIONS)
    words = WORDS[:3]
    surely = axes[0].repeat(16, 1)
    assert best_word(surely, axes[:3], words).word == "floor"
    assert best_word(surely, axes[:1], words[:1]).word == "floor"
    # As near as chance would have it: 1 / 8 is one standard deviation.
    faint = best_word(axes[40] + surely / 8, axes[:3], words)
    assert (faint.word, round(faint.cosine, 2)) == (None, 0.12)
    # Each code's change is the word's, or its opposite; the mean alone looks like a match.
    torn = surely * torch.tensor([1.0, -1.0] * 7 + [1.0, 1.0])[:, None]
    assert best_word(torn, axes[:3], words).cosine == pytest.approx(1.0)
    assert best_word(torn, axes[:3], words).word is None
    # What is common to all words names none of them.
    alike = functional.normalize(axes[:3] + 3 * axes[50], dim=1)
    common = best_word(axes[50].repeat(16, 1), alike, words)
    assert (common.word, common.cosine > 0.9) == (None, True)
    with pytest.raises(BenchError, match="NaN or infinite"):
        best_word(surely * float("nan"), axes[:3], words)


def test_words_come_in_a_line_or_in_a_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert words_from("red wall, cat,cat") == ("red wall", "cat")
    assert words_from("cat") == ("cat",)
    (tmp_path / "words.txt").write_text("cat\n\n big dog, asleep \n", "utf-8")
    assert words_from("words.txt") == ("cat", "big dog, asleep")
    (tmp_path / "picture.png").write_bytes(b"\xff\xfe")
    for wrong in ("word.txt", "folder/words", "picture.png"):
        with pytest.raises(BenchError, match="cannot be read as a text file"):
            words_from(wrong)
    for wrong, said in (
        (" , ", "holds no words"),
        ("", "holds no words"),
        ("a" * 201, "more than"),
    ):
        with pytest.raises(BenchError, match=said):
            words_from(wrong)


def test_what_cannot_be_named(run: Path, tmp_path: Path) -> None:
    said = name(run, "--words", "cat", "--codes", "4")
    assert said.exit_code == 2
    assert "--words, --codes are for names by CLIP: give its weights" in said.stderr
    said = name(run, "--clip-weights", tmp_path / "absent.safetensors")
    assert said.exit_code == 2
    assert "There is no file" in said.stderr
    for change, expected in (
        ({"track": "editing"}, "is of the track editing, which finds no directions"),
        ({"status": "failed", "message": "no"}, "is failed; give one that is completed"),
        ({"protocol": {"attributes": ["floor"]}}, "does not tell what its directions change"),
    ):
        write_result(tmp_path / "other" / "result.json", RECORD.model_copy(update=change))
        said = name(tmp_path / "other")
        assert (said.exit_code, said.stderr.count("\n")) == (2, 1)
        assert expected in said.stderr
    with pytest.raises(BenchError, match="toy finds no directions"):
        name_by_words(trained(nn.Identity()), StripeWords(), WORDS, 0.5)
    with pytest.raises(BenchError, match="--codes 2 or more"):
        name_by_words(trained(), StripeWords(), WORDS, 0.5, codes=1)


class TinyNetwork(nn.Module):
    """What open_clip's networks have, with vectors that can be reckoned by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Linear(3, 3, bias=False)
        self.visual.image_size = (4, 4)  # type: ignore[assignment]
        self.tokens = nn.Embedding(9, 3)

    def encode_image(self, images: Tensor) -> Tensor:
        assert images.shape[1:] == (3, 4, 4)
        vectors: Tensor = self.visual(images.mean(dim=(2, 3)))
        return vectors

    def encode_text(self, tokens: Tensor) -> Tensor:
        vectors: Tensor = self.tokens(tokens)
        return vectors


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package open_clip that knows three models."""
    configs: dict[str, Any] = {
        "ViT-B-32": {"vision_cfg": {}, "text_cfg": {}},
        "ViT-B-16-SigLIP": {"vision_cfg": {}, "text_cfg": {}},
        "roberta-ViT-B-32": {"text_cfg": {"hf_model_name": "roberta-base"}},
    }

    def create_model(model: str, pretrained: None) -> nn.Module:
        return TinyNetwork()

    parts = {
        "list_models": lambda: list(configs),
        "get_model_config": configs.__getitem__,
        "create_model": create_model,
        "get_tokenizer": lambda model: lambda texts: torch.tensor([len(text) for text in texts]),
    }
    monkeypatch.setitem(sys.modules, "open_clip", SimpleNamespace(**parts))  # type: ignore[arg-type]


STATE = {"visual.weight": torch.eye(3).half(), "tokens.weight": torch.arange(27.0).reshape(9, 3)}


def test_clip_reads_weights_and_prepares_images(package: None, tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "clip.safetensors")
    training = {"epoch": 3, "state_dict": {f"module.{key}": x for key, x in STATE.items()}}
    torch.save(training, tmp_path / "clip.pt")
    for path in (tmp_path / "clip.safetensors", tmp_path / "clip.pt"):
        clip = Clip(path, "ViT-B/32", CPU)
        assert (clip.model, len(clip.sha256)) == ("ViT-B-32", 64)
        grey = (128 / 255 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
            [0.26862954, 0.26130258, 0.27577711]
        )
        found = clip.images(torch.zeros(2, 1, 8, 8))
        torch.testing.assert_close(found, functional.normalize(grey, dim=0).expand(2, 3))
        expected = functional.normalize(torch.tensor([[21.0, 22.0, 23.0], [0.0, 1.0, 2.0]]), dim=1)
        torch.testing.assert_close(clip.texts(["a photo", ""]), expected)


@pytest.mark.parametrize("size", [3, 8])  # enlarged and made smaller
def test_clip_sees_what_pillow_makes_of_the_saved_image(
    package: None, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(STATE, tmp_path / "clip.safetensors")
    clip = Clip(tmp_path / "clip.safetensors", "ViT-B-32", CPU)
    seen: list[Tensor] = []

    def encode(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return torch.ones(len(inputs), 3)

    monkeypatch.setattr(clip._network, "encode_image", encode)
    # Edges of the resize and the generator's own images go beyond black and white.
    image = 2 * torch.randn(3, size, size, generator=torch.Generator().manual_seed(0))
    clip.images(image[None])
    saved = Image.fromarray(to_bytes(image).permute(1, 2, 0).numpy())
    resized = torch.from_numpy(np.array(saved.resize((4, 4), Image.Resampling.BICUBIC)))
    mean, deviation = (torch.tensor(x)[:, None, None] for x in (_MEAN, _DEVIATION))
    levels = (seen[0][0] * deviation + mean) * 255
    torch.testing.assert_close(levels, resized.permute(2, 0, 1).float(), atol=1e-3, rtol=0)


def test_clip_says_what_is_wrong(
    package: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "clip.safetensors"
    save_file({**STATE, "visual.weight": torch.eye(4)}, weights)
    with pytest.raises(
        Refused, match=r"model ViT-B-32 \(--clip-model\): visual.weight should be 3"
    ):
        Clip(weights, "ViT-B-32", CPU)
    with pytest.raises(UnknownName, match="no model of open_clip 'ViT-B-31'; did you mean ViT-B"):
        Clip(weights, "ViT-B-31", CPU)
    for model in ("ViT-B-16-SigLIP", "roberta-ViT-B-32"):
        with pytest.raises(BenchError, match=f"would download a tokenizer or weights for {model}"):
            Clip(weights, model, CPU)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(Refused, match="holds no state dict"):
        Clip(tmp_path / "list.pt", "ViT-B-32", CPU)
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(Refused, match="is damaged"):
        Clip(weights, "ViT-B-32", CPU)
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingFile, match=r'pip install "gan-attribute-bench\[clip\]"'):
        Clip(weights, "ViT-B-32", CPU)
