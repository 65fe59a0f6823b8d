"""Names of directions by CLIP without training: the word that images go towards along each.

Codes are moved both ways along a direction, and the mean difference of CLIP's vectors of the two
images is compared by cosine with differences of texts: "a photo of WORD" less "a photo".

A word names a direction only where its cosine stands out. The largest of W cosines is held against
z, which the largest of W independent standard normal numbers stays below in size with a
probability of 95 % (after Bonferroni):

- chance: its size is at least z / sqrt(D), as random vectors of D dimensions would not reach;
- other words: so is its distance from the median of theirs (of two others at least), since some of
  each difference is common to all words, such as that the picture shows something;
- codes: the mean over codes is z standard errors away from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import LatentGenerator
from bench.errors import BenchError
from bench.progress import counting
from bench.tracks.discovery import moved_codes
from bench.trained import Trained, discoverer_of

_NEUTRAL = "a photo"
_ERROR_RATE = 0.05
_FEWEST_OTHERS = 2  # words whose median tells what is common to all
_AT_ONCE = 16
_WORD_LENGTH = 200  # characters; CLIP cuts texts after 77 tokens


class ImageTextModel(Protocol):
    """What compares images with texts, such as ``bench.extractors.clip.Clip``."""

    def images(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] -> vectors (N, D) of length 1."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> vectors (N, D) of length 1."""


@dataclass(frozen=True)
class WordName:
    """What CLIP calls a direction.

    Attributes:
        word: The word of the largest cosine, or None where that does not stand out.
        cosine: Of that word, or the largest one in size; below 0 where a step forward makes images
            less like the word.
        cosines: Of all words.
        least: The size of cosine that a name needs.
    """

    word: str | None
    cosine: float
    cosines: tuple[float, ...]
    least: float


def name_by_words(
    trained: Trained, model: ImageTextModel, words: Sequence[str], scale: float, codes: int = 32
) -> list[WordName]:
    """Name the directions of a discovery run by words.

    Args:
        trained: A run of a ``Discoverer``.
        model: Compares images with words.
        words: At least one.
        scale: The edit scale of the run: how far codes are moved either way.
        codes: How many codes, at least 2: the first of those that the evaluation has moved.

    Returns:
        One name for each direction.

    Raises:
        BenchError: The run's method is no ``Discoverer``, there are too few codes, or the model's
            vectors are not finite.
    """
    method = discoverer_of(trained)
    if codes < 2:
        raise BenchError("A single code cannot tell chance from change; give --codes 2 or more.")
    meanings = _meanings(model, words)
    generator, device = trained.parts.generator, trained.parts.device
    ws = moved_codes(generator, trained.spec.seed, "samples", codes, device)
    names = []
    with counting("naming directions", method.num_directions) as count_more, torch.no_grad():
        for k in range(method.num_directions):
            before, after = (
                _vectors(model, generator, method.shift(ws, k, step)) for step in (-scale, scale)
            )
            names.append(best_word(after - before, meanings, words))
            count_more(1)
    return names


def best_word(changes: Tensor, meanings: Tensor, words: Sequence[str]) -> WordName:
    """The word that a direction's changes go towards.

    Args:
        changes: (N, D), of CLIP's vectors between the two ends of each code's edit; N >= 2.
        meanings: (W, D), of each word, of length 1.
        words: W of them.

    Raises:
        BenchError: NaN or infinite numbers.
    """
    changes, meanings = changes.double(), meanings.to(changes.device).double()
    if not (changes.isfinite().all() and meanings.isfinite().all()):
        raise BenchError("CLIP's vectors are NaN or infinite: fetch the file of its weights again.")
    quantile = NormalDist().inv_cdf(1 - _ERROR_RATE / 2 / len(words))
    least = quantile / math.sqrt(changes.shape[1])
    length = changes.mean(dim=0).norm()
    if length == 0:
        return WordName(None, 0.0, (0.0,) * len(words), least)
    parts = changes @ meanings.T / length  # (N, W), whose means are the cosines
    cosines = parts.mean(dim=0)
    top = int(cosines.abs().argmax())
    cosine, error = float(cosines[top]), float(parts[:, top].std()) / math.sqrt(len(parts))
    others = torch.cat([cosines[:top], cosines[top + 1 :]])
    shared = float(others.quantile(0.5)) if len(others) >= _FEWEST_OTHERS else 0.0
    by_chance = min(abs(cosine), abs(cosine - shared)) < least or abs(cosine) < quantile * error
    return WordName(None if by_chance else words[top], cosine, tuple(cosines.tolist()), least)


def words_from(text: str) -> tuple[str, ...]:
    """Words as users give them: separated by commas, or a file with one on each line.

    Raises:
        BenchError: There are none, one is too long, or the file cannot be read.
    """
    lines = text.split(",") if "," in text else _lines(text)
    words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not words:
        raise BenchError(f"--words {text!r} holds no words; give some, separated by commas.")
    if max(map(len, words)) > _WORD_LENGTH:
        raise BenchError(
            f"A word of --words {text[:40]} has more than {_WORD_LENGTH} characters: give one on "
            "each line."
        )
    return words


def _lines(text: str) -> list[str]:
    """The lines of a file, or the text itself, which is a single word."""
    path = Path(text)
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        if path.suffix or len(path.parts) > 1:
            raise BenchError(
                f"--words {text} cannot be read as a text file: give one with a word on each line, "
                "or words separated by commas."
            ) from error
        return [text]


def _meanings(model: ImageTextModel, words: Sequence[str]) -> Tensor:
    """What each word adds to a text: (W, D), of length 1, or 0 where it adds nothing."""
    texts = (f"{_NEUTRAL} of {word.replace('_', ' ')}" for word in words)
    vectors = model.texts([_NEUTRAL, *texts])
    return functional.normalize(vectors[1:] - vectors[0], dim=1)


def _vectors(model: ImageTextModel, generator: LatentGenerator, ws: Tensor) -> Tensor:
    parts = ws.split(_AT_ONCE)
    return torch.cat([model.images(generator.synthesis(x, noise_mode="const")) for x in parts])
