from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.checkpoints.nvidia import read_snapshot
from bench.errors import BenchError, MissingFile, Refused
from tests.bench.checkpoints import streams

GOLDEN = Path(__file__).parents[2] / "data" / "discovery"
GOOD = GOLDEN / "sg2_nv_pickle_2021style" / "network-snapshot-000000.pkl"
Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: bytes) -> Path:
        path = tmp_path / "network.pkl"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("disallowed_global.pkl", "sys.exit"),
        ("disallowed_in_state.pkl", "builtins.eval"),
        ("disallowed_nested.pkl", "sys.exit"),
        ("disallowed_dotted.pkl", "torch.serialization.sys.exit"),
    ],
)
def test_hostile_files_are_refused_by_name(file: str, name: str) -> None:
    with pytest.raises(Refused, match=f"{file} was refused.* asks for {name},"):
        read_snapshot(GOLDEN / "sg2_nv_pickle_hostile" / file)


def test_embedded_source_is_counted_and_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise AssertionError("something was executed")

    for builtin in ("exec", "eval", "compile"):
        monkeypatch.setattr(f"builtins.{builtin}", run)
    assert read_snapshot(GOOD).embedded_sources > 0


def test_tensors_from_a_gpu_with_strides_come_to_the_cpu(write: Write) -> None:
    data = streams.storage([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], location="cuda:0")
    weight = streams.tensor(data, (2, 3), (1, 2), offset=1)
    parameter = streams.called(
        streams.name("torch._utils", "_rebuild_parameter"),
        weight,
        streams.value(True),
        streams.called(streams.name("collections", "OrderedDict")),
    )
    hidden = streams.called(streams.name("builtins", "set"), streams.value(["hidden"]))
    inner = streams.module(
        _parameters=streams.table(weight=parameter, bias=b"N"),
        _buffers=streams.table(hidden=weight),
        _non_persistent_buffers_set=hidden,
    )
    outer = streams.module(_modules=streams.table(inner=inner))
    snapshot = read_snapshot(write(streams.snapshot(G=b"N", G_ema=outer, extra=b"K\x01")))
    (found,) = snapshot.networks["G_ema"].tensors.items()
    assert found[0] == "inner.weight"
    assert torch.equal(found[1], torch.tensor([[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]))
    assert snapshot.left_out == ("extra",)


@pytest.mark.parametrize(
    ("opcodes", "name"),
    [
        (streams.called(streams.name("os", "system"), streams.value("true")), "os.system"),
        (b"(X\x04\x00\x00\x00trueios\nsystem\n", "os.system"),  # INST
        (
            b"X\x0b\x00\x00\x00dnnlib.utilX\x11\x00\x00\x00EasyDict.__init__\x93",
            "EasyDict.__init__",
        ),
        (streams.name("torch.storage", "_load_from_bytes2"), "torch.storage._load_from_bytes2"),
        (streams.name("torch", "FloatStorage"), "torch.FloatStorage"),  # in tensors only
        (streams.name("a\x1b[31m", "b"), r"a\\x1b\[31m.b"),
    ],
)
def test_other_names_are_refused(write: Write, opcodes: bytes, name: str) -> None:
    with pytest.raises(Refused, match=name):
        read_snapshot(write(streams.snapshot(G_ema=opcodes)))


STATE_FOR_A_DICT = streams.called(streams.name("collections", "OrderedDict")) + b"}b"
SAME_MODULE_TWICE = b"}" + b"(" + streams.value("a") + streams.module() + b"q\x05"
SAME_MODULE_TWICE += streams.value("b") + b"h\x05u"


@pytest.mark.parametrize(
    ("opcodes", "reason"),
    [
        (b"\x82\x01", "opcode EXT1"),
        (streams.value("id") + b"Q", "outside the file"),
        (streams.value("no function") + b")R", "no function"),
        (STATE_FOR_A_DICT, "state is given to a dict"),
        (b"}()Nu", "a key is neither"),
        (b"h\x07", "do not fit together"),
        (streams.module(_parameters=streams.value({"w": 1})), "Tensor"),
        (streams.module(_modules=streams.value({"w": 1})), "a module belongs"),
        (streams.module(_init_args=streams.value((1,))), "unnamed"),
        (streams.module(_modules=SAME_MODULE_TWICE), "twice"),
    ],
)
def test_malformed_streams_are_refused(write: Write, opcodes: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=rf"network\.pkl cannot be read .*{reason}"):
        read_snapshot(write(streams.snapshot(G_ema=opcodes)))


def odd_storage(system: object) -> bytes:
    """A tensor's data whose parts are of types that no writer gives them."""
    parts = (streams.MAGIC, 1001, system, (1, "key", 0), ["key"])
    return b"".join(pickle.dumps(part, 2) for part in parts) + bytes(8)


@pytest.mark.parametrize(
    "weight",
    [
        streams.tensor(streams.storage([1.0, 2.0]), (1_000_000, 1_000_000), (0, 0)),
        streams.tensor(streams.storage([1.0, 2.0]), (2,), (1,), offset=1),
        streams.tensor(streams.storage([1.0, 2.0]), (2,), (-1,), offset=1),
        streams.tensor(streams.storage([1.0], count=2), (1,), (1,)),
        streams.tensor(streams.storage([1.0], kind="ComplexFloatStorage"), (1,), (1,)),
        streams.tensor(b"", (1,), (1,)),
        streams.tensor(odd_storage([]), (1,), (1,)),
        streams.tensor(odd_storage({"little_endian": True}), (1,), (1,)),
    ],
)
def test_tensors_that_exceed_their_data_are_refused(write: Write, weight: bytes) -> None:
    module = streams.module(_parameters=streams.table(weight=weight))
    with pytest.raises(Refused):
        read_snapshot(write(streams.snapshot(G_ema=module)))


def test_tensorflow_pickles_are_recognised(write: Write) -> None:
    network = b"\x80\x04\x8c\x15dnnlib.tflib.network\x8c\x07Network\x93)\x81."
    network = network.replace(b"\x8c\x15", b"\x8c\x14")
    with pytest.raises(Refused, match=r"TensorFlow pickle .*legacy\.py"):
        read_snapshot(write(network))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><title>Quota exceeded</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n", "begins like neither"),
        (b"PK\x03\x04", "PyTorch file, not"),
        (pickle.dumps([1, 2], 3), "none of G, D and G_ema"),
    ],
)
def test_files_that_are_no_pickles_are_recognised(
    write: Write, content: bytes, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        read_snapshot(write(content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"none\.pkl cannot be opened: No such file"):
        read_snapshot(tmp_path / "none.pkl")


@pytest.mark.parametrize("length", [1, 2, 100, 5_000, 100_000, GOOD.stat().st_size - 1])
def test_truncated_files_are_refused(write: Write, length: int) -> None:
    with pytest.raises(Refused, match=r"network\.pkl"):
        read_snapshot(write(GOOD.read_bytes()[:length]))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 90_000), st.binary(min_size=0, max_size=12), st.integers(0, 8)),
        min_size=1,
        max_size=4,
    )
)
def test_damage_ends_in_one_sentence(write: Write, edits: list[tuple[int, bytes, int]]) -> None:
    content = bytearray(GOOD.read_bytes())
    for position, replacement, removed in edits:
        content[position : position + removed] = replacement
    message = "."
    try:
        read_snapshot(write(bytes(content)))
    except BenchError as error:
        message = str(error)
    assert message.endswith(".")
    assert "\n" not in message
