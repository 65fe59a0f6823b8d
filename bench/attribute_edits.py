"""Editing images of one's own by a direction of one or more reference pairs, with any Inverter.

Dogan and Keles (2020), sections 3.3 to 4.4; ``baselines.latent_editing`` holds the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from baselines import latent_editing as editing
from baselines.base import Inverter
from bench.data.pointed import pointed_images
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
        folder: ``edits.png`` is written there; ``pairs.png`` for several pairs, ``projections.png``
            where sets are given.

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
    try:
        directions = editing.pair_directions(without.latents, attributed.latents)
        direction = editing.mean_direction(directions)
    except ValueError as error:
        raise BenchError(_sentence(error)) from error
    length = float((attributed.latents - without.latents).norm(dim=1).mean())
    unit = length if request.unit == "pair" else 1.0
    amounts = tuple(request.amounts) or _DEFAULT_AMOUNTS
    bench.draw_edits(sources, names, direction, amounts, unit, folder / "edits.png")
    figures = [folder / "edits.png"]
    report: dict[str, Any] = {
        "method": trained.spec.method,
        "pairs": [list(pair) for pair in zip(first, second, strict=True)],
        "pair distance": _rounded(length),
        "amounts": list(amounts),
        "unit": request.unit,
    }
    if len(directions) > 1:
        figures.append(folder / "pairs.png")
        labels = [f"{a} to {b}" for a, b in zip(first, second, strict=True)]
        report |= _compare_pairs(directions, direction, labels, figures[-1])
    if request.neutral_set:
        figures.append(folder / "projections.png")
        found = bench.analysis(request, direction, figures[-1])
        safe = editing.safe_range(sources.latents, direction, found) / unit
        report |= _analysed(found, dict(zip(names, safe.tolist(), strict=True)))
    return {**report, "figures": [str(figure) for figure in figures]}


@dataclass(frozen=True)
class _Encoded:
    images: Tensor
    latents: Tensor


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
        names: Sequence[str],
        direction: Tensor,
        amounts: Sequence[float],
        unit: float,
        path: Path,
    ) -> None:
        """Each source, its reconstruction, and its edits."""
        latents = torch.stack(
            [editing.edit(sources.latents, direction, k * unit) for k in (0.0, *amounts)], dim=1
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
            columns=["input", "reconstruction", *(f"k = {k:g}" for k in amounts)],
            title="Edits along the direction of the reference pairs",
            column_title="",
        )

    def analysis(self, request: EditRequest, direction: Tensor, path: Path) -> editing.Projections:
        """The normal distributions of the two sets along the direction, fitted and drawn."""
        neutral, _ = self.encoded(request.neutral_set)
        attributed, _ = self.encoded(request.attributed_set)
        found = editing.analyse(neutral.latents, attributed.latents, direction)
        save_distributions(
            {"without": found.neutral.numpy(), "with the attribute": found.attributed.numpy()},
            path,
            title="Where images lie along the direction",
            value_title="projection of the latent",
        )
        return found


def _analysed(found: editing.Projections, safe: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return {
        "without": _normal(found.neutral_mean, found.neutral_deviation),
        "with": _normal(found.attributed_mean, found.attributed_deviation),
        "separation": _rounded(found.separation),
        "safe amounts": {
            name: [_rounded(bound) for bound in bounds] for name, bounds in safe.items()
        },
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


def _rounded(value: float) -> float:
    return round(value, 4)


def _sentence(error: ValueError) -> str:
    """An error of the ground floor as one sentence of the program's."""
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."
