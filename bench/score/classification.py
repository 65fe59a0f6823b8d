"""Scores of tables of labels in .csv files: predicted attributes against true ones."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.errors import ParserError, ParserWarning

from bench.errors import BenchError, MissingFile, counted, listed
from bench.score.report import Identity, Report, mean_score
from leaderboard.schema import Measurement
from metrics.classification import SCORES, MultilabelScores, averages_by_name, multilabel_scores


def score_classification(
    predicted: Path,
    truth: Path,
    *,
    signed: bool = False,
    zero_division: int = 0,
    id_column: str | None = None,
) -> Report:
    """Accuracy, F1 and their kin of predicted attributes.

    Args:
        predicted: .csv with a column for each attribute, named in the first line.
        truth: .csv with the same columns, in any order.
        signed: Labels are -1 and 1, as in the files of CelebA, not 0 and 1.
        zero_division: What 0 / 0 counts as, 0 or 1.
        id_column: Names the samples, by which the rows of the two are matched; None matches them
            by their order.

    Raises:
        BenchError: A file is missing or no such table, or the two have other columns or samples.
    """
    found, true = (_read(path, signed, id_column) for path in (predicted, truth))
    _require_same("columns", found, true, found.labels.columns, true.labels.columns)
    attributes = list(true.labels.columns)
    labels = true.labels.to_numpy()
    predictions = found.labels[attributes].to_numpy()[_matching_rows(found, true)]
    scores = multilabel_scores(labels, predictions, zero_division)
    identity: Identity = {
        "samples": len(labels),
        "attributes": ", ".join(attributes),
        "zero_division": zero_division,
    }
    return Report(
        [*_accuracies(scores, predictions == labels, identity), *_averages(scores, identity)],
        {"predicted": str(predicted), "truth": str(truth)},
        "attributes",
        _by_attribute(scores, attributes, labels),
    )


class _Table(NamedTuple):
    """A file's labels: bool, a column for each attribute; and what names its rows, if anything."""

    path: Path
    labels: pd.DataFrame
    samples: pd.Series | None


def _accuracies(
    scores: MultilabelScores, right: NDArray[np.bool_], identity: Identity
) -> list[Measurement]:
    of_samples = {
        "subset_accuracy": (scores.subset_accuracy, right.all(axis=1).astype(np.float64)),
        "hamming_accuracy": (scores.hamming_accuracy, right.mean(axis=1)),
    }
    return [
        mean_score(name, samples, value=value, higher_is_better=True, identity=identity)
        for name, (value, samples) in of_samples.items()
    ]


def _averages(scores: MultilabelScores, identity: Identity) -> list[Measurement]:
    return [
        Measurement(
            name=f"{score}.{average}", value=value, higher_is_better=True, identity=dict(identity)
        )
        for (score, average), value in averages_by_name(scores).items()
    ]


def _by_attribute(
    scores: MultilabelScores, attributes: list[str], labels: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    columns = {
        "share": labels.mean(axis=0),
        "accuracy": scores.accuracy_per_attribute,
        "balanced_accuracy": scores.balanced_accuracy_per_attribute,
        **{score: getattr(scores, score).per_attribute for score in SCORES},
    }
    return [
        {"attribute": name, **{column: float(of[row]) for column, of in columns.items()}}
        for row, name in enumerate(attributes)
    ]


def _matching_rows(found: _Table, true: _Table) -> NDArray[np.intp]:
    """For each true row the number of the predicted one."""
    if found.samples is None or true.samples is None:
        if len(found.labels) != len(true.labels):
            raise BenchError(
                f"{found.path} has {counted(len(found.labels), 'row')} and {true.path} "
                f"{len(true.labels)}: give the same samples in the same order, or name them by "
                "--id."
            )
        return np.arange(len(true.labels))
    _require_same("samples", found, true, found.samples, true.samples)
    return pd.Index(found.samples).get_indexer(pd.Index(true.samples))


def _require_same(
    what: str, found: _Table, true: _Table, ours: Iterable[str], theirs: Iterable[str]
) -> None:
    first, second = dict.fromkeys(ours), dict.fromkeys(theirs)
    for table, missing in (
        (found, [name for name in second if name not in first]),
        (true, [name for name in first if name not in second]),
    ):
        if missing:
            raise BenchError(
                f"{table.path} lacks the {what} {listed(missing)} of the other file: give both the "
                f"same {what}."
            )


def _read(path: Path, signed: bool, id_column: str | None) -> _Table:
    names = _header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)  # lines with too much in them
            table = pd.read_csv(
                path,
                header=None,
                names=names,
                skiprows=1,
                index_col=False,
                skipinitialspace=True,
                keep_default_na=False,  # a sample may be called NA
                dtype=None if id_column is None else {id_column: str},
            )
    except (ParserError, ParserWarning, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise BenchError(
            f"{path} is no table ({reason}): give as many values in each line as the first line "
            "names columns."
        ) from error
    if table.empty:
        raise BenchError(f"{path} holds no samples below its header: add them.")
    samples = None if id_column is None else _samples(path, table, id_column)
    labels = table.drop(columns=[] if id_column is None else [id_column])
    if labels.columns.empty:
        raise BenchError(f"{path} has no column but {id_column}: add one for each attribute.")
    return _Table(path, labels.apply(_as_labels, args=(path, signed)), samples)


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            names = [name.strip() for name in next(csv.reader(stream), [])]
    except FileNotFoundError as error:
        raise MissingFile(f"There is no {path}; give a table of labels as .csv.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} cannot be read as .csv ({error}): save it as text.") from error
    if not all(names) or all(map(_is_number, names)):  # classes may be called 0 and 1
        raise BenchError(
            f"{path} has no header: its first line has to name every column, such as "
            "Smiling,Eyeglasses."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BenchError(f"{path} names the column {twice[0]} more than once: rename one.")
    return names


def _samples(path: Path, table: pd.DataFrame, id_column: str) -> pd.Series:
    if id_column not in table:
        raise BenchError(f"{path} has no column {id_column}: --id names one of its header.")
    samples = table[id_column]
    for fault, rows in (("is empty", samples == ""), ("occurs twice", samples.duplicated())):
        if rows.any():
            row = int(rows.to_numpy().argmax())
            raise BenchError(
                f"{path}: the {id_column} of sample {row + 1} ({samples[row]}) {fault}; every "
                "sample needs a name of its own."
            )
    return samples


def _as_labels(column: pd.Series, path: Path, signed: bool) -> pd.Series:
    """A column as bool."""
    absent, present = (-1, 1) if signed else (0, 1)
    try:
        values = pd.to_numeric(column, errors="coerce")
    except OverflowError as error:
        raise BenchError(
            f"{path}: {column.name} holds a number too large for any computer, but labels are "
            f"{absent} or {present}: mend it."
        ) from error
    wrong = ~values.isin([absent, present]).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        blank = pd.isna(column[row]) or not str(column[row]).strip()
        remedy = "give each sample a label for it" if blank else _remedy(column, signed)
        raise BenchError(
            f"{path}: {column.name} is {'missing' if blank else column[row]} in sample {row + 1}, "
            f"but labels are {absent} or {present}: {remedy}."
        )
    return values == present


def _remedy(column: pd.Series, signed: bool) -> str:
    values = pd.to_numeric(column, errors="coerce")
    if values.isna().all():
        return f"give --id {column.name} if it names the samples"
    if signed:
        return "leave --signed out if labels are 0 and 1"
    if values.isin([-1, 1]).all():
        return "give --signed if -1 stands for absent, as in the files of CelebA"
    return "make labels of probabilities by > 0.5"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
