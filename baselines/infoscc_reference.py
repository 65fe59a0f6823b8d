"""Weights of the released InfoSCC-GAN into our networks, and what to change where they misfit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from baselines.nets import eigengan

State = Mapping[str, Tensor]

# How to change what no option of the method changes.
_REMEDIES = {
    "attributes": (
        "choose the dataset and the attributes that it was trained with, in their order (--set "
        "dataset.attributes=[...])"
    ),
    "size": "choose --set dataset.size={}",
    "channels": "choose a dataset whose images have as many",
    "features": "choose the encoder that it was trained on",
}


def load_network(name: str, network: nn.Module, state: State) -> None:
    """Load a state dict of the released program.

    Args:
        name: ``encoder``, ``classifier``, or ``generator``.
        network: Where it goes; its module names are the program's.
        state: What goes there.

    Raises:
        ValueError: The state is of another configuration, or of no such network; the message says
            what differs and the option to change.
    """
    describe = _DESCRIPTIONS[name]
    try:
        theirs = describe(state)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"the checkpoint's {name} is none of InfoSCC-GAN ({error})") from error
    ours = describe(network.state_dict())
    for setting, value in theirs.items():
        if ours[setting] != value:
            remedy = _REMEDIES.get(setting, f"choose --set {setting}={{}}").format(value)
            raise ValueError(
                f"the checkpoint's {name} has {setting.replace('_', ' ')} {value}, this run's "
                f"{ours[setting]}: {remedy}"
            )
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the checkpoint's {name} is none of InfoSCC-GAN: {reason}") from error


def _describe_encoder(state: State) -> dict[str, int | str]:
    first = state["_features.0.weight"]
    deep, wide = "_features.4.1.conv1.weight" in state, "_features.4.0.conv3.weight" in state
    base = "resnet50" if wide else "resnet18" if deep else "resnet10"
    stem = "imagenet" if first.shape[2] == 7 else "strided or dense"  # whose weights look alike
    return {
        "channels": first.shape[1],
        "encoder_base": base,
        "encoder_width": first.shape[0],
        "encoder_stem": stem,
        "projection_width": len(state["_l2.weight"]),
    }


def _describe_classifier(state: State) -> dict[str, int | str]:
    attributes, features = state["model.weight"].shape
    return {"attributes": attributes, "features": features}


def _describe_generator(state: State) -> dict[str, int | str]:
    attributes = len(state["y_fc.weight"])
    found = eigengan.architecture(state)
    mapped = found.pop("noise_dim")
    epsilon = state["concat_fc.weight"].shape[1] - attributes
    return {"attributes": attributes, **found, "epsilon_dim": epsilon, "mapped_dim": mapped}


_DESCRIPTIONS: dict[str, Callable[[State], dict[str, int | str]]] = {
    "encoder": _describe_encoder,
    "classifier": _describe_classifier,
    "generator": _describe_generator,
}
