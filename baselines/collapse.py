"""How adversarial methods fail for good: different images become the same picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.base import Editor, ImageSet, Inverter, Method

_IMAGES = 8
_SETTLED = 100


def same_picture(method: Editor, train: ImageSet, share: float = 1e-3) -> str | None:
    """Whether edits that ask for nothing make one picture of different images.

    Args:
        method: It is left in the mode that it is in.
        train: Its first images are edited.
        share: Edited images whose deviation is not above this share of the images' own are the
            same picture.

    Returns:
        A sentence without its end, or None: they differ, or the images themselves do not.
    """
    return _same(method, train, lambda images, labels: method.edit(images, labels, labels), share)


def same_reconstruction(method: Inverter, train: ImageSet, share: float = 1e-3) -> str | None:
    """Whether all images are reconstructed as one picture; see ``same_picture``.

    None, too, until batch norms have seen 100 batches: by moving statistics that are still close
    to where they began, all pictures are the same.
    """
    seen = [int(n) for name, n in method.named_buffers() if name.endswith("num_batches_tracked")]
    if seen and max(seen) < _SETTLED:
        return None
    return _same(method, train, lambda images, _: method.decode(method.encode(images)), share)


def _same(
    method: Method, train: ImageSet, repaint: Callable[[Tensor, Tensor], Tensor], share: float
) -> str | None:
    indices = torch.arange(min(_IMAGES, len(train)))
    device = next(method.parameters()).device
    images, labels = (some.to(device) for some in train.batch(indices))
    training = method.training
    method.eval()
    with torch.no_grad():
        repainted = repaint(images, labels)
    method.train(training)
    before, after = (some.std(dim=0, correction=0).mean().item() for some in (images, repainted))
    if before == 0 or after > share * before:
        return None
    return f"different images become the same picture (spread {after:.1e} of {before:.1e})"
