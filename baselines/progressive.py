"""Progressive growing: which resolution is trained after so many images, and how it is faded in.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (ICLR
2018). Networks start at 4 x 4 pixels. A level doubles the resolution: its layers are faded in, then
trained as they are, for a number of real images each. The GAN itself begins with 4 x 4 images that
there is nothing to fade from; Pioneer (Heljakka et al. 2018) counts a fade for that level too.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import torch.nn.functional as F
from torch import Tensor

FIRST_RESOLUTION = 4


@dataclass(frozen=True)
class Phase:
    """What is trained at a time.

    Attributes:
        seen: Real images shown when it was looked up.
        level: 0 for 4 x 4 pixels, one more for each doubling.
        alpha: Share of the newest layers in the images, from 0 to 1.
        batch_size: Real images of one step, over all processes.
    """

    seen: int
    level: int
    alpha: float
    batch_size: int

    @property
    def resolution(self) -> int:
        """Height and width of the images in pixels."""
        return FIRST_RESOLUTION << self.level

    @property
    def stable(self) -> bool:
        """Whether the level is faded in completely."""
        return self.alpha >= 1


@dataclass(frozen=True)
class Progression:
    """The phases of a training, as functions of the images seen or of the step.

    Attributes:
        levels: How many resolutions there are, 4 x 4 included; the last one stays.
        fade: Images in which a level is faded in.
        stable: Images for which a level is then trained before the next one comes.
        total: Training ends at the first step that begins with so many images seen.
        batch_sizes: Real images of one step by level; the last one holds for all levels above.
        first_fades: Whether the images of a fade are counted for the 4 x 4 level too, where it has
            no effect on the networks.
        start: What the count of images begins with.
        hold: The phase is looked up in every so many steps only.
    """

    levels: int
    fade: float
    stable: float
    total: int
    batch_sizes: tuple[int, ...]
    first_fades: bool = False
    start: int = 0
    hold: int = 1

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self._spans[1]

    @property
    def largest_batch(self) -> int:
        """Real images of the step that gets the most."""
        return max(batch_size for _, _, batch_size in self._spans[0])

    def at(self, seen: int) -> Phase:
        """The phase after ``seen`` images."""
        level = bisect_right(range(1, self.levels), seen, key=self._first)
        if level == 0 and not self.first_fades:
            alpha = 1.0
        else:
            alpha = min(1.0, (seen - self._begin(level)) / self.fade) if self.fade else 1.0
        return Phase(seen, level, alpha, self.batch_sizes[min(level, len(self.batch_sizes) - 1)])

    def phase(self, step: int) -> Phase:
        """The phase of a step."""
        first_step, seen, batch_size = self._span(step)
        return self.at(seen + (step - first_step) // self.hold * self.hold * batch_size)

    def shown(self, step: int) -> range:
        """Which images of an endless reading of the training set a step gets."""
        first_step, seen, batch_size = self._span(step)
        place = seen - self.start + (step - first_step) * batch_size
        return range(place, place + batch_size)

    def new_phase(self, step: int) -> bool:
        """Whether a level begins with this step, or ends to be faded in."""
        if step == 0:
            return False
        before, now = self.phase(step - 1), self.phase(step)
        return (before.level, before.stable) != (now.level, now.stable)

    def level_of_detail(self, phase: Phase) -> float:
        """How often the last resolution is halved: 0 when all is done, and fractions in fades."""
        return self.levels - 1 - phase.level + (1 - phase.alpha)

    def require_last_level(self, length: str, remedy: str) -> None:
        """Refuse a training that ends before its last level is faded in.

        Args:
            length: The setting that says how long it is, and its value, for the message.
            remedy: What to change.

        Raises:
            ValueError: It does.
        """
        last = self.phase(self.steps - 1) if self.steps else self.at(self.start)
        if last.level < self.levels - 1 or not last.stable:
            size = FIRST_RESOLUTION << (self.levels - 1)
            raise ValueError(
                f"{length} end the progressive training before {size} px are faded in: {remedy}"
            )

    def _begin(self, level: int) -> float:
        """Images seen when a level's fade begins."""
        return level * (self.fade + self.stable) - (0 if self.first_fades else self.fade)

    def _first(self, level: int) -> int:
        """The smallest count of images that belongs to a level above the first.

        Where the first level has no fade, the reference leaves a count at which nothing is faded
        in yet to the level before.
        """
        begin = self._begin(level)
        return math.ceil(begin) if self.first_fades or not self.fade else math.floor(begin) + 1

    def _span(self, step: int) -> tuple[int, int, int]:
        """Of the steps of equal batch size that a step is among: first, images before, batch."""
        spans = self._spans[0]
        return spans[bisect_right(spans, step, key=lambda span: span[0]) - 1]

    @cached_property
    def _spans(self) -> tuple[list[tuple[int, int, int]], int]:
        """The steps by level (see ``_span``), and how many there are in all."""
        spans: list[tuple[int, int, int]] = []
        step, seen = 0, self.start
        while seen < self.total:
            phase = self.at(seen)
            last = phase.level == self.levels - 1
            end = self.total if last else min(self.total, self._first(phase.level + 1))
            looks = -(-(end - seen) // (self.hold * phase.batch_size))
            spans.append((step, seen, phase.batch_size))
            step += looks * self.hold
            seen += looks * self.hold * phase.batch_size
        return spans, step


def levels_of(size: int) -> int:
    """How many levels lead to images of ``size`` pixels.

    Raises:
        ValueError: ``size`` is no power of two from 4 up.
    """
    if size < FIRST_RESOLUTION or size & (size - 1):
        raise ValueError(
            f"progressive networks double 4 x 4 pixels and never come to {size} px: choose a power "
            "of two by --set dataset.size=N"
        )
    return size.bit_length() - 2


def shrunk(images: Tensor, resolution: int) -> Tensor:
    """Images (N, C, H, H) at a resolution that divides theirs: (N, C, R, R), means of pixels."""
    factor = images.shape[-1] // resolution
    return images if factor == 1 else F.avg_pool2d(images, factor)


def faded(images: Tensor, alpha: float) -> Tensor:
    """Real images (N, C, R, R) as a level sees them that is faded in by ``alpha``.

    They lose as much of their detail as generated ones lack: alpha * images + (1 - alpha) * the
    same at half of the resolution (ProcessReals of the official code).
    """
    if alpha >= 1 or images.shape[-1] == FIRST_RESOLUTION:
        return images
    coarse = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2.0)
    return coarse.lerp(images, alpha)
