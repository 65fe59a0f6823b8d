"""Golden cases of InfoSCC-GAN's first two stages: encoder, contrastive loss, linear classifier."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.infoscc_losses import classification_loss
from baselines.linear_classifier import LinearClassifier, correct
from baselines.simclr import SimCLREncoder, Similarity, nt_xent
from bench.verify import Case, CaseFailure, case


@case("infoscc.encoder")
def encoder_case(golden: Case) -> dict[str, Tensor]:
    """Features and projections by moving and by batch statistics; weights follow a rule."""
    config, images = golden.config, golden.inputs["x"]
    encoder = SimCLREncoder(config["n_channels"], config["base_model"], config["out_dim"])
    own = [[name, list(value.shape)] for name, value in encoder.state_dict().items()]
    if own != golden.meta["state_dict"]:
        raise CaseFailure("the encoder's tensors have other names or shapes")
    encoder.load_state_dict(
        {
            name: _by_rule(name, tuple(value.shape), place)
            for place, (name, value) in enumerate(encoder.state_dict().items())
        }
    )
    with torch.no_grad():
        h_eval, z_eval = encoder.eval()(images)
        h_train, z_train = encoder.train()(images)
    return {
        "h_eval": h_eval,
        "z_eval": z_eval,
        "z_eval_normalized": F.normalize(z_eval, dim=1),
        "h_train": h_train,
        "z_train": z_train,
        "param_checksum": torch.stack([v.double().sum() for v in encoder.parameters()]).sum(),
    }


@case("infoscc.nt_xent")
def contrast_case(golden: Case) -> dict[str, Tensor]:
    """The loss and its gradients, of projections as they are and of length 1."""
    temperature = golden.config["temperature"]
    similarity: Similarity = "cosine" if golden.config["use_cosine_similarity"] else "dot"
    got = {}
    for normalised in (False, True):
        raw = [golden.inputs[name].clone().requires_grad_() for name in ("zis", "zjs")]
        one, other = (F.normalize(some, dim=1) if normalised else some for some in raw)
        loss = nt_xent(one, other, temperature, similarity)
        first, second = torch.autograd.grad(loss, raw)
        got["loss_normalized" if normalised else "loss"] = loss
        prefix = "grad_normalized_" if normalised else "grad_"
        got |= {f"{prefix}zis": first, f"{prefix}zjs": second}
    return got


@case("infoscc.linear_classifier")
def classifier_case(golden: Case) -> dict[str, Tensor]:
    """Logits, both losses with their gradients, and accuracies."""
    config, inputs = golden.config, golden.inputs
    classifier = LinearClassifier(config["n_features"], config["n_classes"])
    classifier.load_state_dict(golden.weights)
    logits = classifier(inputs["h"])
    one_hot, attributes = F.one_hot(inputs["label"], config["n_classes"]), inputs["attr"]
    got = {"logits": logits}
    for name, labels in (("ce", one_hot.float()), ("bce", attributes)):
        loss = classification_loss(logits, labels, classes=name == "ce")
        (gradient,) = torch.autograd.grad(loss, classifier.model.weight, retain_graph=True)
        got |= {f"{name}_loss": loss, f"{name}_grad_weight": gradient}
    right = correct(logits, attributes, classes=False).float()
    return got | {
        "accuracy": correct(logits, one_hot, classes=True).float().mean(),
        "per_attribute_accuracy": right.mean(dim=0),
        "mean_attribute_accuracy": right.mean(),
    }


def _by_rule(name: str, shape: tuple[int, ...], place: int) -> Tensor:
    """The ``weight_rule`` of the metas: a tensor by its name, shape and place in the state dict."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    numbers = np.arange(1, int(np.prod(shape)) + 1, dtype=np.float64) * 0.6180339887498949
    values = 2 * ((numbers + (place + 1) * 0.7548776662466927) % 1.0) - 1
    if len(shape) >= 2:
        values = values * np.sqrt(6 / (values.size / shape[0]))
    elif name.endswith("running_var"):
        values = 1 + 0.25 * values
    elif name.endswith("weight"):
        values = 0.8 * (1 + 0.2 * values)
    else:
        values = 0.1 * values
    return torch.from_numpy(values.reshape(shape).astype(np.float32))
