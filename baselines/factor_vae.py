"""FactorVAE: a VAE whose total correlation is estimated by a discriminator.

Kim and Mnih, "Disentangling by Factorising" (ICML 2018), as disentanglement_lib has it
(google-research, methods/unsupervised/vae.py). The discriminator tells codes of images, class 0,
from codes whose columns were shuffled over a batch, class 1; the difference of its logits is the
estimate. Both updates of a step are computed before either is made, as in the library's one run of
its session. The paper shuffles the codes of a second batch; the library those of the same one
(``shuffled_codes``).

Defaults are those of the library's study, which sweeps gamma over 10, 20, 30, 40, 50 and 100 (the
code base of ContraFeat's authors has 6.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from baselines.base import Batch, Stage, TrainingData
from baselines.disentangling_vae import SHORT, SHORTEST, VAE, Terms, VAEStage
from baselines.nets.vae import Discriminator
from baselines.vae import ImageVAEConfig
from baselines.vae_losses import density_ratio, discriminator_loss, divergence, shuffled


class FactorVAEConfig(ImageVAEConfig):
    """Settings of FactorVAE; see ``ImageVAEConfig``.

    Attributes:
        gamma: Weight of the total correlation.
        shuffled_codes: Whose columns are shuffled: those of the batch itself (``same-batch``), or,
            as in the paper, of another one (``second-batch``), which a step then reads too.
        discriminator_rate: Learning rate of the discriminator's Adam.
        discriminator_beta1: Of that Adam.
        discriminator_beta2: Of that Adam.
        discriminator_width: Scale of the discriminator's hidden layers.
    """

    gamma: float = Field(10.0, ge=0)
    shuffled_codes: Literal["same-batch", "second-batch"] = "same-batch"
    discriminator_rate: float = Field(1e-4, gt=0)
    discriminator_beta1: float = Field(0.5, ge=0, lt=1)
    discriminator_beta2: float = Field(0.9, ge=0, lt=1)
    discriminator_width: float = Field(1.0, gt=0)


class FactorVAE(VAE):
    """Encoder, decoder and the discriminator of codes."""

    Config = FactorVAEConfig
    config: FactorVAEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {**SHORT, "discriminator_rate": 1e-3, "discriminator_width": 0.25},
        "smoke": {**SHORTEST, "discriminator_width": 0.05},
    }

    def __init__(self, config: FactorVAEConfig, data: TrainingData) -> None:
        super().__init__(config, data, config.latents)
        self.discriminator = Discriminator(config.latents, config.discriminator_width)

    def losses(
        self, images: Tensor, noise: Tensor, others: tuple[Tensor, Tensor] | None, order: Tensor
    ) -> Terms:
        """``loss`` of the VAE, what it is made of, and ``discriminator``, that of its adversary.

        Args:
            images: (N, C, H, W).
            noise: (N, Z), standard normal.
            others: Images and noise whose codes are shuffled; None: the codes of ``images``.
            order: int64 (Z, N), a permutation for each latent.
        """
        posterior = self.posterior(images)
        codes = posterior.sample(noise)
        kl = divergence(posterior)
        error = self.reconstruction(images, codes)
        logits = self.discriminator(codes)
        regularizer = kl + self.config.gamma * density_ratio(logits)
        with torch.no_grad():
            other = codes if others is None else self.posterior(others[0]).sample(others[1])
        return {
            "reconstruction": error,
            "divergence": kl,
            "regularizer": regularizer,
            "loss": error + regularizer,
            "discriminator": discriminator_loss(logits, self.discriminator(shuffled(other, order))),
        }

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield FactorStage(self, data)


class FactorStage(VAEStage):
    """A step is one update of the VAE and one of the discriminator."""

    def __init__(self, method: FactorVAE, data: TrainingData) -> None:
        super().__init__(method, data.train)
        config = method.config
        self.method = method
        self.parts = 2 if config.shuffled_codes == "second-batch" else 1
        self.batch_size = self.parts * config.batch_size
        self.adversary = list(method.discriminator.parameters())
        self.optimizers = {
            **self.optimizers,
            "discriminator": torch.optim.Adam(
                self.adversary,
                lr=config.discriminator_rate,
                betas=(config.discriminator_beta1, config.discriminator_beta2),
                fused=True,
            ),
        }

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        count = len(batch.images) // self.parts
        latents = self.method.latents
        noise = batch.draws.normal("noise", self.parts * count, latents)
        images, second = batch.images[:count], batch.images[count:]
        others = (second, noise[count:]) if self.parts == 2 else None
        order = batch.draws.uniform("order", latents, count).argsort(dim=1)
        terms = self.method.losses(images, noise[:count], others, order)
        optimizer = self.optimizers["discriminator"]
        optimizer.zero_grad(set_to_none=True)
        terms["discriminator"].backward(inputs=self.adversary, retain_graph=True)
        report = self.minimize(terms)
        optimizer.step()
        return report
