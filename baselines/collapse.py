"""How adversarial methods fail for good: different images become the same picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from baselines.base import ConditionalGenerator, Editor, ImageSet, Inverter, Method
from baselines.randomness import Draws

_IMAGES = 8
_LEFT = 1e-4  # of what moving statistics began with, once they have settled


def same_picture(method: Editor, train: ImageSet, share: float = 1e-3) -> str | None:
    """Whether edits that ask for nothing make one picture of different images.

    Args:
        method: It is left in the mode that it is in.
        train: A few images of it are edited.
        share: Edited images whose deviation is not above this share of the images' own are the
            same picture.

    Returns:
        A sentence without its end, or None: they differ, or the images themselves do not.
    """
    return _same(method, train, lambda images, labels: method.edit(images, labels, labels), share)


def same_reconstruction(method: Inverter, train: ImageSet, share: float = 1e-3) -> str | None:
    """Whether all images are reconstructed as one picture; see ``same_picture``.

    None, too, until the batch norms have settled: by moving statistics that are still close to
    where they began, all pictures are the same.
    """
    if not _settled(method):
        return None
    return _same(method, train, lambda images, _: method.decode(method.encode(images)), share)


def same_samples(method: ConditionalGenerator, train: ImageSet, share: float = 1e-3) -> str | None:
    """Whether all samples of the first image's label are one picture; see ``same_picture``."""

    def sample(images: Tensor, labels: Tensor) -> Tensor:
        draws = Draws(0, 0, 0, 1, images.device)
        return method.sample(labels[:1].expand_as(labels), draws)

    return _same(method, train, sample, share, "latents")


def a_few(train: ImageSet) -> tuple[Tensor, Tensor]:
    """Eight images (N, C, H, W) spread over a dataset, or all of fewer, and their labels (N, A)."""
    count = min(_IMAGES, len(train))
    return train.batch(torch.arange(count) * (len(train) // count))  # neighbours may be much alike


def lost_spread(images: Tensor, made: Tensor, share: float = 1e-3) -> str | None:
    """How little made pictures (M, C, H, W) differ beside images (N, C, H, W), in words.

    None if their deviation is above ``share`` of that of the images, or the images do not differ.
    """
    before, after = (some.std(dim=0, correction=0).mean().item() for some in (images, made))
    if before == 0 or after > share * before:
        return None
    return f"spread {after:.1e} of {before:.1e}"


def _settled(method: Method) -> bool:
    norms = [module for module in method.modules() if isinstance(module, _BatchNorm)]
    left = [
        (1 - norm.momentum) ** int(norm.num_batches_tracked)
        for norm in norms
        if norm.momentum is not None and norm.num_batches_tracked
    ]
    return all(share < _LEFT for share in left) if left else not norms


def _same(
    method: Method,
    train: ImageSet,
    repaint: Callable[[Tensor, Tensor], Tensor],
    share: float,
    what: str = "images",
) -> str | None:
    device = next(method.parameters()).device
    images, labels = (some.to(device) for some in a_few(train))
    training = method.training
    method.eval()
    with torch.no_grad():
        repainted = repaint(images, labels)
    method.train(training)
    lost = lost_spread(images, repainted, share)
    return None if lost is None else f"different {what} become the same picture ({lost})"
