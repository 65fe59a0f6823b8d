"""DCI: disentanglement, completeness and informativeness of a representation.

Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations"
(ICLR 2018), section 2, as disentanglement_lib computes it: boosted trees predict each factor from
all codes, and the importance of the codes to each of these classifiers makes a matrix. A code is
disentangled if it matters to one factor only, a factor is complete if one code only matters to it.

The scores depend on the booster, and so they have a name each:

- ``dci``: scikit-learn's gradient boosting with its defaults (100 rounds, rate 0.1, depth 3,
  impurity importance), the published setting;
- ``dci:lightgbm``: LightGBM with the same rounds, rate and depth, gain as importance; much
  faster. It ranks representations alike, but its scores do not compare with those of ``dci``.

The number of codes is the base of completeness: representations of different widths do not compare.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import joblib
import numpy as np
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier

from metrics.arrays import FloatArray, finite_array, require_finite
from metrics.disentanglement.inputs import (
    Codes,
    LabelledCodes,
    Labels,
    train_and_test_codes,
)

Booster = Literal["gradient-boosting", "lightgbm"]

_ROUNDS = 100
_TREE_SEEDS = 2**31 - 1  # scikit-learn seeds a tree with a number below it
_OFFSET = 1e-11  # the reference adds it to importances, so that rows of zeros have an entropy


@dataclass(frozen=True, eq=False)
class ImportanceScores:
    """Disentanglement and completeness of a matrix of importances.

    Attributes:
        disentanglement: Mean over codes, weighted by importance, in [0, 1].
        completeness: Mean over factors, weighted by importance, in [0, 1].
        disentanglement_per_code: (K,).
        completeness_per_factor: (F,).
        importance: (K, F), none negative.
    """

    disentanglement: float
    completeness: float
    disentanglement_per_code: FloatArray
    completeness_per_factor: FloatArray
    importance: FloatArray


@dataclass(frozen=True, eq=False)
class DCI(ImportanceScores):
    """The three scores of a representation.

    Attributes:
        informativeness_train: Accuracy on the training part, mean over the factors.
        informativeness_test: Accuracy on the test part. (The reference computes accuracies, too,
            though it calls them errors.)
        booster: What predicted the factors.
    """

    informativeness_train: float
    informativeness_test: float
    booster: Booster

    @property
    def name(self) -> str:
        """What to call the scores: ``dci`` or ``dci:lightgbm``."""
        return "dci" if self.booster == "gradient-boosting" else f"dci:{self.booster}"


def dci(
    train_codes: Any,
    train_factors: Any,
    test_codes: Any,
    test_factors: Any,
    *,
    booster: Booster = "gradient-boosting",
    n_jobs: int = 1,
    seed: int = 0,
) -> DCI:
    """DCI of codes. The published setting is 10,000 training and 5,000 test samples.

    If all codes are constant, disentanglement and completeness are 0.

    Args:
        train_codes: (N, K) real numbers, K >= 2.
        train_factors: (N, F) values of discrete factors, F >= 2.
        test_codes: (M, K).
        test_factors: (M, F); a value that the training part lacks counts as an error.
        booster: See the module.
        n_jobs: Processes that fit the factors, -1 for one on each core. The scores do not depend on
            it. Each process keeps to one thread.
        seed: Seeds what chance decides, ties between codes. The reference leaves that to numpy's
            global generator; its scores are these if that had the same seed. Another seed moves
            disentanglement and completeness by about 0.001.

    Raises:
        ValueError: A single code or factor, a factor with one value, fewer than two samples, shapes
            that do not match, NaN or infinite entries, or an unknown booster.
        ImportError: LightGBM is asked for and not installed.
    """
    if booster not in _BOOSTERS:
        raise ValueError(f"A booster is {' or '.join(map(repr, _BOOSTERS))}, not {booster!r}.")
    train, test = train_and_test_codes(train_codes, train_factors, test_codes, test_factors)
    num_codes, num_factors = train.codes.shape[1], train.labels.shape[1]
    _check_size(num_codes, num_factors)
    streams = _streams(train.labels, seed)
    # A fit takes longer the more values its factor has: the longest first, for even processes.
    order = np.argsort(-train.labels.max(axis=0), kind="stable")
    processes = min(joblib.effective_n_jobs(n_jobs), num_factors)
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        in_order = joblib.Parallel(n_jobs=processes)(
            joblib.delayed(_fit)(booster, streams[factor], train, test, factor) for factor in order
        )
    # Back in the order of the factors, in which the reference adds up the accuracies.
    fits: list[_Fit] = [in_order[place] for place in np.argsort(order)]
    importance = np.stack([fit.importance for fit in fits], axis=1)
    return DCI(
        **vars(dci_from_importance(importance)),
        informativeness_train=float(np.mean([fit.train_accuracy for fit in fits])),
        informativeness_test=float(np.mean([fit.test_accuracy for fit in fits])),
        booster=booster,
    )


def dci_from_importance(importance: Any) -> ImportanceScores:
    """Disentanglement and completeness of a matrix of importances.

    The score of a code is 1 less the entropy of its row, with the number of factors as base of the
    logarithm; that of a factor 1 less the entropy of its column, with the number of codes as base.
    Rows and columns are weighted by their sums; a matrix of zeros scores 0.

    Args:
        importance: (K, F), how much each code matters to each factor, none negative, K and F >= 2.

    Raises:
        ValueError: A single code or factor, negative, NaN or infinite entries, or a sum that
            overflows.
    """
    matrix = finite_array(importance, "The importance matrix", ndim=2)
    _check_size(*matrix.shape)
    if (matrix < 0.0).any():
        raise ValueError("Importance is not negative.")
    require_finite(matrix.sum(), "The importance is so large that its sum overflows")
    weights = matrix if matrix.any() else np.ones_like(matrix)
    per_code = _concentration(matrix.T)
    per_factor = _concentration(matrix)
    return ImportanceScores(
        disentanglement=float(np.average(per_code, weights=weights.sum(axis=1))),
        completeness=float(np.average(per_factor, weights=weights.sum(axis=0))),
        disentanglement_per_code=per_code,
        completeness_per_factor=per_factor,
        importance=matrix,
    )


class _Fit(NamedTuple):
    importance: FloatArray  # (K,), sums to 1 unless all are 0
    train_accuracy: float
    test_accuracy: float


def _streams(labels: Labels, seed: int) -> list[np.random.RandomState]:
    """For each factor the generator as the reference has it when it comes to the factor.

    The reference fits the factors one after the other from one generator, which every tree asks
    for one number. A round has a tree for each value, or one if there are two values.
    """
    random, streams = np.random.RandomState(seed), []
    for largest in labels.max(axis=0).tolist():
        streams.append(copy.deepcopy(random))
        random.randint(_TREE_SEEDS, size=_ROUNDS * (largest + 1 if largest > 1 else 1))
    return streams


def _fit(
    booster: Booster,
    random: np.random.RandomState,
    train: LabelledCodes,
    test: LabelledCodes,
    factor: int,
) -> _Fit:
    """One factor's classifier; a process of its own runs this."""
    labels = train.labels[:, factor]
    importance, predict = _BOOSTERS[booster](train.codes, labels, random)
    return _Fit(
        importance,
        float((predict(train.codes) == labels).mean()),
        float((predict(test.codes) == test.labels[:, factor]).mean()),
    )


_Trained = tuple[FloatArray, Callable[[Codes], Labels]]


def _gradient_boosting(codes: Codes, labels: Labels, random: np.random.RandomState) -> _Trained:
    model = GradientBoostingClassifier(n_estimators=_ROUNDS, random_state=random)
    model.fit(codes, labels)
    return np.abs(model.feature_importances_), model.predict


def _lightgbm(codes: Codes, labels: Labels, random: np.random.RandomState) -> _Trained:
    lightgbm = _import_lightgbm()
    num_values = int(labels.max()) + 1
    settings = {
        "objective": "multiclass",
        "num_class": num_values,
        "learning_rate": 0.1,
        "max_depth": 3,
        "num_leaves": 8,
        "min_data_in_leaf": 1,  # as scikit-learn; LightGBM's 20 would leave small samples uncut
        "seed": random.randint(_TREE_SEEDS),
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(codes, labels, params=settings)
    model = lightgbm.train(settings, data, num_boost_round=_ROUNDS)
    gain = model.feature_importance("gain")
    return gain / max(gain.sum(), 1e-300), lambda rows: model.predict(rows).argmax(axis=1)


_BOOSTERS: dict[Booster, Callable[[Codes, Labels, np.random.RandomState], _Trained]] = {
    "gradient-boosting": _gradient_boosting,
    "lightgbm": _lightgbm,
}


def _import_lightgbm() -> Any:
    try:
        return importlib.import_module("lightgbm")
    except ImportError as error:
        raise ImportError(
            "dci:lightgbm needs LightGBM: pip install 'gan-attribute-bench[metrics]'."
        ) from error


def _check_size(num_codes: int, num_factors: int) -> None:
    if num_codes < 2 or num_factors < 2:
        raise ValueError(
            f"DCI compares codes and factors, at least two of each; there are {num_codes} codes "
            f"and {num_factors} factors."
        )


def _concentration(matrix: FloatArray) -> FloatArray:
    """1 less the entropy of each column, in [0, 1]; 0 for a column of zeros."""
    spread = entropy(matrix + _OFFSET, base=len(matrix))
    return np.where(matrix.any(axis=0), (1.0 - spread).clip(0.0, 1.0), 0.0)
