"""The folder of an artefact: its name, damage to it, and two that write it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.stored_artefact import StageOrigin, StoredArtefact, write_artefact
from tests.bench.artefact_runs import how, run, spec

pytestmark = pytest.mark.usefixtures("toys")


@pytest.mark.parametrize("field", ["code", "torch", "device", "start"])
def test_another_origin_is_another_folder(folder: Path, field: str) -> None:
    origin: StageOrigin = StoredArtefact(folder).record.origin
    assert origin.folder.name == folder.name
    assert origin.model_copy(update={field: "another"}).folder.name != folder.name


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("weights.safetensors", _cut, "has the sha256 .* and not "),
        ("weights.safetensors", Path.unlink, "is missing or cannot be read"),
        ("artefact.json", _cut, "is cut off or of another version"),
        ("artefact.json", Path.unlink, "has no artefact.json"),
    ],
)
def test_damage_is_one_sentence_with_path_and_remedy(
    first: Path, folder: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder / name)
    with pytest.raises(BenchError, match=message) as given:
        spec(1, (folder,))
    with pytest.raises(BenchError, match=message) as found:
        run(first, spec(power=2.0))
    for error in (given, found):
        assert str(folder) in str(error.value)
        assert "delete" in str(error.value)
    shutil.rmtree(folder)
    assert how(run(first, spec(power=2.0)))["encode"] == "trained"


def test_the_first_of_two_writers_wins_and_what_a_kill_left_is_removed(folder: Path) -> None:
    stored = StoredArtefact(folder)
    write_artefact(folder, stored.record, b"later")
    assert stored.verified() == stored.record.sha256
    leftover = folder.with_name(f".part-{folder.name}")
    shutil.move(folder, leftover)
    (leftover / "half").write_bytes(b"")
    write_artefact(folder, stored.record, b"again")
    assert sorted(path.name for path in folder.iterdir()) == [
        "artefact.json",
        "weights.safetensors",
    ]
    assert not leftover.exists()
