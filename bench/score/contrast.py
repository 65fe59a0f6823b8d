"""ContraFeat's loss of the true factors of 3D Shapes: is a pure change worth more than a mixed one?

Zhu, Xu and Tao, "ContraFeat" (AAAI 2023), appendices F and G, equations 24 and 25, table 8, and its
script analysis_l2_mask.py. For each pair of factors, two scenes are changed alike in the first one,
and the second scene also in the other (pure); or alike in the sum of both, and the second also in
their difference (mixed). The binary loss of these changes is averaged over all pairs.

The paper changes latents of a VAE that it found to be disentangled; here the renderer changes the
factors themselves, by whole values: up to half of a factor's range, and never beyond its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from baselines.contrafeat_losses import Contrast, Cosine, Focus, binary_terms
from baselines.randomness import derive_seed, uniforms
from bench.data.shapes3d import FACTOR_SIZES, Shapes3D
from bench.extractors import Extractor, load_extractor
from bench.processes import process_state
from bench.progress import counting
from bench.score.report import Report, mean_score
from leaderboard.reported import load_reported
from leaderboard.schema import Measurement
from metrics.arrays import FloatArray

PAIRS = tuple(combinations(range(len(FACTOR_SIZES)), 2))
VARIANTS: dict[Focus, str] = {"pooled": "pooled features", "none": "no focus", "l2": "L2 mask"}
_SIZES = torch.tensor(FACTOR_SIZES)
_METRICS = {False: "contrafeat_loss_pure", True: "contrafeat_loss_mixed"}


def score_contrast(
    *, extractor: str, samples: int, cosine: Cosine, batch_size: int, device: str | None, seed: int
) -> Report:
    """The losses of pure and of mixed changes for each way to compare them.

    Args:
        extractor: A name of ``bench list extractors``; all of its layers count alike.
        samples: Of each pair of factors, at least 2.
        cosine: See ``baselines.contrafeat_losses.Contrast``; ``absolute`` in the paper's script.
        batch_size: Samples at a time, of five images each.
        device: ``cpu``, ``cuda``, or None for the best one present.
        seed: Seeds scenes and changes.

    Raises:
        BenchError: The extractor is unknown, or its weights are missing.
    """
    where = process_state(device).device
    network = load_extractor(extractor, str(where))
    dataset = Shapes3D(device=where)
    contrasts = {focus: Contrast(focus, cosine) for focus in VARIANTS}
    scores: list[Measurement] = []
    rows: dict[str, dict[str, Any]] = {way: {"compared by": way} for way in VARIANTS.values()}
    reported = {
        (one.variant, one.metric): one.value for one in load_reported() if one.table == "Table 8"
    }
    with counting("samples", len(_METRICS) * len(PAIRS) * samples) as count_more:
        for mixed, metric in _METRICS.items():
            scenes = _batches(mixed, samples, batch_size, seed)
            losses = _losses(partial(_features, dataset, network), contrasts, scenes, count_more)
            for focus, way in VARIANTS.items():
                identity = {
                    "focus": focus,
                    "cosine": cosine,
                    "samples_per_pair": samples,
                    "extractor": f"{network.name}:{network.sha256[:12]}",
                    "dataset": dataset.fingerprint()[:12],
                    "seed": seed,
                }
                score = mean_score(metric, losses[focus], higher_is_better=False, identity=identity)
                scores.append(score)
                rows[way] |= {metric: score.value, f"{metric}, reported": reported[way, metric]}
    return Report(scores, {"dataset": dataset.name}, "ways", list(rows.values()))


def changed_scenes(pair: tuple[int, int], mixed: bool, draws: Tensor) -> Tensor:
    """Scenes before and after changes, as the binary loss wants them.

    Args:
        pair: Two factors.
        mixed: Whether changes are of both at once.
        draws: Uniform numbers (N, 2 + 2 * factors): the two steps, and where both scenes begin.

    Returns:
        Values of factors, int64 (5, N, factors): two scenes, the first changed, the second changed
        alike, and the second changed otherwise.
    """
    first, second = torch.eye(len(FACTOR_SIZES), dtype=torch.int64)[list(pair)]
    ways = (first + second, first - second) if mixed else (first, second)
    steps = [_whole_steps(draw) for draw in draws[:, :2].T]
    moves = torch.stack([step * way for step, way in zip(steps, ways, strict=True)])
    places = draws[:, 2:].chunk(2, dim=1)
    query, other = _origins(places[0], moves[:1]), _origins(places[1], moves)
    return torch.stack([query, other, query + moves[0], other + moves[0], other + moves[1]])


def _whole_steps(draws: Tensor) -> Tensor:
    """Steps of every factor (N, factors) for uniform numbers (N,): up to half its range, not 0."""
    reach = (_SIZES - 1) // 2
    signed = 2 * draws[:, None] - 1
    length = 1 + (signed.abs() * reach).long().clamp(max=reach - 1)
    return torch.where(signed < 0, -length, length)


def _origins(draws: Tensor, moves: Tensor) -> Tensor:
    """Values (N, factors), uniform among those that all moves (M, N, factors) keep in range."""
    low = -moves.amin(0).clamp(max=0)
    high = _SIZES - 1 - moves.amax(0).clamp(min=0)
    return low + (draws * (high - low + 1)).long().clamp(max=high - low)


def _batches(mixed: bool, samples: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    width = 2 + 2 * len(FACTOR_SIZES)
    for pair in PAIRS:
        purpose = derive_seed(seed, "contrast", *pair)  # the same for pure and mixed changes
        for start in range(0, samples, batch_size):
            count = min(batch_size, samples - start)
            yield changed_scenes(pair, mixed, uniforms(purpose, start, count, width))


def _features(dataset: Shapes3D, network: Extractor, scenes: Tensor) -> list[Tensor]:
    images, _ = dataset.batch(dataset.index(scenes.flatten(0, 1)))
    return network.feature_maps(images)


@torch.no_grad()
def _losses(
    features: Callable[[Tensor], list[Tensor]],
    contrasts: dict[Focus, Contrast],
    batches: Iterator[Tensor],
    count_more: Callable[[int], None],
) -> dict[Focus, FloatArray]:
    """The loss of every sample, summed over the layers, for each contrast."""
    found: dict[Focus, list[Tensor]] = {focus: [] for focus in contrasts}
    for scenes in batches:
        maps = features(scenes)
        for focus, contrast in contrasts.items():
            terms = binary_terms(maps, contrast)
            found[focus].append(torch.stack([*terms.consistency, *terms.orthogonality]).sum(0))
        count_more(scenes.shape[1])
    return {focus: torch.cat(parts).double().cpu().numpy() for focus, parts in found.items()}
