"""IcGAN: a conditional GAN and two encoders that invert it; an edit is a change of encoded labels.

Perarnau et al., "Invertible Conditional GANs for image editing" (NIPS 2016 workshop, arXiv
1611.06355), after the released Lua code (Guim3/IcGAN), form ``torch7``. Two more forms:
``tensorflow``, the MNIST program of zhangqianhui/ICGan-tensorflow, and ``sun-li``, Sun and Li,
"Image Editing with Invertible Conditional GANs" (CS230, Stanford, 2018), which adds a dense layer
to the generator, and filters and dropout to the discriminator; what its text leaves open (widths,
dropout, training length) is as in the first form, or a guess: 0.5, and a discriminator twice as
wide.

The stages: the GAN; 100 passes in training mode that settle the generator's batch norms; Ez on
generated images, whose latents are known; Ey on training images with their labels. Where this
differs from the Lua code:

- its 182,638 generated triples (z, y, image) are stored and seen 15 times; here each step draws its
  own, a function of the seed and the step;
- its GAN draws every batch anew; here an epoch sees each image once;
- its reconstructions forget to threshold the encoded labels, its edits do not; here both do.

The TensorFlow program normalises by batch statistics when it edits too, so that an image's edit
depends on those beside it; ``statistics`` changes that. A single image has no such statistics: it
is edited with the running ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import Batch, Editor, Stage, TrainingData
from baselines.icgan_config import IcGANConfig, build_networks
from baselines.icgan_labels import KnownLabels, edited_labels, exclusive_groups, scaled_labels
from baselines.icgan_reference import check_reference
from baselines.nets.icgan import batch_statistics
from baselines.randomness import mirrored


class IcGAN(Editor):
    """A generator of (z, y), its discriminator, and the encoders of z and of y."""

    Config = IcGANConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {
            "z_dim": 32,
            "generator_width": 16,
            "discriminator_width": 16,
            "quarter_width": 32,
            "dense_width": 128,
            "encoder_width": 16,
            "y_encoder_dense": 128,
            "batch_size": 32,
            "gan_steps": 1300,
            "z_encoder_steps": 600,
            "y_encoder_steps": 250,
            "z_encoder_rate": 1e-3,
            "y_encoder_rate": 1e-3,
            "refresh_steps": 50,
        },
        "smoke": {
            "z_dim": 8,
            "generator_width": 8,
            "discriminator_width": 8,
            "quarter_width": 16,
            "dense_width": 32,
            "encoder_width": 8,
            "y_encoder_dense": 32,
            "batch_size": 8,
            "gan_steps": 4,
            "z_encoder_steps": 3,
            "y_encoder_steps": 3,
            "refresh_steps": 2,
        },
    }

    def __init__(self, config: IcGANConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config, self.attributes = config, data.attributes
        if not data.attributes.names:
            raise ValueError("IcGAN edits attributes, and the dataset has none: take another one.")
        self.tensorflow = config.form == "tensorflow"
        self.low = 0.0 if self.tensorflow else -1.0  # the label of an attribute that is not set
        self.exclusive = exclusive_groups(data.attributes)
        networks = build_networks(config, data)
        self.generator, self.discriminator, self.z_encoder, self.y_encoder = networks
        self.loaded: set[str] = set()

    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Encode, change the labels in which ``target`` differs from ``source``, and generate."""
        per_batch = self.config.statistics == "batch" and len(images) > 1
        with batch_statistics(self) if per_batch else nullcontext():
            images = self.inputs(images)
            labels = self.labels(target)
            if self.config.labels == "encoded":
                encoded = self.hardened(self.y_encoder(images))
                labels = edited_labels(encoded, source, target, self.exclusive, self.low)
            return self.outputs(self.generator(self.z_encoder(images), labels))

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        if "G" not in self.loaded:
            yield AdversarialStage(self, data)
            if self.config.refresh_steps:
                yield RefreshStage(self, data)
        if "Ez" not in self.loaded:
            yield LatentEncoderStage(self, data)
        if "Ey" not in self.loaded:
            yield LabelEncoderStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the Lua code's generator ``G`` and encoders ``Ez`` and ``Ey``, or some of them.

        Raises:
            ValueError: As ``Method.load_reference``.
        """
        if self.config.form != "torch7":
            raise ValueError(
                f"The released networks are of the form torch7, not {self.config.form}: set "
                "form=torch7."
            )
        networks = {"G": self.generator, "Ez": self.z_encoder, "Ey": self.y_encoder}
        own = {name: network.state_dict() for name, network in networks.items()}
        check_reference(states, own, self.config.z_dim)
        for name, state in states.items():
            # Lua's batch norms do not count their batches.
            counts = {key: own[name][key] for key in own[name].keys() - state.keys()}
            networks[name].load_state_dict({**counts, **state})
            self.loaded.add(name)

    def inputs(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] in the form's own range."""
        return (images + 1) / 2 if self.tensorflow else images

    def outputs(self, images: Tensor) -> Tensor:
        """Images of the form's own range in [-1, 1]."""
        return images * 2 - 1 if self.tensorflow else images

    def labels(self, attributes: Tensor) -> Tensor:
        """Attributes (N, A) of 0 and 1 as the form's labels."""
        return scaled_labels(attributes, self.low)

    def hardened(self, encoded: Tensor) -> Tensor:
        """Ey's numbers (N, A) as labels: the largest of classes, else all above the middle."""
        if not self.config.threshold:
            return encoded
        if self.tensorflow and self.attributes.classes:
            return F.one_hot(encoded.argmax(dim=1), encoded.shape[1]).to(encoded.dtype)
        return scaled_labels((encoded > (1 + self.low) / 2).to(encoded.dtype), self.low)

    def known_labels(self, data: TrainingData) -> KnownLabels:
        """The labels of the training set, in the form's own range, on the method's device."""
        return KnownLabels(data, self.low, next(self.parameters()).device)

    def discriminator_terms(
        self,
        images: Tensor,
        labels: Tensor,
        wrong_labels: Tensor | None,
        fakes: Tensor,
        fake_labels: Tensor,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The discriminator's logits (N,), and the weighted terms of its loss, by name.

        Each of the passes normalises by its own batch's statistics.
        """
        asked = [labels] if wrong_labels is None else [labels, wrong_labels]
        logits = dict(zip(("real", "wrong"), self.discriminator(images, *asked), strict=False))
        (logits["fake"],) = self.discriminator(fakes, fake_labels)
        weights = {"wrong": self.config.wrong_weight, "fake": self.config.fake_weight}
        terms = {
            name: weights.get(name, 1.0) * self.cross_entropy(one, name == "real")
            for name, one in logits.items()
        }
        return logits, terms

    def generator_loss(self, fakes: Tensor, fake_labels: Tensor) -> Tensor:
        """The non-saturating loss: fakes taken for real."""
        (logits,) = self.discriminator(fakes, fake_labels)
        return self.cross_entropy(logits, True)

    def cross_entropy(self, logits: Tensor, real: bool) -> Tensor:
        """Mean binary cross entropy, bounded by a small number within the logarithm."""
        tiny = 1e-8 if self.tensorflow else 1e-12
        logits = logits.float()
        return -torch.log(torch.sigmoid(logits if real else -logits) + tiny).mean()


class AdversarialStage(Stage):
    """One step of the discriminator and one of the generator, with the same generated images."""

    name = "gan"

    def __init__(self, method: IcGAN, data: TrainingData) -> None:
        super().__init__()
        self.method, self.config = method, method.config
        self.batch_size = self.config.batch_size
        images = len(data.train)
        self.steps = _steps(self.config.gan_steps, self.config.gan_epochs, images, self.config)
        self.known = method.known_labels(data)
        flip = self.config.horizontal_flip
        self.flip = data.channels > 1 if flip is None else flip
        rate, beta1 = self.config.learning_rate, self.config.beta1
        self.generator = _adam(method.generator.parameters(), rate, beta1)
        self.discriminator = _adam(method.discriminator.parameters(), rate, beta1)
        self.optimizers = {"generator": self.generator, "discriminator": self.discriminator}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        assert batch.attributes is not None
        assert batch.indices is not None
        method, count = self.method, len(batch.images)
        images = mirrored(batch.images, batch.draws) if self.flip else batch.images
        labels, wrong_labels = method.labels(batch.attributes), None
        if self.config.wrong_weight:
            wrong_labels = self.known.others(batch.indices, batch.draws.uniform("wrong", count))
        fake_labels = labels
        if self.config.fake_labels == "drawn":
            fake_labels = self.known.drawn(batch, count)
        z = batch.draws.normal("z", count, self.config.z_dim)
        return self.update(method.inputs(images), labels, wrong_labels, z, fake_labels)

    def update(
        self,
        images: Tensor,
        labels: Tensor,
        wrong_labels: Tensor | None,
        z: Tensor,
        fake_labels: Tensor,
    ) -> dict[str, Tensor]:
        """Update both networks; images and labels are in the form's own ranges."""
        method = self.method
        fakes = method.generator(z, fake_labels)
        _, terms = method.discriminator_terms(
            images, labels, wrong_labels, fakes.detach(), fake_labels
        )
        _minimize(torch.stack(list(terms.values())).sum(), self.discriminator)
        method.discriminator.requires_grad_(False)
        generator_loss = method.generator_loss(fakes, fake_labels)
        _minimize(generator_loss, self.generator)
        method.discriminator.requires_grad_(True)
        return {**_detached(terms), "generator": generator_loss.detach()}

    def collapsed(self) -> str | None:
        """All latents give the same picture."""
        labels = self.known.table[:1].expand(8, -1)
        rows = torch.arange(8, device=labels.device)[:, None]
        z = torch.sin(rows * torch.arange(1, self.config.z_dim + 1, device=rows.device) * 1.7) * 2
        with torch.no_grad(), batch_statistics(self.method.generator):
            spread = self.method.generator(z, labels).std(dim=0).mean().item()
        return None if spread > 1e-4 else f"all latents give the same picture (spread {spread:.1e})"


class RefreshStage(Stage):
    """Passes without learning: the generator's batch norms see its final weights."""

    name = "refresh"

    def __init__(self, method: IcGAN, data: TrainingData) -> None:
        super().__init__()
        self.method, self.known = method, method.known_labels(data)
        self.steps = method.config.refresh_steps

    def step(self, batch: Batch) -> dict[str, Tensor]:
        count = batch.share(self.method.config.batch_size)
        z = batch.draws.normal("z", count, self.method.config.z_dim)
        with torch.no_grad():
            self.method.generator(z, self.known.drawn(batch, count))
        return {}


class LatentEncoderStage(Stage):
    """Ez learns the latents of generated images."""

    name = "z encoder"

    def __init__(self, method: IcGAN, data: TrainingData) -> None:
        super().__init__()
        config = method.config
        self.method, self.known = method, method.known_labels(data)
        images = config.encoder_share * len(data.train)
        self.steps = _steps(config.z_encoder_steps, config.encoder_epochs, images, config)
        self.optimizer = _adam(
            method.z_encoder.parameters(), config.z_encoder_rate, config.encoder_beta1
        )
        self.optimizers = {"z encoder": self.optimizer}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        method = self.method
        count = batch.share(method.config.batch_size)
        z = batch.draws.normal("z", count, method.config.z_dim)
        generator = method.generator.eval()
        per_batch = method.config.statistics == "batch"
        with torch.no_grad(), batch_statistics(generator) if per_batch else nullcontext():
            fakes = generator(z, self.known.drawn(batch, count))
        return {"z": _minimize(F.mse_loss(method.z_encoder(fakes), z), self.optimizer)}


class LabelEncoderStage(Stage):
    """Ey learns the labels of real images: of all of them, or of the first part."""

    name = "y encoder"

    def __init__(self, method: IcGAN, data: TrainingData) -> None:
        super().__init__()
        config = method.config
        self.method, self.batch_size = method, config.batch_size
        self.images = max(1, int(config.encoder_share * len(data.train)))
        self.steps = _steps(config.y_encoder_steps, config.encoder_epochs, self.images, config)
        self.optimizer = _adam(
            method.y_encoder.parameters(), config.y_encoder_rate, config.encoder_beta1
        )
        self.optimizers = {"y encoder": self.optimizer}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        assert batch.attributes is not None
        encoded = self.method.y_encoder(self.method.inputs(batch.images))
        loss = F.mse_loss(encoded, self.method.labels(batch.attributes))
        return {"y": _minimize(loss, self.optimizer)}


def _steps(steps: int | None, epochs: float, images: float, config: IcGANConfig) -> int:
    return steps or max(1, int(epochs * images / config.batch_size))


def _adam(parameters: Iterable[nn.Parameter], rate: float, beta1: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=rate, betas=(beta1, 0.999), fused=True)


def _minimize(loss: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def _detached(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: loss.detach() for name, loss in losses.items()}
