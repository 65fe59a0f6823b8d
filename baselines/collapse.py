"""How adversarial editors fail for good: different images become the same picture."""

from __future__ import annotations

import torch

from baselines.base import Editor, ImageSet

_IMAGES = 8


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
    indices = torch.arange(min(_IMAGES, len(train)))
    device = next(method.parameters()).device
    images, labels = (some.to(device) for some in train.batch(indices))
    training = method.training
    with torch.no_grad():
        edited = method.eval().edit(images, labels, labels)
    method.train(training)
    before, after = (some.std(dim=0, correction=0).mean().item() for some in (images, edited))
    if before == 0 or after > share * before:
        return None
    return f"different images become the same picture (spread {after:.1e} of {before:.1e})"
