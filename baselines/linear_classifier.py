"""The linear classifier of attributes on a frozen encoder, the second stage of InfoSCC-GAN.

Kinakh et al., "Information-Theoretic Stochastic Contrastive Conditional GAN: InfoSCC-GAN" (2021;
vkinakh/InfoSCC-GAN, ``classification_trainer.py``).
"""

from __future__ import annotations

from torch import Tensor, nn


class LinearClassifier(nn.Module):
    """One linear layer on features h; tensors are named as in the released code.

    Args:
        features: D, their width.
        outputs: A, one for each attribute or class.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.model = nn.Linear(features, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """h (N, D) -> logits (N, A)."""
        logits: Tensor = self.model(features)
        return logits
