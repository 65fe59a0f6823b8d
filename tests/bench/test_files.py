from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.files import (
    DiskFull,
    append_json,
    read_json_lines,
    remove_partial_files,
    sha256_of,
    whole_file,
    write_bytes,
    write_json,
)


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "value.json"
    write_json(path, {"a": 1})
    write_json(path, {"name": "é"})
    assert path.read_text("utf-8") == '{\n  "name": "é"\n}\n'
    assert [item.name for item in path.parent.iterdir()] == ["value.json"]
    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_have_the_permissions_of_any_file(tmp_path: Path) -> None:
    with whole_file(tmp_path / "x.safetensors") as temporary:
        save_file({"x": torch.zeros(1)}, temporary)
    (tmp_path / "any").touch()
    assert (tmp_path / "x.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_failed_write_leaves_the_old_contents(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    write_bytes(path, b"old")

    def write_half() -> None:
        with whole_file(path) as temporary:
            assert temporary.suffix == ".png"
            assert temporary.parent == tmp_path
            temporary.write_bytes(b"half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "weights.safetensors"
    write_bytes(path, b"old")
    with pytest.raises(DiskFull, match="nothing that was finished is lost"), whole_file(path):
        raise error
    assert path.read_bytes() == b"old"


def test_other_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), whole_file(tmp_path / "file"):
        raise PermissionError(errno.EACCES, "no")


def test_a_cut_line_spoils_neither_the_log_nor_the_next_record(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append_json(log, {"step": 0})
    with log.open("ab") as stream:
        stream.write('{"step": 1, "é'.encode()[:-1])  # what a kill leaves behind
    append_json(log, {"step": 2, "text": "two\u2028lines"})
    assert read_json_lines(log) == [{"step": 0}, {"step": 2, "text": "two\u2028lines"}]
    assert read_json_lines(tmp_path / "absent.jsonl") == []


def test_leftovers_of_a_kill_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint" / ".part-01-00000002").mkdir(parents=True)
    (tmp_path / "checkpoint" / ".part-0123abcd-state.pt").write_bytes(b"half")
    write_bytes(tmp_path / "checkpoint" / "state.pt", b"whole")
    remove_partial_files(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["state.pt"]
