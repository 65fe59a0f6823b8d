"""Scores of codes and factors in .npy files: how disentangled a representation is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np

from bench.errors import BenchError, MissingFile, Refused, UnknownName
from bench.progress import Progress
from bench.score.report import Identity, Report, blamed_on
from leaderboard.schema import Measurement
from metrics.arrays import finite_array
from metrics.disentanglement.beta_vae import beta_vae_metric
from metrics.disentanglement.dci import Booster, dci
from metrics.disentanglement.factor_vae import factor_vae_metric
from metrics.disentanglement.inputs import codes_and_factors
from metrics.disentanglement.mig import mig
from metrics.disentanglement.modularity import explicitness, modularity
from metrics.disentanglement.sampling import Samples, TableSampler, split
from metrics.disentanglement.sap import sap


def chosen_metrics(names: Iterable[str] = (), fast: bool = False) -> list[str]:
    """The metrics that are asked for, each once.

    Args:
        names: Their names; all but ``dci:lightgbm`` where there are none.
        fast: Take ``dci:lightgbm`` in the place of ``dci``.

    Raises:
        UnknownName: There is no such metric.
    """
    chosen = list(names) or [name for name in _METRICS if name != _FAST_DCI]
    for name in chosen:
        if name not in _METRICS:
            raise UnknownName("metric", name, _METRICS, f"There are {', '.join(_METRICS)}.")
    return list(dict.fromkeys(_FAST_DCI if fast and name == "dci" else name for name in chosen))


def score_disentanglement(
    codes: Path, factors: Path, names: Iterable[str], *, seed: int = 0
) -> Report:
    """Disentanglement of the codes of samples whose factors are known.

    Metrics that fit predictors do so on two thirds of the samples and score them on the rest.

    Args:
        codes: .npy of real numbers, samples x codes.
        factors: .npy of values of discrete factors, samples x factors.
        names: Out of ``chosen_metrics``.
        seed: Seeds the cut and the metrics that draw.

    Raises:
        BenchError: A file is missing or no array of numbers, the two do not go together, or a
            metric cannot be taken of them.
    """
    data = _Data.read(codes, factors, seed)
    wanted = list(names)
    scores: list[Measurement] = []
    with Progress("metrics", len(wanted)) as progress:
        for done, name in enumerate(wanted):
            progress.update(done, name)
            remedy = f"change the arrays, or leave {name} out by --metrics"
            with blamed_on(f"{name} of {codes} and {factors}", remedy):
                found = _METRICS[name](data)
            scores += (
                Measurement(name=part, value=value, higher_is_better=True, identity=dict(identity))
                for part, value, identity in found
            )
    return Report(scores, {"codes": str(codes), "factors": str(factors)})


class _Data(NamedTuple):
    """All samples, a part to fit predictors to and a part to score them on."""

    whole: Samples
    train: Samples
    test: Samples
    seed: int

    @classmethod
    def read(cls, codes: Path, factors: Path, seed: int) -> _Data:
        table, values = _read_array(codes), _read_array(factors)
        if len(table) != len(values):
            raise BenchError(
                f"{codes} has {len(table)} rows and {factors} {len(values)}: give the codes and "
                "the factors of the same samples."
            )
        remedy = "give samples in which every factor varies"
        with blamed_on(f"{codes} and {factors}", remedy):
            codes_and_factors(table, values)
            train, test = split(table, values, seed=seed)
        if (table == table[0]).all():
            raise BenchError(
                f"All codes in {codes} are constant and tell nothing: give codes that vary."
            )
        return cls(Samples(table, values), train, test, seed)

    @property
    def sampler(self) -> TableSampler:
        return TableSampler(*self.whole)

    @property
    def size(self) -> dict[str, str | int | float]:
        samples, codes = self.whole.codes.shape
        return {"samples": samples, "codes": codes, "factors": self.whole.factors.shape[1]}

    @property
    def sizes_of_parts(self) -> dict[str, str | int | float]:
        parts = {"train_samples": len(self.train.codes), "test_samples": len(self.test.codes)}
        return {**self.size, **parts, "seed": self.seed}


_Found = list[tuple[str, float, Identity]]  # names, values, and what they depend on


def _mig(data: _Data) -> _Found:
    return [("mig", mig(*data.whole).score, data.size)]


def _modularity(data: _Data) -> _Found:
    return [("modularity", modularity(*data.whole).score, data.size)]


def _sap(data: _Data) -> _Found:
    return [("sap", sap(*data.train, *data.test).score, data.sizes_of_parts)]


def _explicitness(data: _Data) -> _Found:
    area = explicitness(*data.train, *data.test).test
    return [("explicitness", area, data.sizes_of_parts)]


def _factor_vae(data: _Data) -> _Found:
    score = factor_vae_metric(data.sampler, seed=data.seed).score
    return [("fvm", score, {**data.size, "seed": data.seed})]


def _beta_vae(data: _Data) -> _Found:
    score = beta_vae_metric(data.sampler, seed=data.seed).score
    return [("beta-vae", score, {**data.size, "seed": data.seed})]


def _dci(data: _Data) -> _Found:
    return _dci_of("gradient-boosting", data)


def _fast_dci(data: _Data) -> _Found:
    return _dci_of("lightgbm", data)


def _dci_of(booster: Booster, data: _Data) -> _Found:
    found = dci(*data.train, *data.test, booster=booster, n_jobs=-1, seed=data.seed)
    parts = {
        "disentanglement": found.disentanglement,
        "completeness": found.completeness,
        "informativeness": found.informativeness_test,
    }
    return [(f"{found.name}.{part}", value, data.sizes_of_parts) for part, value in parts.items()]


_FAST_DCI = "dci:lightgbm"
_METRICS: dict[str, Callable[[_Data], _Found]] = {  # the slowest last
    "mig": _mig,
    "modularity": _modularity,
    "sap": _sap,
    "explicitness": _explicitness,
    "fvm": _factor_vae,
    "beta-vae": _beta_vae,
    _FAST_DCI: _fast_dci,
    "dci": _dci,
}


def _read_array(path: Path) -> Any:
    """A table of finite numbers; nothing in the file is ever executed."""
    try:
        with path.open("rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingFile(f"There is no {path}; give an array that numpy.save wrote.") from error
    except OSError as error:
        raise BenchError(f"{path} cannot be read ({error.strerror}): give a .npy file.") from error
    except (ValueError, MemoryError, TokenError) as error:  # all that a damaged header leads to
        if "Object arrays" in str(error):
            raise Refused(
                f"{path} holds pickled objects, which are never loaded: save an array of numbers, "
                "such as numpy.array(codes, dtype=float)."
            ) from error
        raise BenchError(f"{path} is no whole .npy file: write it with numpy.save.") from error
    if array.dtype.kind not in "biuf":
        raise BenchError(f"{path} holds {array.dtype}, but numbers are asked for: convert them.")
    with blamed_on(str(path), "give a table of finite numbers, one row for each sample"):
        checked = finite_array(array, "The array", ndim=2)
    return array if array.dtype == np.float32 else checked
