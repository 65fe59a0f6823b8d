"""Compiled inference: a frozen network's weights become constants of generated code.

Compiling takes seconds to a minute and needs a C++ compiler on a CPU, so it is done only where it
is asked for. The code is made for one batch size and one order in memory: other batches are split
and filled up, since for a batch of another size (the last one of a dataset, for instance) the
network would be compiled anew.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.errors import BenchError

_GPU_BATCH = 64


def images_at_once(device: torch.device) -> int:
    """How many images a convolutional network should take in together.

    On a CPU the widest maps of a few images stay in its caches, which is faster by a quarter than
    a batch of 32: two images for each thread, at least four.
    """
    return max(4, 2 * torch.get_num_threads()) if device.type == "cpu" else _GPU_BATCH


class CompiledFunction:
    """A function of images, compiled when it is first called; without gradients.

    Args:
        function: Takes (N, C, H, W) to (N, D), each image by itself.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = torch.compile(function, dynamic=False)

    def __call__(self, images: Tensor) -> Tensor:
        """The function's values.

        Raises:
            BenchError: There is no compiler here, or it cannot compile the function.
        """
        size = images_at_once(images.device)
        parts = images.contiguous(memory_format=torch.channels_last).split(size)
        return torch.cat([self._run(part, size) for part in parts])

    def _run(self, images: Tensor, size: int) -> Tensor:
        # Imported here: the compiler is slow to import and mostly not needed.
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor import config

        count = len(images)
        if count < size:
            filled = images[torch.arange(size).clamp(max=count - 1)]
            images = filled.contiguous(memory_format=torch.channels_last)
        try:
            with config.patch(freezing=True):
                return self._function(images)[:count]
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            raise BenchError(
                f"The network cannot be compiled on this machine ({reason}): go on without "
                "--compile, or install a C++ compiler."
            ) from error
