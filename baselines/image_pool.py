"""A pool of generated images, from which a critic is shown older ones among the new.

Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training"
(CVPR 2017), section 2.3, in the form that CycleGAN's and Pioneer's released codes share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.randomness import Draws

_LARGE = 256  # from this resolution on there are half as many images


class ImagePool(nn.Module):
    """Images of one resolution at a time, in buffers, so that training resumes with them.

    Args:
        capacity: How many images; half as many of 256 x 256 pixels and above. 0 keeps none.
        channels: Of the images.
        size: The largest resolution.
    """

    memory: Tensor
    state: Tensor

    def __init__(self, capacity: int, channels: int, size: int) -> None:
        super().__init__()
        self._capacity, self._channels = capacity, channels
        sizes = {size, min(size, _LARGE // 2)}
        numbers = max(self.capacity(one) * channels * one * one for one in sizes)
        self.register_buffer("memory", torch.zeros(numbers))
        self.register_buffer("state", torch.zeros(2, dtype=torch.int64))  # resolution, images

    def capacity(self, resolution: int) -> int:
        """How many images of ``resolution`` pixels it holds."""
        return self._capacity if resolution < _LARGE else self._capacity // 2

    @torch.no_grad()
    def exchange(self, images: Tensor, draws: Draws) -> Tensor:
        """Put images in; return each, or with probability 1/2 an older one that it replaces.

        Images come one after the other: while there is room they are copied in and returned. The
        first ones of another resolution empty the pool.

        Args:
            images: (N, C, R, R).
            draws: Decide by those named ``pool``.

        Returns:
            (N, C, R, R).
        """
        count, resolution = len(images), images.shape[-1]
        capacity = self.capacity(resolution)
        if capacity == 0:
            return images
        before, filled = self.state.tolist()
        filled = filled if before == resolution else 0
        pool = self.memory[: capacity * images[0].numel()].view(capacity, *images.shape[1:])
        # Places in the pool followed by those of the images: both are moved once, at the end.
        held, returned = list(range(capacity)), list(range(capacity, capacity + count))
        chances = draws.uniform(f"pool {count}", count, 2).tolist()
        for i, (chance, slot) in enumerate(chances):
            if filled < capacity:
                held[filled] = capacity + i
                filled += 1
            elif chance > 0.5:
                place = int(slot * capacity)
                returned[i], held[place] = held[place], capacity + i
        both = torch.cat([pool, images])
        pool.copy_(both[held])
        self.state.copy_(torch.tensor([resolution, filled]))
        return both[returned]
