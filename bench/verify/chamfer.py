"""Golden cases of the Chamfer distance and of the t-SNE that it is taken in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.verify import Case, case
from metrics.chamfer import chamfer_infoscc, chamfer_pytorch3d, nearest_squared_distances

Values = dict[str, float | NDArray[np.float64]]


@case("infoscc.chamfer")
def chamfer_case(golden: Case) -> Values:
    """Both definitions and both directions of several pairs of point sets."""
    got: Values = {}
    for pair in sorted({key.split(".")[0] for key in golden.inputs}):
        real, fake = golden.inputs[f"{pair}.real"], golden.inputs[f"{pair}.fake"]
        released = chamfer_infoscc(real, fake)
        got |= {
            f"{pair}.forward_sum": released,
            f"{pair}.chamferdist_default": released,
            f"{pair}.backward_sum": chamfer_infoscc(fake, real),
            f"{pair}.bidirectional_sum": chamfer_pytorch3d(real, fake, point_reduction="sum"),
            f"{pair}.pytorch3d_mean": chamfer_pytorch3d(real, fake),
            f"{pair}.nn_sq_dist_real_to_fake": nearest_squared_distances(real, fake),
        }
    return got


@case("tsne.similarities")
def tsne_case(golden: Case) -> Values:
    """What the installed scikit-learn minimises: it must be what the pinned settings stand for.

    The functions are private ones of scikit-learn, whose t-SNE the suite uses as it is.
    """
    from sklearn.manifold import _t_sne
    from sklearn.metrics import pairwise_distances

    features, points = (golden.inputs[key].numpy() for key in ("X", "Y"))
    distances = pairwise_distances(features, metric="euclidean", squared=True)
    similarities = _t_sne._joint_probabilities(distances, golden.config["perplexity"], 0)
    freedom = max(golden.config["n_components"] - 1, 1)
    divergence, gradient = _t_sne._kl_divergence(
        points.ravel().astype(np.float64), similarities, freedom, *points.shape
    )
    return {
        "P_condensed": similarities,
        "kl": float(divergence),
        "grad": gradient.reshape(points.shape),
    }
