"""Weights of AttGAN-PyTorch into our networks, with a clear word where they do not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count, pairwise, takewhile

from torch import Tensor

from baselines.nets.attgan import Discriminators, Generator


def load_network(network: Generator | Discriminators, state: Mapping[str, Tensor]) -> None:
    """Load a reference's state dict.

    Args:
        network: Where it goes.
        state: Under the reference's names, which are ours.

    Raises:
        ValueError: The state is of another configuration, or of no such network; the message names
            what differs and the option to change.
    """
    own = network.state_dict()
    if _shapes(own) != _shapes(state):
        raise ValueError(_difference(network, own, state))
    network.load_state_dict(dict(state))


def _difference(
    network: Generator | Discriminators, own: Mapping[str, Tensor], other: Mapping[str, Tensor]
) -> str:
    generator = isinstance(network, Generator)
    title = "generator" if generator else "discriminators"
    describe = _describe_generator if generator else _describe_discriminators
    try:
        ours, theirs = describe(own), describe(other)
    except (KeyError, IndexError, ValueError):
        return f"The checkpoint holds no {title} of AttGAN; choose another file."
    for what, value in theirs.items():
        if value != ours[what]:
            remedy = _REMEDIES.get(what, f"--set {what}={value}")
            return (
                f"The checkpoint's {title} has {what} = {value}, this run {ours[what]}: give "
                f"{remedy}."
            )
    unequal = sorted({name for name, _ in _shapes(own).items() ^ _shapes(other).items()})
    return (
        f"The checkpoint's {title} differs in {unequal[0]}: give the norms that it was trained "
        "with, such as --set encoder_norm=NORM."
    )


_REMEDIES = {
    "attributes": (
        "the names that it was trained with, in their order, by --set dataset.attributes=[...]"
    ),
    "channels": "a dataset whose images have as many",
}


def _describe_generator(state: Mapping[str, Tensor]) -> dict[str, int]:
    """What a generator's shapes tell of its configuration, the attributes first."""
    encoder = _layer_shapes(state, "enc_layers.{}.layers.0.weight")  # out, in
    decoder = _layer_shapes(state, "dec_layers.{}.layers.0.weight")  # in, out
    widths = [shape[0] for shape in encoder]
    attributes = decoder[0][0] - widths[-1]
    joined = [after[0] - before[1] for before, after in pairwise(decoder)]
    shortcuts = list(zip(joined, reversed(widths[:-1]), strict=True))
    return {
        "attributes": attributes,
        "channels": encoder[0][1],
        "layers": len(widths),
        "encoder_width": widths[0],
        "max_width": max(widths),
        "decoder_width": decoder[-2][1] // 2 if len(decoder) > 1 else 0,
        "shortcut_layers": sum(more in (width, width + attributes) for more, width in shortcuts),
        "inject_layers": sum(more in (attributes, width + attributes) for more, width in shortcuts),
    }


def _describe_discriminators(state: Mapping[str, Tensor]) -> dict[str, int]:
    """What the discriminators' shapes tell of their configuration, the attributes first."""
    body = _layer_shapes(state, "conv.{}.layers.0.weight")
    head = tuple(state["fc_adv.0.layers.0.weight"].shape)  # out, in
    last = body[-1][0]
    return {
        "attributes": len(state["fc_cls.1.layers.0.weight"]),
        "channels": body[0][1],
        "discriminator_layers": len(body),
        "discriminator_width": body[0][0],
        "max_width": max(shape[0] for shape in body),
        "dataset.size": math.isqrt(head[1] // last) << len(body),
        "head_width": head[0],
    }


def _layer_shapes(state: Mapping[str, Tensor], pattern: str) -> list[tuple[int, ...]]:
    names = takewhile(state.__contains__, (pattern.format(i) for i in count()))
    return [tuple(state[name].shape) for name in names]


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
