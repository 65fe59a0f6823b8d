"""Hashes of the files that a run is given by path or by name, which its specification covers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.catalog import Entry, lookup
from bench.directions.runs import DirectionRun
from bench.errors import BenchError, MissingFile
from bench.face_measures import face_measures_sha256
from bench.factor_labels import shapes3d_labels_path
from bench.files import sha256_of
from bench.generators import CHECKPOINT_SUFFIXES, weights_path
from bench.predictors import predictor_path
from bench.stored_artefact import StoredArtefact

ABSENT = "absent"  # stands for the hash of what is not there

# Loaders of the suite's own weights, and what knows where the file of a name lies.
_FINDERS = {
    "bench.generators:load_generator": weights_path,
    "bench.generators.digiface:load_digiface": weights_path,
    "bench.predictors:load_predictor": predictor_path,
    "bench.factor_labels:load_shapes3d_labels": shapes3d_labels_path,
}


class Contents:
    """The ``contents`` of a specification, collected.

    Args:
        allow_absent: Whether files may be missing; their hashes are then ``ABSENT``.

    Attributes:
        hashes: What there is so far, by what it is the hash of.
    """

    def __init__(self, allow_absent: bool) -> None:
        self.hashes: dict[str, str] = {}
        self._allow_absent = allow_absent

    def add(self, key: str, find: Callable[[], str]) -> None:
        """Add a hash.

        Raises:
            MissingFile: Its file is missing.
        """
        self.hashes[key] = self._found(find)

    def add_artefact(self, folder: Path) -> None:
        """Add the hash of an artefact's weights under the stage that it names.

        Raises:
            BenchError: There is one of that stage already, or the artefact is missing or damaged.
        """
        sha256 = self._found(lambda: StoredArtefact(folder).verified())
        stage = folder.name if sha256 == ABSENT else StoredArtefact(folder).record.origin.stage
        key = f"artefact {stage}"
        if key in self.hashes:
            raise BenchError(f"--artefact gives the stage {stage} twice; leave {folder} out.")
        self.hashes[key] = sha256

    def add_directions(self, asked: Path, preset: str, seed: int) -> tuple[str, str]:
        """Add the hash of a discovery run; returns its folder and how tables call it.

        Raises:
            BenchError: It is missing, or none to take directions from.
        """
        try:
            run = DirectionRun.find(asked, preset, seed)
        except MissingFile:
            if not self._allow_absent:
                raise
            self.hashes["directions"] = ABSENT
            return str(asked.resolve()), asked.name
        self.hashes["directions"] = run.sha256
        return str(run.folder.resolve()), run.label

    def add_weights(self, kind: str, asked: str | None) -> str | None:
        """Add the hash of a network's file; returns its name in the catalog, or absolute path.

        Args:
            kind: ``generator`` or ``predictor``.
            asked: A name or a path; empty or None for no network.

        Raises:
            BenchError: There is no such name or file.
        """
        if not asked:
            return None
        if asked.endswith(CHECKPOINT_SUFFIXES):
            path = Path(asked).expanduser().resolve()
            self.add(kind, lambda: _hash_of_weights(kind, asked, path))
            return str(path)
        entry = lookup(f"{kind}s", asked)
        sha256 = _hash_of_name(entry)
        if sha256 is not None:
            self.hashes[f"{kind} file"] = sha256
        return entry.name

    def _found(self, find: Callable[[], str]) -> str:
        try:
            return find()
        except MissingFile:
            if not self._allow_absent:
                raise
            return ABSENT


def _hash_of_weights(kind: str, asked: str, path: Path) -> str:
    if not path.is_file():
        raise MissingFile(f"There is no file {asked}; give --{kind} a name or a checkpoint.")
    return sha256_of(path)


def _hash_of_name(entry: Entry) -> str | None:
    """That of a name's weights, if they are the suite's own and on this machine."""
    if entry.target == "bench.face_measures:load_face_measures":  # formulas, without a file
        return face_measures_sha256()
    find = _FINDERS.get(entry.target)
    if find is None:
        return None
    try:
        path = find(entry.name)
    except MissingFile:  # a plan says so; a run will
        return None
    return sha256_of(path) if path.is_file() else None
