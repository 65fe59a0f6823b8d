"""Mutual information gap (MIG): how much more one code tells of a factor than any other code.

Chen, Li, Grosse and Duvenaud, "Isolating Sources of Disentanglement in Variational Autoencoders"
(arXiv 1802.04942), eq. 6, as disentanglement_lib computes it from discretised codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.arrays import FloatArray
from metrics.disentanglement.information import discretise, entropies, mutual_information
from metrics.disentanglement.inputs import labelled_codes


@dataclass(frozen=True, eq=False)
class MutualInformationGap:
    """MIG and what it is made of.

    Attributes:
        score: Mean of the factors' gaps, in [0, 1].
        per_factor: (F,), the largest less the second largest mutual information of a factor with a
            code, divided by the factor's entropy.
        information: (K, F), mutual information in nats.
        entropy: (F,), of the factors, in nats.
    """

    score: float
    per_factor: FloatArray
    information: FloatArray
    entropy: FloatArray


def mig(codes: Any, factors: Any, *, bins: int = 20) -> MutualInformationGap:
    """The mutual information gap of codes. The published setting is 10,000 samples and 20 bins.

    Constant codes tell nothing and score 0; a code that occurs twice closes the gap of its factor.

    Args:
        codes: (N, K) real numbers, K >= 2. float32 codes are binned in float32.
        factors: (N, F) values of discrete factors.
        bins: Bins of equal width between a code's smallest and largest value; the score depends on
            their number.

    Raises:
        ValueError: A single code, a factor with one value, fewer than two samples, NaN or infinite
            entries, or codes whose range overflows.
    """
    samples = labelled_codes(codes, factors)
    if samples.codes.shape[1] < 2:
        raise ValueError("MIG compares codes and needs at least two of them.")
    information = mutual_information(discretise(samples.codes, bins), samples.labels)
    entropy = entropies(samples.labels)
    ordered = np.partition(information, -2, axis=0)  # the two largest come last
    gaps = ((ordered[-1] - ordered[-2]) / entropy).clip(0.0, 1.0)
    return MutualInformationGap(float(gaps.mean()), gaps, information, entropy)
