from __future__ import annotations

import torch
from torch import nn

from baselines.plateau import Plateau


def heeded(losses: list[float]) -> tuple[Plateau, nn.ModuleList, list[float]]:
    """A plateau after these epochs, in which the only weight was 0, 1, 2, ..., and its scales."""
    networks = nn.ModuleList([nn.Linear(1, 1, bias=False)])
    plateau = Plateau(networks, factor=0.5, patience=2, stop_patience=3, min_delta=0.1)
    scales = []
    for epoch, loss in enumerate(losses):
        nn.init.constant_(networks[0].weight, epoch)
        plateau.heed(torch.tensor(loss), networks)
        scales.append(float(plateau.scale))
    return plateau, networks, scales


def test_rates_fall_after_their_patience_and_training_ends_after_its_own() -> None:
    plateau, networks, scales = heeded([5, 4, 3.95, 3.95, 2, 2, 2])
    assert scales == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert not plateau.stopped
    plateau.heed(torch.tensor(1.95), networks)  # lower by too little
    assert plateau.stopped


def test_the_weights_of_the_least_loss_are_kept() -> None:
    plateau, networks, _ = heeded([5, 4, 3.95, 4.5])
    plateau.restore(networks)
    assert networks[0].weight.item() == 2
    assert networks[0].weight.requires_grad
    assert not any(value.requires_grad for value in plateau.parameters())


def test_no_loss_restores_nothing_and_nan_is_never_the_least() -> None:
    plateau, networks, _ = heeded([])
    nn.init.constant_(networks[0].weight, 7)
    plateau.restore(networks)
    assert networks[0].weight.item() == 7
    plateau, networks, _ = heeded([3, float("nan")])
    plateau.restore(networks)
    assert networks[0].weight.item() == 0


def test_its_state_goes_through_a_checkpoint() -> None:
    whole, _, _ = heeded([5, 4, 4, 4])
    part, networks, _ = heeded([5, 4, 4])
    again, _, _ = heeded([])
    again.load_state_dict(part.state_dict())
    nn.init.constant_(networks[0].weight, 3)
    again.heed(torch.tensor(4.0), networks)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
