"""Golden cases of CRG: its losses, and editing by directions between latents."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines import latent_editing
from baselines.crg_training import image_loss, latent_loss
from bench.verify import Case, case
from metrics.pixels import mean_absolute_errors, mean_squared_errors


@case("crg.editing_formulas")
def editing_case(golden: Case) -> dict[str, Tensor | float]:
    """Directions, edits, the two normal distributions, amounts, losses and pixel errors."""
    inputs = golden.inputs
    (direction,) = latent_editing.pair_directions(
        inputs["z_reference"][None], inputs["z_attributed"][None]
    )
    study = latent_editing.study_pairs(
        inputs["pairs_reference"],
        inputs["pairs_attributed"],
        inputs["z_neutral_set"],
        inputs["z_attribute_set"],
    )
    mean, projections = study.mean_direction, study.mean_projections
    neutral = [projections.neutral_mean, projections.neutral_deviation]
    attributed = [projections.attributed_mean, projections.attributed_deviation]
    images, reconstructed = inputs["x"], inputs["x_rec"]
    return {
        "direction": direction,
        "edited": latent_editing.edit(inputs["z_edit"], direction, inputs["k"]),
        "pair_directions": study.directions,
        "average_direction": mean,
        "projection_neutral": projections.neutral,
        "projection_attributed": projections.attributed,
        "neutral_mean_std": torch.tensor(neutral),
        "attributed_mean_std": torch.tensor(attributed),
        "edit_projection": latent_editing.project(inputs["z_edit"], mean),
        "k_at_minus2_minus1_0_plus1_plus2_sigma": latent_editing.amounts(
            inputs["z_edit"], mean, projections
        ),
        "loss.latent_mse": latent_loss(inputs["z_true"], inputs["z_est"]),
        "loss.image_mae": image_loss(images, reconstructed),
        "metric.mae": float(mean_absolute_errors(images, reconstructed).mean()),
        "metric.mse": float(mean_squared_errors(images, reconstructed).mean()),
    }
