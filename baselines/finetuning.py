"""Fine-tuning of a trained editor, with InfoNCE and without it.

Choi, Nguyen and Pham, "Contrastive Representation Learning For Image Attribute Manipulation",
section 4.2: pretrained editors are trained on by Adam at 1e-4 with betas (0.5, 0.99), with the
additional losses of ``baselines.infonce``. ``FineTunedEditor`` is the fair baseline: as many steps
by the same optimiser on the base's own losses. Who has no checkpoint trains the base first.

The paper names no number of steps; ours is StarGAN's own. Each network has its turns as in the
base, mirrored images and weights are the base's too. In the generator's turn InfoNCE's losses come
on top, on real pairs and on the batch; the classifier C_a learns in the discriminator's turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Batch, Editor, MethodConfig, Stage, TrainingData
from baselines.collapse import same_picture
from baselines.infonce import InfoNCE, InfoNCEConfig, Reduction
from baselines.randomness import Draws, mirrored

Terms = dict[str, Tensor]

_BETAS = (0.5, 0.99)


class FineTuningConfig(MethodConfig):
    """What fine-tuning adds to a base method's settings.

    Attributes:
        finetune_steps: Steps; which networks a step updates is the base's affair.
        finetune_rate: Learning rate of Adam with betas (0.5, 0.99), for both sides.
    """

    finetune_steps: int = Field(200_000, ge=1)
    finetune_rate: float = Field(1e-4, gt=0)


@dataclass(frozen=True)
class Edits:
    """What one training step makes of its images.

    Attributes:
        fake: (N, C, H, W) with the target attributes.
        restored: (N, C, H, W) with their own, or None where no loss looks at them.
        latent: w = E(x), where it was needed on the way.
        codes: a = E(x) - mu(x), or None without InfoNCE.
    """

    fake: Tensor
    restored: Tensor | None
    latent: Tensor | None = None
    codes: Tensor | None = None


class Base(ABC):
    """A base editor in the parts that fine-tuning composes anew.

    Attributes:
        editor: The whole.
        generator: What its generator side trains.
        discriminator: What its other side trains.
        batch_size: Images of a step.
        flip: Whether training images are mirrored at random.
        classifier_reduction: How its cross-entropy treats attributes.
        judges_restored: Whether its discriminator learns from reconstructions, too.
    """

    editor: Editor
    generator: Sequence[nn.Module]
    discriminator: nn.Module
    batch_size: int
    flip: bool
    classifier_reduction: ClassVar[Reduction]
    judges_restored: bool = False

    @abstractmethod
    def turns(self, step: int) -> tuple[bool, bool]:
        """Whether a step updates the discriminator, and whether the generator."""

    @abstractmethod
    def encode(self, images: Tensor, source: Tensor) -> list[Tensor]:
        """E: what F needs of images with attributes ``source``, the latent w last."""

    @abstractmethod
    def decode(self, maps: Sequence[Tensor], attributes: Tensor) -> Tensor:
        """F: images of what ``encode`` gives, its last part replaced or not."""

    def decode_edit(self, maps: Sequence[Tensor], source: Tensor, target: Tensor) -> Tensor:
        """F as an edit uses it, where that differs from training."""
        return self.decode(maps, target)

    @abstractmethod
    def identity_encoder(self) -> tuple[nn.Module, int]:
        """A new network from images to latents of w's shape, and the channels of w."""

    @abstractmethod
    def translate(self, images: Tensor, source: Tensor, target: Tensor, restore: bool) -> Edits:
        """The base's own edits and, on demand, its own reconstructions."""

    @abstractmethod
    def discriminator_losses(
        self, images: Tensor, edits: Edits, source: Tensor, draws: Draws, step: int
    ) -> Terms:
        """The discriminator's terms and their weighted ``total``; edits have no graph."""

    @abstractmethod
    def generator_losses(self, images: Tensor, edits: Edits, target: Tensor) -> Terms:
        """The generator's terms and their weighted ``total``."""


class FineTunedEditor(Editor):
    """A base editor that is trained on with its own losses: the baseline of ``InfoNCEEditor``.

    Attributes:
        base_class: The base in parts, made from the settings and the data.
    """

    base_class: ClassVar[type[Base]]
    infonce: InfoNCE | None

    def __init__(self, config: FineTuningConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        self.base = self.base_class(config, data)  # type: ignore[call-arg]
        self.editor = self.base.editor
        self.infonce = None

    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        return self.editor.edit(images, source, target)

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """The base's stages, but for those that a checkpoint stands for; then fine-tuning."""
        yield from self.editor.stages(data)
        yield FineTuningStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.editor.load_reference(states)

    def training_edits(
        self, images: Tensor, source: Tensor, target: Tensor, restore: bool
    ) -> Edits:
        """What a training step makes of its images; reconstructions on demand."""
        return self.base.translate(images, source, target, restore)


class InfoNCEEditor(FineTunedEditor):
    """A base editor with an identity encoder, trained on with the contrastive losses as well.

    Raises:
        ValueError: The data knows no identities, or has too few attribute vectors for the pairs.
    """

    infonce: InfoNCE

    def __init__(self, config: FineTuningConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        assert isinstance(config, InfoNCEConfig)
        if data.pairs is None:
            raise ValueError(
                "InfoNCE needs pairs of equal attributes and different identities, and the dataset "
                "knows no identities: take one that does, such as celeba or celeba-synth."
            )
        encoder, channels = self.base.identity_encoder()
        self.infonce = InfoNCE(
            config, data.attributes, encoder, channels, self.base.classifier_reduction
        )
        data.pairs.draw(0, config.pair_count)  # too few are refused now, not after the base's steps
        self.replaces_edits = config.infonce_mode == "latent"

    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        if not self.replaces_edits:
            return super().edit(images, source, target)
        *maps, _ = self.base.encode(images, source)
        latent = self.infonce.latent(self.infonce.identity_encoder(images), target)
        return self.base.decode_edit([*maps, latent], source, target).clamp(-1, 1)

    def similarities(self, first: Tensor, second: Tensor, attributes: Tensor) -> Tensor:
        """The matrix M of section 3, for figures.

        Args:
            first: Images (P, C, H, W) in [-1, 1].
            second: (P, C, H, W), row by row another identity with the attributes of ``first``.
            attributes: (P, A) of 0 and 1.

        Returns:
            (P, P), cosines of the attribute embeddings; matching pairs on the diagonal.
        """
        return self.infonce.similarities(
            *(self._codes(images, attributes) for images in (first, second))
        )

    def training_edits(
        self, images: Tensor, source: Tensor, target: Tensor, restore: bool
    ) -> Edits:
        identity = self.infonce.identity_encoder(images)
        if self.replaces_edits:
            maps = self.base.encode(images, source)
            fake = self._decode(maps, identity, target)
            restored = self._decode(maps, identity, source) if restore else None
            return Edits(fake, restored, maps[-1], maps[-1] - identity)
        edits = self.base.translate(images, source, target, restore)
        latent = self.base.encode(images, source)[-1] if edits.latent is None else edits.latent
        return replace(edits, codes=latent - identity)

    def _decode(self, maps: Sequence[Tensor], identity: Tensor, attributes: Tensor) -> Tensor:
        """F(mu + h(Attr))."""
        return self.base.decode([*maps[:-1], self.infonce.latent(identity, attributes)], attributes)

    def _codes(self, images: Tensor, attributes: Tensor) -> Tensor:
        latent = self.base.encode(images, attributes)[-1]
        codes: Tensor = latent - self.infonce.identity_encoder(images)
        return codes


class FineTuningStage(Stage):
    """The base's turns on the base's losses, and on InfoNCE's where the method has it."""

    name = "fine-tuning"

    def __init__(self, method: FineTunedEditor, data: TrainingData) -> None:
        super().__init__()
        self.method, self.base, self.infonce = method, method.base, method.infonce
        self.data = data
        self.steps, self.batch_size = method.config.finetune_steps, method.base.batch_size
        generator, discriminator = list(self.base.generator), [self.base.discriminator]
        if self.infonce is not None:
            self.pair_count = self.infonce.config.pair_count
            generator += [self.infonce.identity_encoder, self.infonce.attribute_embedding]
            discriminator.append(self.infonce.attribute_classifier)
        self.optimizers = {
            name: torch.optim.Adam(
                [parameter for network in networks for parameter in network.parameters()],
                lr=method.config.finetune_rate,
                betas=_BETAS,
                fused=True,
            )
            for name, networks in (("generator", generator), ("discriminator", discriminator))
        }

    def wants_pairs(self, step: int) -> bool:
        return super().wants_pairs(step) and self.base.turns(step)[1]

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        assert batch.attributes is not None
        images = mirrored(batch.images, batch.draws) if self.base.flip else batch.images
        source = batch.attributes
        target = source[batch.draws.uniform("permutation", len(source))[:, 0].argsort()]
        discriminating, generating = self.base.turns(batch.step)
        restore = generating or self.base.judges_restored
        with torch.set_grad_enabled(generating):
            edits = self.method.training_edits(images, source, target, restore)
        report: Terms = {}
        if discriminating:
            report |= self._update_discriminator(batch, images, source, edits)
        if generating:
            report |= self._update_generator(batch, images, source, target, edits)
        return report

    def collapsed(self) -> str | None:
        return same_picture(self.method, self.data.train, 1e-5)

    def _update_discriminator(
        self, batch: Batch, images: Tensor, source: Tensor, edits: Edits
    ) -> Terms:
        restored = None if edits.restored is None else edits.restored.detach()
        shown = Edits(edits.fake.detach(), restored)
        terms = self.base.discriminator_losses(images, shown, source, batch.draws, batch.step)
        if self.infonce is not None:
            assert edits.codes is not None
            loss = self.infonce.classification(edits.codes.detach(), source)
            terms |= {"attribute_class": loss, "total": terms["total"] + loss}
        return self._minimize("discriminator", terms)

    def _update_generator(
        self, batch: Batch, images: Tensor, source: Tensor, target: Tensor, edits: Edits
    ) -> Terms:
        terms = self.base.generator_losses(images, edits, target)
        if self.infonce is not None:
            assert edits.codes is not None
            assert batch.pairs is not None
            pairs = batch.pairs
            latents = self.base.encode(
                torch.cat([pairs.first, pairs.second]), pairs.attributes.repeat(2, 1)
            )[-1]
            added = self.infonce.attribute_losses(edits.codes, source)
            added |= self.infonce.contrast(latents, pairs)
            accuracy = added.pop("contrast_accuracy")
            total = torch.stack([terms["total"], *added.values()]).sum()
            terms |= {**added, "total": total, "contrast_accuracy": accuracy}
        return self._minimize("generator", terms)

    def _minimize(self, name: str, terms: Terms) -> Terms:
        optimizer = self.optimizers[name]
        self.method.zero_grad(set_to_none=True)  # the other side's too: C_a is in both graphs
        terms["total"].backward()
        optimizer.step()
        return {f"{name}/{term}": loss.detach() for term, loss in terms.items()}
