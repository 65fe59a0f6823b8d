from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from bench.checkpoints.bigan import read_states
from bench.errors import MissingFile, Refused
from tests.bench.checkpoints.streams import name, table

ARRAYS: list[Any] = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array(1000),
    np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    np.zeros((0, 2), np.float32),
]


class Trap:
    """What pickle would call."""

    def __reduce__(self) -> Any:
        return exit, (3,)


def text(content: str) -> bytes:
    """A text as Python 2 pickles it."""
    return b"U" + bytes([len(content)]) + content.encode()


def stored_by_python_2(array: Any, library: str = "sklearn.externals.joblib") -> bytes:
    """An array as joblib 0.10 to 1.1 has it: its wrapper's state, and the bytes right behind."""
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    kind = name("numpy", "dtype") + b"(" + text(array.dtype.str[1:]) + b"K\x00K\x01tR"
    kind += b"(K\x03" + text(array.dtype.str[0]) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"(" + b"".join(b"K" + bytes([length]) for length in array.shape) + b"t"
    entries = [("subclass", name("numpy", "ndarray")), ("shape", shape), ("order", text(order))]
    entries += [("dtype", kind), ("allow_mmap", b"\x88")]
    state = b"}(" + b"".join(text(key) + value for key, value in entries) + b"u"
    wrapper = name(f"{library}.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
    return wrapper + state + b"b" + array.tobytes(order)


def listed(*arrays: bytes) -> bytes:
    return b"\x80\x02](" + b"".join(arrays) + b"e."


def save_single(file: Path) -> None:
    joblib.dump(ARRAYS, file)


def save_by_python_2(file: Path) -> None:
    file.write_bytes(listed(*map(stored_by_python_2, ARRAYS)))


def save_as_old(file: Path) -> None:
    file.write_bytes(pickle.dumps(Trap()))  # which is not even looked at
    for place, array in enumerate(ARRAYS):
        np.save(f"{file}_{place + 1:02}.npy", array)


def save_zipped(file: Path) -> None:
    np.savez(file.with_suffix(".npz"), *ARRAYS)


@pytest.mark.parametrize("save", [save_single, save_by_python_2, save_as_old, save_zipped])
def test_arrays_are_read_in_their_order_whatever_wrote_them(tmp_path: Path, save: Any) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for file in ("9_gen", "100_gen", "100_encode", "100_joint_discrim"):
        save(models / f"{file}_params.jl")
    (encoder,) = [one for one in models.glob("100_encode_params.*") if one.suffix != ".npy"]
    for path in (encoder, models, tmp_path):
        states = read_states(path)
        assert list(states) == ["gen", "encode", "joint_discrim"]
        for state in states.values():
            assert list(state) == ["000", "001", "002", "003"]
            for tensor, array in zip(state.values(), ARRAYS, strict=True):
                assert torch.equal(tensor, torch.from_numpy(np.array(array, order="C")))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="holds no checkpoint of BiGAN"):
        read_states(tmp_path)
    file = tmp_path / "7_gen_params.jl"
    save_as_old(file)
    Path(f"{file}_02.npy").unlink()
    with pytest.raises(MissingFile, match=r"7_gen_params\.jl_02\.npy is missing"):
        read_states(tmp_path)


def forged(**changes: bytes) -> bytes:
    """A list of one array whose wrapper has another state."""
    whole = stored_by_python_2(ARRAYS[0])
    start = whole.index(b")\x81") + 2
    number = name("numpy", "dtype") + b"(" + text("f4") + b"K\x00K\x01tR"
    entries = {"shape": b"(K\x02K\x03t", "order": text("C"), "dtype": number} | changes
    return listed(whole[:start] + table(**entries) + b"b" + ARRAYS[0].tobytes())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps([Trap()], 2), "asks for _sitebuiltins"),
        (pickle.dumps({"a": 1}, 2), "no list of arrays"),
        (pickle.dumps([1.0], 2), "no list of arrays"),
        (forged(dtype=name("numpy", "ndarray")), "not described as joblib"),
        (forged(dtype=name("numpy", "dtype") + b"(" + text("O8") + b"K\x00K\x01tR"), "numbers"),
        (forged(shape=b"(J\xff\xff\xff\x7fK\x03t"), "ends within an array"),
        (forged(shape=b"(J\xff\xff\xff\xffK\x03t"), "has no shape"),
        (forged(order=text("A")), "not described as joblib"),
        (forged(numpy_array_alignment_bytes=b"K\x10"), "damaged"),
        (forged()[:-20], "ends within an array"),
        (forged()[:-1], "damaged"),
    ],
)
def test_foreign_and_damaged_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "7_gen_params.jl"
    file.write_bytes(content)
    with pytest.raises(Refused, match=rf"nothing in it was executed: .*{reason}"):
        read_states(file)


def test_a_forged_state_without_faults_is_an_array(tmp_path: Path) -> None:
    file = tmp_path / "7_gen_params.jl"
    file.write_bytes(forged())
    assert read_states(file)["gen"]["000"].tolist() == ARRAYS[0].tolist()


def test_arrays_of_objects_and_other_names_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "7_gen_params.npz", np.array([Trap()], dtype=object))
    with pytest.raises(Refused, match="nothing in it was executed"):
        read_states(tmp_path)
    np.savez(tmp_path / "8_gen_params.npz", weights=np.ones(2))
    with pytest.raises(Refused, match="arr_0"):
        read_states(tmp_path)
    (tmp_path / "9_gen_params.jl").write_text("<!doctype html><html>sign in</html>")
    with pytest.raises(Refused, match="web page"):
        read_states(tmp_path)
    with pytest.raises(Refused, match=r"not named like.*100_gen_params\.jl"):
        read_states(tmp_path / "generator.jl")
