"""BiGAN: a GAN whose discriminator sees latents too, so that an encoder learns to invert it.

Donahue et al., "Adversarial Feature Learning" (ICLR 2017), in the form of the official code
(jeffdonahue/bigan, with the options of train_imagenet.sh). It has no settings for faces, and no
encoder but the AlexNet-like one in its ImageNet runs (``encoder_network``); the default is that of
its options. Real and generated images go through the discriminator in separate batches, each with
its own statistics, and all networks are updated from that one pass. The statistics that evaluation
normalises by are no moving averages: a last stage takes them anew over many batches, as the
program does each time before it evaluates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from baselines.base import Batch, Inverter, MethodConfig, Stage, TrainingData
from baselines.bigan_latents import LatentKind, Latents
from baselines.collapse import same_reconstruction
from baselines.nets.bigan import AlexNet, ConvNet, Generator, architecture, arrays_of, take_arrays
from baselines.randomness import Draws
from baselines.simultaneous import update_together


class BiGANConfig(MethodConfig):
    """Settings of BiGAN; the defaults are those of the official ImageNet runs.

    Attributes:
        epochs: Readings of the training set before the learning rate falls.
        decay_epochs: Readings in which it falls to ``final_rate`` of its start, exponentially.
        iterations: Training length in steps; the schedule is stretched, so that they count as
            ``epochs`` and ``decay_epochs`` together.
        batch_size: Images of one step, over all processes; as many are generated beside them.
        latent: Prior and output of the encoder, see ``Latents``.
        z_dim: Width of the latents.
        log_variance_bias: See ``Latents``.
        generator_width: Channels of the generator's last hidden layer.
        feature_width: Channels of the first layer of discriminator and encoder.
        encoder_network: ``convnet``, as the discriminator, or ``alexnet``, as in the official
            ImageNet runs.
        learning_rate: Of Adam, for all networks.
        discriminator_rate_share: How much of it the discriminator has.
        final_rate: See ``decay_epochs``.
        beta1: Of Adam.
        weight_decay: L2 penalty of all parameters.
        decay_gains: Whether it includes the gains of the norms.
        statistics_batches: Batches that the norms' statistics are taken from after the training.
    """

    epochs: int = Field(50, ge=0)
    decay_epochs: int = Field(50, ge=0)
    iterations: int | None = Field(None, ge=1)
    batch_size: int = Field(128, ge=2)
    latent: LatentKind = "u"
    z_dim: int = Field(200, ge=1)
    log_variance_bias: float = -5.0
    generator_width: int = Field(64, ge=1)
    feature_width: int = Field(64, ge=1)
    encoder_network: Literal["convnet", "alexnet"] = "convnet"
    learning_rate: float = Field(2e-4, ge=0)
    discriminator_rate_share: float = Field(1.0, ge=0)
    final_rate: float = Field(0.01, gt=0, le=1)
    beta1: float = Field(0.5, ge=0, lt=1)
    weight_decay: float = Field(2.5e-5, ge=0)
    decay_gains: bool = False
    statistics_batches: int = Field(1000, ge=1)

    def rate(self, progress: float) -> float:
        """The learning rate at a share of the training in [0, 1); it changes with the epochs."""
        falling = int(progress * (self.epochs + self.decay_epochs)) - self.epochs + 1
        if falling <= 0:
            return self.learning_rate
        return self.learning_rate * self.final_rate ** (falling / self.decay_epochs)


class BiGAN(Inverter):
    """The generator, the encoder and the discriminator of their pairs.

    Attributes:
        joint: Whether the discriminator sees latents; it does not for the latent regressor.
    """

    Config: ClassVar[type[BiGANConfig]] = BiGANConfig
    joint: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {
            "iterations": 500,
            "batch_size": 32,
            "z_dim": 64,
            "generator_width": 8,
            "feature_width": 16,
            "learning_rate": 1e-3,
            "statistics_batches": 20,
        },
        "smoke": {
            "iterations": 3,
            "batch_size": 8,
            "z_dim": 8,
            "generator_width": 2,
            "feature_width": 2,
            "statistics_batches": 2,
        },
    }

    def __init__(self, config: BiGANConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        self.latents = Latents(config.latent, config.z_dim, config.log_variance_bias)
        if not self.latents.normal:
            self.interpolation = "linear"  # type: ignore[misc]  # a uniform prior is no sphere
        size, channels, outputs = data.size, data.channels, self.latents.outputs
        self.generator = Generator(size, channels, config.z_dim, config.generator_width)
        # Last layers begin with zeros, but for the one whose output a discriminator sees.
        encoder: Callable[..., nn.Module] = partial(AlexNet, size, channels)
        if config.encoder_network == "convnet":
            encoder = partial(ConvNet, size, channels, config.feature_width)
        self.encoder = encoder(outputs, zero_head=not self.joint)
        condition = config.z_dim if self.joint else 0
        self.discriminator = ConvNet(size, channels, config.feature_width, 1, True, condition)
        self._size, self._channels = size, channels
        self._trained = False

    def encode(self, images: Tensor) -> Tensor:
        return self.latents.most_likely(self.encoder(images))

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.generator(z)
        return images

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return self.latents.draw("latents", count, draws).to(self.generator.last.weight.device)

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        if not self._trained:
            yield self.adversarial_stage(data)
            yield StatisticsStage(self)

    def adversarial_stage(self, data: TrainingData) -> AdversarialStage:
        """The stage that trains all networks."""
        return AdversarialStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the arrays of ``train_gan.py``, by role and in its order.

        The networks are ``gen``, ``encode`` and ``joint_discrim`` (``discrim`` for the latent
        regressor). What kind of latents they were trained with is not in the files (``latent``).

        Raises:
            ValueError: One is missing or of another architecture; the message names the setting.
        """
        role = "joint_discrim" if self.joint else "discrim"
        networks = {"gen": self.generator, "encode": self.encoder, role: self.discriminator}
        missing = networks.keys() - states.keys()
        if missing:
            raise ValueError(
                f"the checkpoint lacks the network {' and '.join(sorted(missing))}: give the "
                f"folder that holds <epoch>_gen_params.jl, _encode_params.jl and _{role}_params.jl"
            )
        arrays = {name: list(states[name].values()) for name in networks}
        self._check_settings(architecture(*arrays.values()))
        for name, network in networks.items():
            _check_arrays(name, network, arrays[name])
        for name, network in networks.items():
            take_arrays(network, arrays[name])
        self._trained = True

    def _check_settings(self, theirs: Mapping[str, int | str]) -> None:
        own = self.config.model_dump() | {"size": self._size, "channels": self._channels}
        own["latent"] = "gv" if self.config.latent == "gv" else "u"
        for setting, value in theirs.items():
            if own[setting] != value:
                option = f"dataset.{setting}" if setting in ("size", "channels") else setting
                raise ValueError(
                    f"the checkpoint's {setting.replace('_', ' ')} is {value}, this run's "
                    f"{own[setting]}: change it by --set {option}={value}"
                )


class AdversarialStage(Stage):
    """In each step, one pass through all networks and one update of each."""

    name = "adversarial"

    def __init__(self, method: BiGAN, data: TrainingData) -> None:
        super().__init__()
        self.method, self.config, self.data = method, method.config, data
        self.batch_size = self.config.batch_size
        epoch = -(-len(data.train) // self.batch_size)
        epochs = self.config.epochs + self.config.decay_epochs
        self.steps = self.config.iterations or epochs * epoch
        self.optimizers = {
            "discriminator": self._adam(method.discriminator),
            "encoder_generator": self._adam(method.encoder, method.generator),
        }

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        rate = self.config.rate(batch.step / self.steps)
        for name, optimizer in self.optimizers.items():
            share = self.config.discriminator_rate_share if name == "discriminator" else 1.0
            for group in optimizer.param_groups:
                group["lr"] = share * rate
        rows = len(batch.images)
        z = self.method.latents.draw("z", rows, batch.draws)
        return self.update(batch.images, z, batch.draws.normal("noise", rows, self.config.z_dim))

    def update(self, images: Tensor, z: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Update all networks.

        Args:
            images: (N, C, H, W) in [-1, 1].
            z: (N, D) latents of the prior.
            noise: (N, D), standard normal, what the encoder's latents are drawn with (``gv``).

        Returns:
            The losses, by the name of the optimiser.
        """
        return update_together(self.optimizers, self.losses(images, z, noise))

    def losses(self, images: Tensor, z: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """What each optimiser minimises, by its name; see ``update``."""
        method = self.method
        code = method.latents.sample(method.encoder(images), noise)
        data_logit = method.discriminator(images, code)
        sample_logit = method.discriminator(method.generator(z), z)
        return {
            "discriminator": discriminator_loss(data_logit, sample_logit),
            "encoder_generator": encoder_generator_loss(data_logit, sample_logit),
        }

    def collapsed(self) -> str | None:
        return same_reconstruction(self.method, self.data.train)

    def _adam(self, *networks: nn.Module) -> torch.optim.Adam:
        modules = [module for network in networks for module in network.modules()]
        gains = [module.weight for module in modules if isinstance(module, _BatchNorm)]
        free = set() if self.config.decay_gains else set(map(id, gains))
        parameters = [one for network in networks for one in network.parameters()]
        groups: list[dict[str, Any]] = [
            {"params": [one for one in parameters if id(one) not in free]},
            {"params": [one for one in parameters if id(one) in free], "weight_decay": 0.0},
        ]
        return torch.optim.Adam(
            groups,
            lr=self.config.learning_rate,
            betas=(self.config.beta1, 0.999),
            weight_decay=self.config.weight_decay,
            fused=True,
        )


class StatisticsStage(Stage):
    """Takes the norms' statistics anew: means over batches of generated and of real images."""

    name = "statistics"

    def __init__(self, method: BiGAN) -> None:
        super().__init__()
        self.method = method
        self.steps, self.batch_size = method.config.statistics_batches, method.config.batch_size

    @torch.no_grad()
    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        networks = (self.method.generator, self.method.encoder)
        modules = [module for network in networks for module in network.modules()]
        norms = [module for module in modules if isinstance(module, _BatchNorm)]
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = None  # all batches weigh the same
            if batch.step == 0:
                norm.reset_running_stats()
        self.method.generator(self.method.latents.draw("z", len(batch.images), batch.draws))
        self.method.encoder(batch.images)
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
        return {}


def discriminator_loss(data_logit: Tensor, sample_logit: Tensor) -> Tensor:
    """What a discriminator minimises (gan.py, add_discrim_loss).

    Args:
        data_logit: (N, 1), D(x, E(x)), or D(x) without an encoder.
        sample_logit: (N, 1), D(G(z), z), or D(G(z)).

    Returns:
        Scalar, the mean of two binary cross entropies.
    """
    return (F.softplus(-data_logit) + F.softplus(sample_logit)).mean() / 2


def encoder_generator_loss(data_logit: Tensor, sample_logit: Tensor) -> Tensor:
    """What encoder and generator minimise: the discriminator's loss with the labels swapped."""
    return (F.softplus(data_logit) + F.softplus(-sample_logit)).mean() / 2


def _check_arrays(role: str, network: nn.Module, arrays: list[Tensor]) -> None:
    expected = list(arrays_of(network))
    if len(arrays) != len(expected):
        raise ValueError(
            f"the checkpoint's {role} has {len(arrays)} arrays, this run's {len(expected)}: give "
            "one that was trained with gains and biases and without further layers"
        )
    for place, (array, (name, shape)) in enumerate(zip(arrays, expected, strict=True)):
        if tuple(array.shape) != shape:
            raise ValueError(
                f"array {place} of the checkpoint's {role} has the shape {tuple(array.shape)}, "
                f"this run's {name} {shape}: give a checkpoint of images as large as this run's"
            )
        if name.endswith(".count") and not array > 0:
            raise ValueError(f"the norms of the checkpoint's {role} hold no statistics")
