"""Training lengths in readings of the training set."""

from __future__ import annotations

from baselines.base import ImageSet


def steps_of_epochs(
    train: ImageSet, batch_size: int, epochs: int, option: str = "batch_size"
) -> int:
    """How many steps there are in so many readings of whole batches; an incomplete one is left out.

    Args:
        train: The training images.
        batch_size: Images of one step.
        epochs: Readings.
        option: The setting that says ``batch_size``, for the message.

    Raises:
        ValueError: The images fill no batch.
    """
    batches = len(train) // batch_size
    if not batches:
        raise ValueError(
            f"the training set of {len(train)} images fills no batch of {batch_size}: choose a "
            f"smaller one by --set {option}=N, or a training length by --set iterations=N"
        )
    return batches * epochs
