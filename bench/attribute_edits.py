"""Editing images of one's own by a direction of one or more reference pairs, with any Inverter.

Dogan and Keles (2020), sections 3.3 to 4.4; ``baselines.latent_editing`` holds the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from baselines import latent_editing as editing
from baselines.base import Inverter
from bench.data.pointed import RESIZING, is_file, pointed_images
from bench.errors import BenchError, counted
from bench.figures import save_distributions, save_heat_map, save_traversals
from bench.trained import Trained

Unit = Literal["pair", "latent"]

_AT_ONCE = 64
_DEFAULT_AMOUNTS = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class EditRequest:
    """What to edit, and by which examples; images are given as ``pointed_images`` takes them.

    Attributes:
        source: The images to edit.
        without: References that lack the attribute.
        attributed: Their partners that have it, in the same order.
        amounts: How far to go, in units of ``unit``; empty for 0.5, 1 and 1.5.
        unit: ``pair``, the mean distance between the two images of a pair, or ``latent``, the
            ``k`` of equation 4.
        neutral_set: More images that lack the attribute, for the analysis of projections.
        attributed_set: More images that have it.
    """

    source: Sequence[str]
    without: Sequence[str]
    attributed: Sequence[str]
    amounts: Sequence[float] = ()
    unit: Unit = "pair"
    neutral_set: Sequence[str] = ()
    attributed_set: Sequence[str] = ()


def edit_images(trained: Trained, request: EditRequest, folder: Path) -> dict[str, Any]:
    """Edit images, draw what came of it, and say how far an edit may go.

    Args:
        trained: A run of an ``Inverter``.
        request: What to edit.
        folder: ``edits.png`` is written there; for several pairs ``pairs.png``, how alike their
            directions are, and ``edits-by-pair.png``, the first source edited by each; and
            ``projections.png`` where sets are given.

    Returns:
        What was found, ready for JSON.

    Raises:
        BenchError: The run's method is no ``Inverter``, or the images give no direction.
    """
    bench = _Bench(trained)
    sources, names = bench.encoded(request.source)
    without, first = bench.encoded(request.without)
    attributed, second = bench.encoded(request.attributed)
    if not names:
        raise BenchError("There is nothing to edit: give an image by --source.")
    if bool(request.neutral_set) != bool(request.attributed_set):
        raise BenchError("--neutral and --attributed belong together: give both, or none.")
    if len(first) != len(second):
        raise BenchError(
            f"--without gives {counted(len(first), 'image')} and --with {len(second)}: give as "
            "many to both, which are paired in their order."
        )
    neutral, neutral_names = bench.encoded(request.neutral_set)
    having, having_names = bench.encoded(request.attributed_set)
    if 1 in (len(neutral_names), len(having_names)):
        raise BenchError(
            "--neutral and --attributed need two images each or more: one has no deviation."
        )
    try:
        directions = editing.pair_directions(without.latents, attributed.latents)
        direction = editing.mean_direction(directions)
    except ValueError as error:
        raise BenchError(_sentence(error)) from error
    length = float((attributed.latents - without.latents).norm(dim=1).mean())
    amounts = _Amounts(tuple(request.amounts) or _DEFAULT_AMOUNTS, request.unit, length)
    figures = [folder / "edits.png"]
    bench.draw_edits(sources, direction.expand(len(names), -1), names, amounts, figures[-1])
    labels = [f"{a} to {b}" for a, b in zip(first, second, strict=True)]
    report: dict[str, Any] = {
        "method": trained.spec.method,
        "pairs": [list(pair) for pair in zip(first, second, strict=True)],
        "pair distance": _rounded(length),
        "amounts": list(amounts.given),
        "unit": amounts.unit,
        "k": [_rounded(k) for k in amounts.k],
    }
    if any(map(is_file, (*request.source, *request.without, *request.attributed))):
        report["resizing"] = RESIZING
    if len(labels) > 1:
        figures += [folder / "pairs.png", folder / "edits-by-pair.png"]
        report |= _compare_pairs(directions, direction, labels, figures[-2])
        each = torch.cat([directions, direction[None]])
        bench.draw_edits(sources.first(len(each)), each, [*labels, "mean"], amounts, figures[-1])
    if request.neutral_set:
        figures.append(folder / "projections.png")
        study = editing.study_pairs(
            without.latents, attributed.latents, neutral.latents, having.latents
        )
        _draw_projections(study.mean_projections, figures[-1])
        safe = editing.safe_range(sources.latents, direction, study.mean_projections)
        report |= _analysed(study.mean_projections)
        report["safe amounts"] = dict(zip(names, _rows(safe / amounts.unit_length), strict=True))
        if len(labels) > 1:
            found = map(_analysed, study.projections)
            report["by pair"] = dict(zip(labels, found, strict=True))
    return {**report, "figures": [str(figure) for figure in figures]}


@dataclass(frozen=True)
class _Amounts:
    """How far edits go: as asked for, and as the ``k`` of equation 4."""

    given: tuple[float, ...]
    unit: Unit
    pair_distance: float

    @property
    def unit_length(self) -> float:
        return self.pair_distance if self.unit == "pair" else 1.0

    @property
    def k(self) -> list[float]:
        return [amount * self.unit_length for amount in self.given]

    @property
    def titles(self) -> list[str]:
        exact = [f"k = {k:.3g}" for k in self.k]
        if self.unit == "latent":
            return exact
        return [
            f"{amount:g} of the pair\n{title}"
            for amount, title in zip(self.given, exact, strict=True)
        ]


@dataclass(frozen=True)
class _Encoded:
    images: Tensor  # (N, C, H, W)
    latents: Tensor  # (N, D)

    def first(self, count: int) -> _Encoded:
        """The first image so many times."""
        return _Encoded(
            *(part[:1].expand(count, *part.shape[1:]) for part in (self.images, self.latents))
        )


class _Bench:
    """A trained inverter that reads images as users point at them."""

    def __init__(self, trained: Trained) -> None:
        method = trained.method
        if not isinstance(method, Inverter):
            raise BenchError(
                f"{trained.spec.method} encodes no images; give a run of the track reconstruction "
                "or discovery."
            )
        self.method = method
        self.test = trained.parts.images("test")
        self.device = trained.parts.device

    @torch.no_grad()
    def encoded(self, pointers: Sequence[str]) -> tuple[_Encoded, list[str]]:
        images, names = pointed_images(pointers, self.test)
        if not names:
            return _Encoded(images, torch.empty(0, 0)), names
        parts = [self.method.encode(part.to(self.device)) for part in images.split(_AT_ONCE)]
        return _Encoded(images, torch.cat(parts).cpu()), names

    @torch.no_grad()
    def draw_edits(
        self,
        sources: _Encoded,
        directions: Tensor,
        names: Sequence[str],
        amounts: _Amounts,
        path: Path,
    ) -> None:
        """Each source, its reconstruction, and its edits along its row of directions (N, D)."""
        latents = torch.stack(
            [editing.edit(sources.latents, directions, k) for k in (0.0, *amounts.k)], dim=1
        )
        made = [
            self.method.decode(part.to(self.device)).cpu()
            for part in latents.flatten(0, 1).split(_AT_ONCE)
        ]
        decoded = torch.cat(made).unflatten(0, latents.shape[:2])
        save_traversals(
            torch.cat([sources.images[:, None], decoded], dim=1),
            path,
            rows=names,
            columns=["input", "reconstruction", *amounts.titles],
            title="Edits along the direction of the reference pairs",
            column_title="",
        )


def _draw_projections(found: editing.Projections, path: Path) -> None:
    save_distributions(
        {"without": found.neutral.numpy(), "with the attribute": found.attributed.numpy()},
        path,
        title="Where images lie along the direction",
        value_title="projection of the latent",
    )


def _analysed(found: editing.Projections) -> dict[str, Any]:
    return {
        "without": _normal(found.neutral_mean, found.neutral_deviation),
        "with": _normal(found.attributed_mean, found.attributed_deviation),
        "separation": _rounded(found.separation),
    }


def _compare_pairs(
    directions: Tensor, direction: Tensor, labels: Sequence[str], path: Path
) -> dict[str, Any]:
    """How much the direction depends on the pair (figures 9 and 16)."""
    cosines = directions @ torch.cat([directions, direction[None]]).T
    save_heat_map(
        cosines.numpy(),
        path,
        rows=labels,
        columns=[*labels, "mean"],
        title=f"Directions of {counted(len(directions), 'reference pair')}",
        row_title="",
        column_title="",
        value_title="cosine",
    )
    to_mean = cosines[:, -1].tolist()
    return {"cosines with the mean": dict(zip(labels, map(_rounded, to_mean), strict=True))}


def _normal(mean: float, deviation: float) -> dict[str, float]:
    return {"mean": _rounded(mean), "deviation": _rounded(deviation)}


def _rows(values: Tensor) -> list[list[float]]:
    return [[_rounded(value) for value in row] for row in values.tolist()]


def _rounded(value: float) -> float:
    return round(value, 4)


def _sentence(error: ValueError) -> str:
    """An error of the ground floor as one sentence of the program's."""
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."
