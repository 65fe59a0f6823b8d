"""Golden cases of InfoSCC-GAN's third stage: a short training, and the average that it keeps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import Attributes, Average, TrainingData
from baselines.infoscc import Chances, GeneratorStage, InfoSCCGAN
from baselines.infoscc_config import InfoSCCConfig
from baselines.linear_classifier import LinearClassifier
from bench.verify import Case, case
from bench.verify.infoscc import LOSSES, make_discriminator, make_generator

# Our settings of the training -> the reference's options.
_OPTIONS = {
    "iterations": "steps",
    "batch_size": "batch_size",
    "classification_interval": "cls_reg_every",
    "penalty_interval": "d_reg_every",
    "penalty_weight": "d_reg",
    "orthogonality_weight": "orth_reg",
    "learning_rate": "lr",
}

# What is replaced by the case's networks at once, and so made small.
_NARROW = {"base_channels": 1, "encoder_base": "resnet10", "encoder_width": 1}

# The names under which the reference logs our losses.
_LOGGED = {
    "classification": "cls_loss",
    "discriminator": "D",
    "penalty": "D_r1",
    "generator": "G_adv",
    "orthogonality": "G_orth",
}


@case("infoscc.ema")
def average_case(golden: Case) -> dict[str, Tensor | float]:
    """The averaged weights after each iteration."""
    decay = InfoSCCConfig.model_validate({"batch_size": golden.config["batch_size"]}).average_decay
    source = nn.ParameterList([golden.inputs["ema_0"].clone()])
    target = nn.ParameterList([golden.inputs["ema_0"].clone()])
    average = Average(source, target, lambda step: decay)
    got: dict[str, Tensor | float] = {"decay": decay}
    for step, values in enumerate(golden.inputs["params"]):
        source[0].data.copy_(values)
        average.update(step)
        got[f"ema_{step + 1}"] = target[0].detach().clone()
    return got


@case("infoscc.training_loop")
def training_case(golden: Case) -> dict[str, Tensor]:
    """Some iterations of the training in float64: losses and final weights."""
    stage, inputs = _stage(golden), golden.inputs
    calls = iter(zip(inputs["eps"].double(), inputs["zs"].double().flatten(2), strict=True))
    asked = iter(inputs["fake_label"].double()) if stage.method.classes else None
    logged: dict[str, list[Tensor]] = {name: [] for name in (*_LOGGED.values(), "G")}
    last: dict[str, Tensor] = {}
    for step in range(golden.config["steps"]):
        labels = _labels(golden, step)
        used = ["discriminator", "generator"]
        if step % stage.config.classification_interval == 0:
            used.insert(0, "classification")
        latents = {name: torch.cat(next(calls), dim=1) for name in used}
        requests = {name: labels if asked is None else next(asked) for name in used[-2:]}
        images = inputs["real_img"][step].double()
        last |= stage.iterate(step, images, labels, Chances(latents, requests))
        stage.averages[0].update(step)
        for ours, theirs in _LOGGED.items():
            logged[theirs].append(last[ours])
        logged["G"].append(last["generator"] + last["orthogonality"])
    networks = {"g": "generator", "d": "discriminator", "g_ema": "average"}
    final = {
        f"final.{theirs}.{name}": value
        for theirs, ours in networks.items()
        for name, value in getattr(stage.method, ours).state_dict().items()
    }
    return {f"loss.{name}": torch.stack(values) for name, values in logged.items()} | final


class _StandInEncoder(nn.Module):
    """Features of one strided convolution in place of the residual network."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        features, channels, kernel, _ = weights["conv.weight"].shape
        self.conv = nn.Conv2d(channels, features, kernel, stride=4)
        self.load_state_dict(dict(weights))

    def features(self, images: Tensor) -> Tensor:
        return F.relu(self.conv(images)).mean(dim=(2, 3))


def _stage(golden: Case) -> GeneratorStage:
    """A training stage of the case's settings and weights."""
    config = golden.config
    generator = config["generator"]
    classes = config["y_type"] == "one_hot"
    names = tuple(f"attribute {i}" for i in range(generator["y_size"]))
    data = TrainingData(
        train=_OneOfEach(len(names)),
        attributes=Attributes(names, (names,) if classes else (), classes),
        size=generator["size"],
        channels=generator["out_channels"],
    )
    settings = {ours: config[theirs] for ours, theirs in _OPTIONS.items()}
    settings |= {"loss": LOSSES[config["loss"]], "epsilon_dim": generator["z_size"]}
    method = InfoSCCGAN(InfoSCCConfig.model_validate(settings | _NARROW), data)
    method.encoder = _StandInEncoder(_below(golden.weights, "encoder."))  # type: ignore[assignment]
    method.classifier = LinearClassifier(config["n_features"], len(names))
    method.classifier.load_state_dict(_below(golden.weights, "classifier."))
    method.generator, method.average = make_generator(generator), make_generator(generator)
    for network in (method.generator, method.average):
        network.load_state_dict(_below(golden.weights, "g."))
    method.average.requires_grad_(False)
    method.discriminator = make_discriminator(
        config["disc_type"], config["discriminator"], len(names)
    )
    method.discriminator.load_state_dict(_below(golden.weights, "d."))
    return GeneratorStage(method.double().train(), data)


class _OneOfEach:
    """A training set that is never shown: the case brings its batches."""

    def __init__(self, attributes: int) -> None:
        self._attributes = attributes

    def __len__(self) -> int:
        return self._attributes

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(indices), 3, 1, 1), self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        return torch.eye(self._attributes)[indices]


def _labels(golden: Case, step: int) -> Tensor:
    """The real labels of an iteration, (N, A)."""
    labels = golden.inputs["real_label"][step]
    if golden.config["y_type"] == "one_hot":
        labels = F.one_hot(labels, golden.config["generator"]["y_size"])
    return labels.double()


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)
    }
