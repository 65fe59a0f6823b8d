"""Training that updates several networks in turn, each on images of its own and by its own loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Batch, ImageSet, Inverter, MethodConfig, Stage
from baselines.collapse import same_reconstruction
from baselines.epochs import steps_of_epochs

Terms = dict[str, Tensor]
Normals = Callable[[str], Tensor]


class AlternatingConfig(MethodConfig):
    """How long to train, in iterations or epochs.

    Attributes:
        epochs: Training length; an epoch has as many iterations as the training set has batches,
            though each iteration reads several of them, as in the reference programs.
        iterations: Training length in place of ``epochs``.
        batch_size: Images of one update, over all processes.
        beta1: Of Adam, for all networks; beta2 is 0.999.
        z_dim: Numbers of a latent.
        norm_momentum: Share of the batch norms' moving statistics that each pass keeps. They start
            at 0 and 1: a training of few steps needs a smaller one.
    """

    epochs: int = Field(100, ge=1)
    iterations: int | None = Field(None, ge=1)
    batch_size: int = Field(128, ge=2)
    beta1: float = Field(0.5, ge=0, lt=1)
    z_dim: int = Field(128, ge=1)
    norm_momentum: float = Field(0.99, ge=0, lt=1)


class AlternatingStage(Stage):
    """One iteration is one update for each name in ``turns``.

    Args:
        method: Whose reconstructions are looked at for collapse.
        config: Training length, batch size, Adam's beta1.
        networks: By name.
        rates: Adam's learning rate for each network.
        turns: Names of networks in the order of their updates; a name may come several times.
        train: The training images.

    Raises:
        ValueError: The training images fill no batch.
    """

    name = "adversarial"

    def __init__(
        self,
        method: Inverter,
        config: AlternatingConfig,
        networks: Mapping[str, nn.Module],
        rates: Mapping[str, float],
        turns: Sequence[str],
        train: ImageSet,
    ) -> None:
        super().__init__()
        self._method, self._config, self._networks = method, config, networks
        self._turns, self._train = turns, train
        self.batch_size = config.batch_size * len(turns)
        self.steps = config.iterations or steps_of_epochs(train, config.batch_size, config.epochs)
        self.optimizers = {
            name: torch.optim.Adam(
                network.parameters(), lr=rates[name], betas=(config.beta1, 0.999), fused=True
            )
            for name, network in networks.items()
        }

    @abstractmethod
    def losses(self, network: str, images: Tensor, normals: Normals) -> Terms:
        """The loss terms of one network on a batch.

        Args:
            network: The one to be updated; all others are frozen.
            images: (N, C, H, W).
            normals: From a purpose to standard normal numbers (N, z_dim), new ones in each turn.

        Returns:
            ``loss``, which is minimized, and what it is made of.
        """

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        count = batch.share(self._config.batch_size)
        report: Terms = {}
        for turn, (network, images) in enumerate(
            zip(self._turns, batch.images.split(count), strict=True)
        ):

            def normals(purpose: str, turn: int = turn) -> Tensor:
                return batch.draws.normal(f"{purpose} {turn}", count, self._config.z_dim)

            report |= self.update(network, images, normals)
        return report

    def update(self, network: str, images: Tensor, normals: Normals) -> Terms:
        """Update one network; see ``losses``."""
        for name, module in self._networks.items():
            module.requires_grad_(name == network)
        terms = self.losses(network, images, normals)
        optimizer = self.optimizers[network]
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        optimizer.step()
        return {f"{network}/{name}": term.detach() for name, term in terms.items()}

    def collapsed(self) -> str | None:
        return same_reconstruction(self._method, self._train)
