"""What the editing track shows of a method: edits, their intensities, InfoNCE's similarities."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from baselines.base import Attributes, Editor
from baselines.randomness import derive_seed
from bench.data.pairs import AttributePairs
from bench.data.subset import Subset, evenly_spread
from bench.figures import save_heat_map, save_traversals
from bench.tracks.edits import asked_for, edit


@dataclass(frozen=True)
class Subject:
    """What the figures show.

    Attributes:
        method: An editor in evaluation mode.
        dataset: The test images, some of which are shown.
        attributes: Names and exclusive groups.
        device: Where the method is.
        pictures: How many images are shown.
        intensities: Steps from source to target.
        pairs: Pairs of the similarity matrix.
        seed: Draws the pairs.
    """

    method: Editor
    dataset: Subset
    attributes: Attributes
    device: torch.device
    pictures: int
    intensities: int
    pairs: int
    seed: int

    @property
    def name(self) -> str:
        return type(self.method).__name__

    @property
    def places(self) -> Tensor:
        return evenly_spread(self.pictures, len(self.dataset))

    def edited(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        return edit(self.method, images.to(self.device), source, target).cpu()


def draw_figures(subject: Subject, folder: Path) -> list[str]:
    """Write all figures of a method.

    Returns:
        Their paths relative to ``folder``.
    """
    paths = [Path("figures") / "edits.png", Path("figures") / "intensities.png"]
    _draw_edits(subject, folder / paths[0])
    _draw_intensities(subject, folder / paths[1])
    matrix = _similarities(subject)
    if matrix is not None:
        paths.append(Path("figures") / "similarities.png")
        _draw_similarities(subject, matrix, folder / paths[-1])
    return [path.as_posix() for path in paths]


def _draw_edits(subject: Subject, path: Path) -> None:
    """A row for each image: itself, its reconstruction, each edit; below it the true edits."""
    images, source = subject.dataset.batch(subject.places)
    images, source = images.cpu(), source.cpu()
    columns = [images, subject.edited(images, source, source)]
    true_columns = [torch.ones_like(images)] * 2  # white
    knows_truth = False
    for attribute in range(len(subject.attributes.names)):
        rows, target = asked_for(source, attribute, subject.attributes)
        column = torch.ones_like(images)  # white where an image has it already
        true = column.clone()
        if len(rows):
            column[rows] = subject.edited(images[rows], source[rows], target)
            truth = subject.dataset.counterfactuals(subject.places[rows], target)
            if truth is not None:
                knows_truth, true[rows] = True, truth.cpu()
        columns.append(column)
        true_columns.append(true)
    grid = torch.stack(columns, dim=1)  # images x columns x C x H x W
    labels = [f"test image {number}" for number in subject.places.tolist()]
    if knows_truth:
        grid = torch.stack([grid, torch.stack(true_columns, dim=1)], dim=1).flatten(0, 1)
        labels = [text for label in labels for text in (label, "true edit")]
    save_traversals(
        grid,
        path,
        labels,
        ["input", "as it is", *(name.replace("_", "\n") for name in subject.attributes.names)],
        f"{subject.name}: each attribute inverted; of exclusive ones, each switched on",
        column_title="attribute edited (left out where it is on already)",
    )


def _draw_intensities(subject: Subject, path: Path) -> None:
    """A row for each attribute: an image that can be asked for it, from source to target."""
    images, source = subject.dataset.batch(subject.places)
    images, source = images.cpu(), source.cpu()
    steps = torch.linspace(0, 1, subject.intensities)
    rows, labels = [], []
    for attribute, name in enumerate(subject.attributes.names):
        asked, target = asked_for(source, attribute, subject.attributes)
        if len(asked):
            chosen = int(asked[attribute % len(asked)])
            before = source[chosen].expand(len(steps), -1)
            after = target[attribute % len(asked)]
            between = before + steps[:, None] * (after - before)
            image = images[chosen].expand(len(steps), -1, -1, -1)
            rows.append(torch.cat([images[chosen][None], subject.edited(image, before, between)]))
            labels.append(f"{name} {'on' if after[attribute] > 0.5 else 'off'}")
    save_traversals(
        torch.stack(rows),
        path,
        labels,
        ["input", *(f"{step:.2g}" for step in steps.tolist())],
        f"{subject.name}: edits of growing intensity",
        column_title="share of the way from the source's attributes to the target's",
    )


def _similarities(subject: Subject) -> Tensor | None:
    """The matrix M of a method that has ``similarities``, on pairs of test images; or None."""
    find = getattr(subject.method, "similarities", None)
    pairs = AttributePairs.of(subject.dataset)
    if not inspect.ismethod(find) or pairs is None or pairs.most < 2:
        return None
    seed = derive_seed(subject.seed, "editing", "pairs")
    drawn = pairs.draw(seed, min(subject.pairs, pairs.most))
    images, labels = subject.dataset.batch(drawn.T.reshape(-1))
    first, second = images.to(subject.device).chunk(2)
    found = find(first, second, labels[: len(drawn)].to(subject.device))
    assert isinstance(found, Tensor)
    return found.detach().double().cpu()


def _draw_similarities(subject: Subject, matrix: Tensor, path: Path) -> None:
    numbers = [str(number) for number in range(len(matrix))]
    save_heat_map(
        matrix.numpy(),
        path,
        numbers,
        numbers,
        f"{subject.name}: similarity of attribute vectors a = w - mu",
        row_title="first image of pair",
        column_title="second image of pair",
        value_title="cosine",
    )
