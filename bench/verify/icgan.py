"""Golden cases of IcGAN: GAN steps, encoders and edited labels of the Lua code; the MNIST form."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import Attributes, TrainingData
from baselines.icgan import IcGAN
from baselines.icgan_config import IcGANConfig
from baselines.icgan_labels import edited_labels
from baselines.nets.icgan import Encoder
from bench.verify import Case, case

# Our layers of the MNIST form -> the reference's weight, bias and batch norm.
_LAYERS = {
    "generator.dense1": ("gen_w1", "gen_b1"),
    "generator.dense2": ("gen_w2", "gen_b2"),
    "generator.up1": ("gen_w3", "gen_b3"),
    "generator.up2": ("gen_w4", "gen_b4"),
    "discriminator.conv1": ("dis_w1", "dis_b1"),
    "discriminator.conv2": ("dis_w2", "dis_b2"),
    "discriminator.dense1": ("dis_w3", "dis_b3"),
    "discriminator.dense2": ("dis_w4", "dis_b4"),
    "z_encoder.main.0": ("enz_w1", "enz_b1"),
    "z_encoder.main.3": ("enz_w2", "enz_b2"),
    "z_encoder.main.7": ("enz_w3", "enz_b3"),
    "y_encoder.main.0": ("eny_w1", "eny_b1"),
    "y_encoder.main.3": ("eny_w2", "eny_b2"),
    "y_encoder.main.7": ("eny_w4", "eny_b4"),
}
_NORMS = {
    "generator.norm1": "gen_bn1",
    "generator.norm2": "gen_bn2",
    "generator.norm3": "gen_bn3",
    "discriminator.norm1": "dis_bn1",
    "discriminator.norm2": "dis_bn2",
    "z_encoder.main.1": "enz_bn1",
    "z_encoder.main.4": "enz_bn2",
    "z_encoder.main.8": "enz_bn3",
    "y_encoder.main.1": "eny_bn1",
    "y_encoder.main.4": "eny_bn2",
}


@case("icgan.gan_step")
def gan_step(golden: Case) -> dict[str, Tensor]:
    """Both networks in both modes, the terms of both losses, and their gradients."""
    config, inputs = golden.config, golden.inputs
    method = _method(
        {
            "form": "torch7",
            "z_dim": config["nz"],
            "generator_width": config["ngf"],
            "discriminator_width": config["ndf"],
            "fake_weight": config["fake_weight"],
            "wrong_weight": config["wrong_weight"] if config["trainWrongY"] else 0.0,
        },
        config["fineSize"],
        inputs["x_real"].shape[1],
        [f"{index}" for index in range(config["ny"])],
    )
    method.generator.load_state_dict(_below(golden.weights, "G."))
    method.discriminator.load_state_dict(_below(golden.weights, "D."))
    x, y, z, y_fake = (inputs[name] for name in ("x_real", "y_real", "z", "y_fake"))
    method.eval()
    with torch.no_grad():
        (real,) = method.discriminator(x, y)
        got = {"x_fake_eval": method.generator(z, y_fake), "p_real_eval": torch.sigmoid(real)}
    method.train()
    fakes = method.generator(z, y_fake)
    wrong = inputs["y_wrong"] if method.config.wrong_weight else None
    logits, terms = method.discriminator_terms(x, y, wrong, fakes.detach(), y_fake)
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    gradients = _gradients(method.discriminator, "grad.D.")
    names = {"real": "real", "wrong": "wrongY", "fake": "fake"}
    got |= {f"errD_{names[name]}": term for name, term in terms.items()}
    got |= {f"p_{name}": torch.sigmoid(one) for name, one in logits.items()}
    loss = method.generator_loss(fakes, y_fake)
    loss.backward()
    got |= gradients | _gradients(method.generator, "grad.G.")
    return {**got, "x_fake_train": fakes, "errD_reported": total / 2, "errG": loss}


@case("icgan.encoder_z", "icgan.encoder_y")
def encoder(golden: Case) -> dict[str, Tensor]:
    """An encoder in both modes, its loss and gradients."""
    config, x = golden.config, golden.inputs["x"]
    channels, size, _ = config["input"]
    dense = config["fc_size"] if isinstance(config["fc_size"], int) else None
    network = Encoder(size, channels, config["out"], config["nf"], config["n_conv"], dense)
    network.load_state_dict(golden.weights)
    y_eval = network.eval()(x)
    y_train = network.train()(x)
    loss = F.mse_loss(y_train, golden.inputs["target"])
    loss.backward()
    return {"y_eval": y_eval, "y_train": y_train, "mse": loss, **_gradients(network, "grad.")}


@case("icgan.label_variations")
def label_variations(golden: Case) -> dict[str, Tensor]:
    """Every attribute set in turn; the only one that is inverted instead is Male."""
    names, encoded = golden.config["attributes"], golden.inputs["y"]
    got: dict[str, Tensor] = {}
    for name, threshold in (("variations", True), ("variations_no_threshold", False)):
        method = _method({"encoder_layers": 1, "threshold": threshold}, 8, 1, names)
        labels = method.hardened(encoded)
        if threshold:
            got["thresholded"] = labels
        present = (encoded > 0).to(encoded.dtype)
        edits = []
        for column, attribute in enumerate(names):
            target = present.clone()
            target[:, column] = 1 - present[:, column] if attribute == "Male" else 1
            source = target.clone()
            source[:, column] = 1 - target[:, column]
            edits.append(edited_labels(labels, source, target, method.exclusive, method.low))
        got[name] = torch.stack(edits, dim=1)
    return got


@case("icgan_mnist.full")
def mnist(golden: Case) -> dict[str, Tensor]:
    """The MNIST form: all four networks with batch statistics, losses, gradients and an edit."""
    config, y, z = golden.config, golden.inputs["y"], golden.inputs["z"]
    size = config["image"][0]
    quarter = (size // 4, size // 4, config["width2"])
    method = _mnist_method(golden, quarter)
    images = golden.inputs["images"].permute(0, 3, 1, 2)
    fakes = method.generator(z, y)
    logits, terms = method.discriminator_terms(images, y, None, fakes.detach(), y)
    d_loss = terms["real"] + terms["fake"]
    d_loss.backward()
    gradients = _mnist_gradients(method, "discriminator", "grad.D.", quarter)
    g_loss = method.generator_loss(fakes, y)
    g_loss.backward()
    gradients |= _mnist_gradients(method, "generator", "grad.G.", quarter)
    e_y = method.y_encoder(images)
    encoded = method.hardened(e_y)
    # Digit + k without wrapping around: an index beyond the last leaves an all-zero row.
    shift = config["extend_value"]
    target = F.pad(encoded, (shift, 0))[:, : encoded.shape[1]]
    return {
        "fake_images": fakes.permute(0, 2, 3, 1),
        "D_pro": torch.sigmoid(logits["real"])[:, None],
        "G_pro": torch.sigmoid(logits["fake"])[:, None],
        "D_loss": d_loss,
        "G_loss": g_loss,
        "e_z_of_fake": (z_of_fake := method.z_encoder(fakes)),
        "e_z_of_image": method.z_encoder(images),
        "loss_z": F.mse_loss(z_of_fake, z),
        "e_y": e_y,
        "loss_y": F.mse_loss(e_y, y),
        "edited_y": edited_labels(encoded, encoded, target, method.exclusive, method.low),
        "edited_images": _edited(method, images, encoded, target).permute(0, 2, 3, 1),
        **gradients,
    }


def _edited(method: IcGAN, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """An edit as a track asks for it, in the form's own range of pixels."""
    method.eval()
    with torch.no_grad():
        return method.inputs(method.edit(method.outputs(images), source, target))


def _mnist_method(golden: Case, quarter: tuple[int, int, int]) -> IcGAN:
    """The MNIST form with the weights of a case, whose maps have the shape ``quarter``."""
    config = golden.config
    size, _, channels = config["image"]
    digits = [f"{digit}" for digit in range(config["y_dim"])]
    widths = ("generator_width", "discriminator_width", "encoder_width")
    settings = {
        "form": "tensorflow",
        "z_dim": config["z_dim"],
        "quarter_width": config["width2"],
        "dense_width": config["fc"],
        **dict.fromkeys(widths, config["width1"]),
    }
    method = _method(settings, size, channels, digits, (tuple(digits),))
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            parameter.copy_(_to_ours(name, golden.weights[_theirs(name)], quarter))
    return method


def _method(
    settings: dict[str, Any],
    size: int,
    channels: int,
    names: list[str],
    exclusive: tuple[tuple[str, ...], ...] = (),
) -> IcGAN:
    classes = any(len(group) == len(names) for group in exclusive)
    attributes = Attributes(tuple(names), exclusive, classes)
    no_images = None  # cases bring their own
    data = TrainingData(no_images, attributes, size, channels)  # type: ignore[arg-type]
    return IcGAN(IcGANConfig.model_validate(settings), data)


def _theirs(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    if layer in _NORMS:
        return f"{_NORMS[layer]}/{'gamma' if kind == 'weight' else 'beta'}"
    return _LAYERS[layer][kind == "bias"]


def _to_ours(name: str, value: Tensor, quarter: tuple[int, int, int]) -> Tensor:
    """TensorFlow's layout as ours: (H, W, in, out) kernels, maps flattened as (H, W, C)."""
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1)
    place = _flattened(name)
    if place is not None:
        value = _reordered(value, place, _channels_first(quarter))
    return value.T if value.ndim == 2 else value


def _to_theirs(name: str, value: Tensor, quarter: tuple[int, int, int]) -> Tensor:
    if value.ndim == 4:
        return value.permute(2, 3, 1, 0)
    value = value.T if value.ndim == 2 else value
    place = _flattened(name)
    if place is not None:
        value = _reordered(value, place, _channels_first(quarter).argsort())
    return value


def _flattened(name: str) -> int | None:
    """Which axis of the reference's tensor runs over a flattened map."""
    if name.startswith(("generator.dense2.", "generator.norm2.")):
        return 1 if name == "generator.dense2.weight" else 0
    inputs = ("discriminator.dense1.weight", "z_encoder.main.7.weight", "y_encoder.main.7.weight")
    return 0 if name in inputs else None


def _channels_first(quarter: tuple[int, int, int]) -> Tensor:
    """Where each entry of a map flattened as (C, H, W) stands in one flattened as (H, W, C)."""
    height, width, channels = quarter
    places = torch.arange(height * width * channels)
    return places.view(height, width, channels).permute(2, 0, 1).flatten()


def _reordered(value: Tensor, axis: int, order: Tensor) -> Tensor:
    """The entries of a map reordered; what is joined behind it stays."""
    rest = torch.arange(len(order), value.shape[axis])
    return value.index_select(axis, torch.cat([order, rest]))


def _mnist_gradients(
    method: IcGAN, network: str, prefix: str, quarter: tuple[int, int, int]
) -> dict[str, Tensor]:
    return {
        prefix + _theirs(name): _to_theirs(name, _gradient(parameter), quarter)
        for name, parameter in method.named_parameters()
        if name.startswith(network)
    }


def _gradients(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {
        f"{prefix}{name}": _gradient(parameter) for name, parameter in network.named_parameters()
    }


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad.clone()


def _below(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): one for key, one in weights.items() if key.startswith(prefix)}
