"""FactorVAE metric (FVM): does one code alone keep still while one factor is held fixed?

Kim and Mnih, "Disentangling by Factorising" (arXiv 1802.05983), section 4, as disentanglement_lib
computes it. In a batch with a fixed factor the code with the least variance, relative to its
variance over the dataset, votes for that factor; the score is how many votes a classifier by
majority explains. A code whose standard deviation over the dataset is below a threshold is pruned:
codes that a model does not use have noise for variance and would win votes.

The published configuration prunes below 0.05; the library's own default is 0, where a code without
any variance gives 0/0 and wins every vote. Such a code is pruned here at any threshold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import require_finite
from metrics.disentanglement.inputs import Codes, Labels, codes_array, factor_labels, positive
from metrics.disentanglement.sampling import Sampler, fixed_batches

_PRUNE_BELOW = 0.05  # standard deviation
_OVERFLOW = "The codes are so large that their variances overflow"


@dataclass(frozen=True, eq=False)
class FactorVaeScore:
    """The FactorVAE metric and what it is made of.

    Attributes:
        score: Share of the evaluation votes that the classifier explains, in [0, 1]; 0 if no code
            is active.
        train_accuracy: The same of the votes that the classifier was made from.
        active: bool (K,), the codes that were not pruned.
        global_variances: (K,), unbiased variances over the dataset.
        classifier: int64 (K,); entry i is the factor that the i-th active code stands for, the
            lowest where votes tie or there are none.
        train_votes: int64 (F, K), how often the i-th active code won when factor j was fixed.
        eval_votes: int64 (F, K), likewise.
    """

    score: float
    train_accuracy: float
    active: NDArray[np.bool_]
    global_variances: Codes
    classifier: Labels
    train_votes: Labels
    eval_votes: Labels


def factor_vae_metric(
    sampler: Sampler,
    *,
    batch_size: int = 64,
    train_votes: int = 10_000,
    eval_votes: int = 5_000,
    variance_samples: int = 10_000,
    prune_threshold: float = _PRUNE_BELOW,
    seed: int = 0,
) -> FactorVaeScore:
    """The FactorVAE metric with the published settings as defaults.

    Args:
        sampler: ``GridSampler`` or ``TableSampler``.
        batch_size: Samples of a vote.
        train_votes: Votes that make the classifier.
        eval_votes: Votes that it is scored with.
        variance_samples: Samples that the variances over the dataset are taken from.
        prune_threshold: Codes with a smaller standard deviation are pruned.
        seed: Seeds numpy's ``RandomState``, with the reference's order of draws.

    Raises:
        ValueError: Codes that are no finite (N, K) numbers or whose variances overflow, a batch or
            number of samples below 2, a number of votes below 1, or a negative threshold.
    """
    positive(batch_size=batch_size, variance_samples=variance_samples)
    positive(train_votes=train_votes, eval_votes=eval_votes)
    random = np.random.RandomState(seed)
    codes = sampler.codes(sampler.draw(variance_samples, random))
    train, evaluation = (
        fixed_batches(sampler, count, batch_size, random) for count in (train_votes, eval_votes)
    )
    return _score(codes, prune_threshold, sampler.num_factors, train, evaluation)


def factor_vae_metric_from_batches(
    variance_codes: Any,
    train_batches: Any,
    train_fixed: Any,
    eval_batches: Any,
    eval_fixed: Any,
    *,
    num_factors: int,
    prune_threshold: float = _PRUNE_BELOW,
) -> FactorVaeScore:
    """The FactorVAE metric of batches that were drawn already.

    Args:
        variance_codes: (N, K) codes of samples of the whole dataset, N >= 2.
        train_batches: (V, B, K) codes; in each batch one factor is fixed, B >= 2.
        train_fixed: (V,), the index of the fixed factor of each batch.
        eval_batches: (W, B, K).
        eval_fixed: (W,).
        num_factors: How many factors there are.
        prune_threshold: Codes with a smaller standard deviation are pruned.

    Raises:
        ValueError: NaN or infinite entries, shapes that do not match, batches of one sample, an
            index that is no factor, codes whose variances overflow, or a negative threshold.
    """
    codes = codes_array(variance_codes, "The codes for variances")
    parts = []
    for part, values, indices in (
        ("training", train_batches, train_fixed),
        ("evaluation", eval_batches, eval_fixed),
    ):
        batches = codes_array(values, f"The {part} batches", ndim=3)
        fixed = factor_labels(indices, f"The fixed factors of {part}", num_factors)
        if len(fixed) != len(batches):
            raise ValueError(f"{len(batches)} {part} batches have {len(fixed)} fixed factors.")
        parts.append([(fixed, batches)])
    return _score(codes, prune_threshold, num_factors, *parts)


def least_varying_codes(batches: Any, global_variances: Any, active: Any) -> Labels:
    """Which active code varies least in each batch.

    Args:
        batches: (V, B, K) codes, B >= 2.
        global_variances: (K,) variances over the dataset, above 0 where active.
        active: bool (K,), at least one.

    Returns:
        int64 (V,): indices among the active codes, so 0 is the first of them.

    Raises:
        ValueError: NaN or infinite entries, batches of one sample, shapes that do not match, or
            codes whose variances overflow.
    """
    codes = codes_array(batches, "The batches", ndim=3)
    variances = codes_array(global_variances, "The global variances", ndim=1)
    used = np.asarray(active, dtype=np.bool_)
    if not codes.shape[2] == len(variances) == len(used):
        raise ValueError(
            f"The batches have {codes.shape[2]} codes, the dataset {len(variances)} variances and "
            f"{len(used)} codes that are active or not."
        )
    if codes.shape[1] < 2:
        raise ValueError("A batch of one sample has no variance.")
    relative = codes.var(axis=1, ddof=1)[:, used] / variances[used]
    require_finite(relative, _OVERFLOW)
    return relative.argmin(axis=1).astype(np.int64)


def _score(
    codes: Codes,
    prune_threshold: float,
    num_factors: int,
    train: Iterable[tuple[Labels, Codes]],
    evaluation: Iterable[tuple[Labels, Codes]],
) -> FactorVaeScore:
    if len(codes) < 2:
        raise ValueError("The variance of a code over the dataset needs at least two samples.")
    if not prune_threshold >= 0.0:
        raise ValueError(f"The threshold is a standard deviation, not {prune_threshold}.")
    variances = codes.var(axis=0, ddof=1)
    require_finite(variances, _OVERFLOW)
    # The rounded variance of a constant code need not be 0.
    active = (np.sqrt(variances) >= prune_threshold) & (np.ptp(codes, axis=0) > 0.0)
    # Without an active code there is nothing to vote for, and nothing need be drawn.
    some = active.any()
    shape = num_factors, codes.shape[1]
    train_votes = _votes(train if some else (), shape, variances, active)
    eval_votes = _votes(evaluation if some else (), shape, variances, active)
    classifier = train_votes.argmax(axis=0)
    return FactorVaeScore(
        score=_explained(eval_votes, classifier),
        train_accuracy=_explained(train_votes, classifier),
        active=active,
        global_variances=variances,
        classifier=classifier,
        train_votes=train_votes,
        eval_votes=eval_votes,
    )


def _votes(
    batches: Iterable[tuple[Labels, Codes]],
    shape: tuple[int, int],
    variances: Codes,
    active: NDArray[np.bool_],
) -> Labels:
    votes = np.zeros(shape, dtype=np.int64)
    for fixed, codes in batches:
        np.add.at(votes, (fixed, least_varying_codes(codes, variances, active)), 1)
    return votes


def _explained(votes: Labels, classifier: Labels) -> float:
    explained = votes[classifier, np.arange(len(classifier))].sum()
    return float(explained / max(votes.sum(), 1))
