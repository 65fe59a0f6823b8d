"""Recognition: directions that a second network can tell apart from the images before and after.

Voynov and Babenko, "Unsupervised Discovery of Interpretable Directions in the GAN Latent Space"
(ICML 2020), section 3, and its released code (anvoynov/GANLatentDiscovery). A deformator turns a
direction's index and a step into a shift of the code; a predictor sees the image before and the
one after and has to find index and step; both are trained together, so that directions become
different from each other.

ContraFeat's experiments ran it in their own frame ("Recog"): directions in the informative
subspace of W, short steps that are regressed as they are, and ResNet-18 from ImageNet. That is
``num_directions=30 deformator=subspace attention=uniform style_segments=2 shift_scale=0.5
min_shift=0 first_convolution=repeated deformator_rate=0.01 predictor_rate=0.01 beta1=0 beta2=0.99
iterations=37500 batch_size=8``, and ``--checkpoint`` for torchvision's weights; without these the
predictor starts from random ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.attention import layer_attention
from baselines.base import Batch, Discoverer, Stage, TrainingData
from baselines.deformators import unit_shifts, unit_vector_steps
from baselines.directions import SubspaceDirections, all_alike, require_generator
from baselines.nets.shift_predictors import ResNetPredictor, from_reference
from baselines.nets.stylegan2_loss import minimize
from baselines.randomness import Draws
from baselines.recognition_config import Distribution, RecognitionConfig
from baselines.subspace import SubspaceStage, gathered, mixed_codes, require_segments

# Where files of the release do not fit.
_DEFORMATOR_REMEDY = "set deformator, num_directions and out_dim as it was trained with"
_PREDICTOR_REMEDY = "set predictor, lenet_width and num_directions as it was trained with"


class Recognition(Discoverer):
    """Directions that a predictor recognises.

    As released, ``linear``, ``proj`` and ``fc`` may shift a code for a step of 0 too.

    Args:
        config: The settings.
        data: ``data.generator`` is searched.

    Raises:
        ValueError: There is no generator with W, or a setting does not fit it.
    """

    Config = RecognitionConfig
    presets: ClassVar = {
        "smoke": {
            "num_directions": 4,
            "predictor": "lenet",
            "iterations": 3,
            "batch_size": 4,
            "accuracy_batches": 2,
        },
        "small": {
            "num_directions": 12,
            "random_init": False,  # as the authors advise
            "predictor": "lenet",
            "deformator_rate": 1e-3,
            "predictor_rate": 1e-3,
            "iterations": 600,
            "batch_size": 16,
            "accuracy_batches": 10,
        },
    }

    accuracy: Tensor

    def __init__(self, config: RecognitionConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        generator = require_generator(data, "recognition")
        require_segments(generator, config.style_segments)
        self.config = config
        self.deformator = config.make_deformator(generator.w_dim)
        self.num_directions = config.num_directions or self.deformator.input_dim
        if self.num_directions > self.deformator.input_dim:
            raise ValueError(
                f"num_directions is {config.num_directions}, but deformator={config.deformator} "
                f"has only {self.deformator.input_dim} here: choose at most that many, or "
                "deformator=linear."
            )
        self.layer_weights = layer_attention(
            config.attention, self.num_directions, generator.num_ws
        )
        self.predictor = config.make_predictor(self.num_directions, generator)
        self.register_buffer("accuracy", torch.tensor(0.0))
        self._given: frozenset[str] = frozenset()  # what load_reference took over

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        config, generator = self.config, data.generator
        if "deformator" not in self._given:
            directions = getattr(self.deformator, "directions", None)
            if isinstance(directions, SubspaceDirections):
                yield SubspaceStage(
                    directions.subspace, generator, config.subspace_codes, config.codes_per_step
                )
            yield RecognitionStage(self, generator)
        if config.accuracy_batches and self._given != {"deformator"}:
            yield AccuracyStage(self, generator)

    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        directions = torch.as_tensor(direction, device=ws.device).expand(len(ws))
        steps = torch.as_tensor(step, dtype=ws.dtype, device=ws.device).expand(len(ws))
        shifts = self.deformator(
            unit_vector_steps(directions, steps, self.deformator.input_dim)
        )  # (N, D)
        return ws + self.attention()[directions, :, None] * shifts[:, None]

    def attention(self) -> Tensor:
        """How much of each direction each layer gets, (K, L)."""
        weights: Tensor = self.layer_weights()
        return weights

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over what the released program has trained, or torchvision's ResNet-18.

        Args:
            states: ``deformator`` or, where its kind is known, such as ``deformator:proj``, and
                ``shift_predictor``, if there; training is then left out. Or ``imagenet``, which the
                predictor starts from.

        Raises:
            ValueError: The weights do not fit; the message names the setting to change.
        """
        if "imagenet" in states:
            self._take_imagenet(states["imagenet"])
            return
        found = next((name for name in states if name.startswith("deformator")), None)
        if found is None:
            raise ValueError("the checkpoint has no deformator: give the folder that holds it.")
        kind = found.partition(":")[2] or self.config.deformator
        if kind != self.config.deformator:
            raise ValueError(
                f"the checkpoint's deformator is {kind}, this run's {self.config.deformator}: "
                f"change it by --set deformator={kind}"
            )
        _fill(self.deformator, states[found], _DEFORMATOR_REMEDY)
        self._given = frozenset({"deformator"})
        if "shift_predictor" in states:
            state = from_reference(states["shift_predictor"])
            _fill(self.predictor, state, _PREDICTOR_REMEDY)
            self._given |= {"shift_predictor"}

    def _take_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        if self.config.first_convolution != "repeated" or not isinstance(
            self.predictor, ResNetPredictor
        ):
            raise ValueError(
                "torchvision's weights are a start for ContraFeat's predictor only: add --set "
                "predictor=resnet18 --set first_convolution=repeated, or leave --checkpoint out."
            )
        self.predictor.take_imagenet(weights)


class RecognitionStage(Stage):
    """Trains deformator and predictor together, through the frozen generator."""

    name = "recognition"

    def __init__(self, method: Recognition, generator: Any) -> None:
        super().__init__()
        config = method.config
        self.method, self.config, self.generator = method, config, generator
        self.steps = config.iterations
        deformed = [*method.deformator.parameters(), *method.layer_weights.parameters()]
        groups: list[dict[str, Any]] = [
            {"params": list(method.predictor.parameters()), "lr": config.predictor_rate}
        ]
        if deformed:
            groups.append({"params": deformed, "lr": config.deformator_rate})
        self.optimizers = {"both": torch.optim.Adam(groups, betas=(config.beta1, config.beta2))}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        directions, steps, logits, predicted = _recognize(self.method, self.generator, batch)
        label, shift = recognition_losses(
            logits,
            predicted,
            directions,
            steps,
            self.config.label_weight,
            self.config.shift_weight,
        )
        minimize(label + shift, self.optimizers["both"])
        correct = (logits.argmax(1) == directions).float().mean()
        losses = {"loss": label + shift, "label": label, "shift": shift, "accuracy": correct}
        return {name: value.detach() for name, value in losses.items()}

    def collapsed(self) -> str | None:
        shifts = unit_shifts(self.method.deformator)[: self.method.num_directions]
        return "all directions have become the same one" if all_alike(shifts) else None


class AccuracyStage(Stage):
    """Measures how often the predictor names the direction (RCA); nothing is trained."""

    name = "accuracy"

    def __init__(self, method: Recognition, generator: Any) -> None:
        super().__init__()
        self.method, self.generator = method, generator
        self.steps = method.config.accuracy_batches

    @torch.no_grad()
    def step(self, batch: Batch) -> dict[str, Tensor]:
        self.method.eval()
        directions, _, logits, _ = _recognize(self.method, self.generator, batch)
        correct = gathered((logits.argmax(1) == directions).float()).mean()
        self.method.accuracy += (correct - self.method.accuracy) / (batch.step + 1)
        return {"accuracy": self.method.accuracy.clone()}


def sampled_steps(
    draws: Tensor, distribution: Distribution = "uniform", scale: float = 6.0, least: float = 0.5
) -> Tensor:
    """Steps of random draws, none of them too short to be seen.

    Args:
        draws: (N,), uniform in (0, 1) or standard normal.
        distribution: Which of both.
        scale: What draws from [-1, 1] or N(0, 1) are multiplied by.
        least: Steps nearer to 0 are made so long; their sign stays, and 0 stays 0, as released.

    Returns:
        (N,).
    """
    steps = scale * (2 * draws - 1 if distribution == "uniform" else draws)
    return steps.sign() * steps.abs().clamp(min=least)


def recognition_losses(
    logits: Tensor,
    predicted: Tensor,
    directions: Tensor,
    steps: Tensor,
    label_weight: float = 1.0,
    shift_weight: float = 0.25,
) -> tuple[Tensor, Tensor]:
    """The two terms of the paper's objective, weighted.

    Args:
        logits: (N, K) of the directions.
        predicted: (N,), the steps as they look.
        directions: int64 (N,).
        steps: (N,).
        label_weight: Of the cross entropy.
        shift_weight: Of the mean absolute error.

    Returns:
        Both as scalars.
    """
    label = label_weight * F.cross_entropy(logits, directions)
    return label, shift_weight * (predicted - steps).abs().mean()


def _recognize(
    method: Recognition, generator: Any, batch: Batch
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Directions and steps of a batch, and the predictor's logits and steps."""
    config, draws = method.config, batch.draws
    count = batch.share(config.batch_size)
    z = draws.normal("z", count * config.style_segments, generator.z_dim)
    codes = mixed_codes(generator, z, config.style_segments)
    directions = draws.integer("direction", count, method.num_directions)
    steps = _steps(draws, count, config)
    # As released, with fresh noise in either image.
    with torch.no_grad():
        before = generator.synthesis(codes, noise_mode="random")
    after = generator.synthesis(method.shift(codes, directions, steps), noise_mode="random")
    logits, predicted = method.predictor(before, after)
    return directions, steps, logits.float(), predicted.float()


def _steps(draws: Draws, count: int, config: RecognitionConfig) -> Tensor:
    draw = draws.uniform if config.shift_distribution == "uniform" else draws.normal
    rows = draw("step", count, 1)[:, 0]
    return sampled_steps(rows, config.shift_distribution, config.shift_scale, config.min_shift)


def _fill(module: nn.Module, state: Mapping[str, Tensor], remedy: str) -> None:
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the checkpoint does not fit, {remedy}: {reason}") from error
