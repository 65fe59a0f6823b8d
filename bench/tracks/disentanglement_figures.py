"""What the disentanglement track shows of a method: what its codes know, and what they change.

Maps of codes and factors where the factors are known; decoded test images and traversals of each
code where the method decodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data.subset import Subset, evenly_spread
from bench.figures import save_heat_map, save_traversals
from bench.tracks.representation import Representation
from metrics.arrays import FloatArray
from metrics.disentanglement.inputs import Codes

_ROWS = 20  # codes in a picture
_PICTURES = 8  # test images that are shown as they are decoded


@dataclass(frozen=True)
class Subject:
    """What the figures show.

    Attributes:
        representation: The method.
        images: Test images; the first one's codes are moved.
        codes: (N, K) of many images.
        factors: Names of the factors; none where they are unknown.
        information: (K, F) shares of the factors' entropy, or None.
        importance: (K, F) to DCI's predictors, or None.
        reach: The furthest step of a traversal, in the code's standard deviations.
        steps: How many pictures a traversal has.
    """

    representation: Representation
    images: Subset
    codes: Codes
    factors: Sequence[str]
    information: FloatArray | None
    importance: FloatArray | None
    reach: float
    steps: int

    @property
    def shown(self) -> list[int]:
        """The codes that have room in a picture: those that vary most, in their own order."""
        spread = self.codes.std(axis=0)
        return sorted(np.argsort(-spread, kind="stable")[:_ROWS].tolist())

    def label(self, code: int) -> str:
        """A code, and the factor that it tells most of."""
        if self.information is None or not self.information[code].any():
            return f"code {code}"
        top = int(self.information[code].argmax())
        share = 100 * self.information[code, top]
        return f"code {code}: {self.factors[top]} {share:.0f} %"

    def titled(self, title: str) -> str:
        count = self.codes.shape[1]
        some = f" ({_ROWS} of {count} codes)" if count > _ROWS else ""
        return f"{self.representation.name}: {title}{some}"


def draw_figures(subject: Subject, folder: Path) -> list[str]:
    """Write all figures of a method.

    Args:
        subject: What to show.
        folder: The run's directory; the figures go to its folder ``figures``.

    Returns:
        Their paths relative to ``folder``.
    """
    figures = Path("figures")
    paths = []
    if subject.representation.decodes:
        paths += [figures / "traversals.png", figures / "reconstructions.png"]
        _draw_traversals(subject, folder / paths[0])
        _draw_reconstructions(subject, folder / paths[1])
    for name, table, title, value in (
        ("information", subject.information, "what each code tells of each factor", "share known"),
        ("importance", subject.importance, "how much each code predicts factors", "importance"),
    ):
        if table is not None:
            paths.append(figures / f"{name}.png")
            _draw_table(subject, table, title, value, folder / paths[-1])
    return [path.as_posix() for path in paths]


def _draw_traversals(subject: Subject, path: Path) -> None:
    """A row for each code, moved from its mean while the others stay as one image has them."""
    steps = torch.linspace(-subject.reach, subject.reach, subject.steps)
    image = subject.images.batch(torch.tensor([0]))[0]
    base = subject.representation.method.represent(image.to(subject.representation.device))
    mean, spread = subject.codes.mean(axis=0), subject.codes.std(axis=0)
    rows = []
    for code in subject.shown:
        moved = base.float().cpu().repeat(len(steps), 1)
        moved[:, code] = float(mean[code]) + steps * float(spread[code])
        rows.append(subject.representation.images(moved))
    save_traversals(
        torch.stack(rows),
        path,
        [subject.label(code) for code in subject.shown],
        [f"{step:+.3g}" if step else "0" for step in steps.tolist()],
        subject.titled("one image, each code moved"),
        column_title="value of the code, in its standard deviations from its mean",
    )


def _draw_reconstructions(subject: Subject, path: Path) -> None:
    images = subject.images.batch(evenly_spread(_PICTURES, len(subject.images)))[0]
    save_traversals(
        torch.stack([images.cpu(), _decoded(subject, images)]),
        path,
        ["test image", "decoded"],
        [str(number) for number in range(1, len(images) + 1)],
        f"{subject.representation.name}: test images, encoded and decoded",
        column_title="image",
    )


def _decoded(subject: Subject, images: Tensor) -> Tensor:
    representation = subject.representation
    return representation.images(representation.method.represent(images.to(representation.device)))


def _draw_table(subject: Subject, table: FloatArray, title: str, value: str, path: Path) -> None:
    save_heat_map(
        table[subject.shown],
        path,
        [f"code {code}" for code in subject.shown],
        subject.factors,
        subject.titled(title),
        row_title="code",
        column_title="factor",
        value_title=value,
    )
