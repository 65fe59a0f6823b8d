"""Hand-made pickle streams in the layout of NVIDIA's network pickles."""

from __future__ import annotations

import pickle
import struct
from typing import Any

MAGIC = 0x1950A86A20F9469CFC6C
PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")


def value(content: Any) -> bytes:
    """The opcodes that push a plain value."""
    return pickle.dumps(content, 3)[2:-1]


def name(module: str, attribute: str) -> bytes:
    """The opcode that pushes a name."""
    return f"c{module}\n{attribute}\n".encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    """The opcodes that call a name."""
    return function + b"(" + b"".join(arguments) + b"tR"


def table(**entries: bytes) -> bytes:
    """The opcodes that push a dict."""
    return b"}(" + b"".join(value(key) + entry for key, entry in entries.items()) + b"u"


def module(**state: bytes) -> bytes:
    """A decorated module with the given state."""
    whole = {"_parameters": table(), "_buffers": table(), "_modules": table()} | state
    meta = table(class_name=value("Generator"), state=table(**whole))
    return called(name(*PERSISTENT), meta)


def snapshot(**entries: bytes) -> bytes:
    """A whole file."""
    return b"\x80\x03" + table(**entries) + b"."


def storage(
    numbers: list[float],
    location: str = "cpu",
    kind: str = "FloatStorage",
    count: int | None = None,
) -> bytes:
    """A tensor's data as the legacy format of torch.save has it."""
    count = len(numbers) if count is None else count
    identity = b"(" + value("storage") + name("torch", kind) + value("key")
    identity += value(location) + value(count) + b"NtQ"
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, system)]
    parts += [b"\x80\x02" + identity + b".", pickle.dumps(["key"], 2)]
    return b"".join(parts) + struct.pack("<q", count) + struct.pack(f"<{len(numbers)}f", *numbers)


def tensor(data: bytes, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """A tensor over a storage."""
    return called(
        name("torch._utils", "_rebuild_tensor_v2"),
        called(name("torch.storage", "_load_from_bytes"), value(data)),
        value(offset),
        value(size),
        value(stride),
        value(False),
        called(name("collections", "OrderedDict")),
    )
