"""A pickle reader that cannot run anything: a small stack machine over the opcodes of a pickle.

``pickle.Unpickler`` calls what a stream names, so even a restricted one runs constructors and
state setters chosen by the file. Here a name in the stream is only looked up in the caller's
table, by its exact (module, name) pair; every other name, and every opcode outside the ones below,
stops the reading.
"""

from __future__ import annotations

import pickletools
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

# Whatever else a damaged stream makes of an opcode or of a function's arguments.
_MADE_OF_DAMAGE = (
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
)

# What a (module, name) stands for: a function that builds plain data, or a constant.
Names = Mapping[tuple[str, str], Any]


class ForeignName(ValueError):
    """The stream names something that is not in the table."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"{module}.{name}")
        self.module = module
        self.name = name


class MalformedPickle(ValueError):
    """The stream is cut off, damaged, or uses pickle in a way that checkpoints never do."""


class TakesState(ABC):
    """A value that the stream may go on to hand a state (opcode BUILD)."""

    @abstractmethod
    def set_state(self, state: Any) -> None:
        """Take the state."""


def read_pickle(
    stream: BinaryIO, names: Names, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """Read one pickle from ``stream``, up to and including its STOP opcode.

    Args:
        stream: Binary file at the first byte of the pickle (any protocol from 2 to 4).
        names: What each (module, name) that the stream may use stands for: a constant, or a
            function that gets the stream's arguments, checks them and returns plain data.
        persistent: What to build for a persistent id, or None where there can be none.

    Returns:
        The value: None, bool, int, float, str, bytes, list, tuple, dict, set, or what ``names``
        made. Keys of dicts and members of sets are str or int.

    Raises:
        ForeignName: The stream names something else.
        MalformedPickle: The stream is damaged or not a checkpoint's.
    """
    machine = _Machine(names, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.pop()
            machine.do(opcode.name, argument)
    except (ForeignName, MalformedPickle):
        raise
    except ValueError as error:  # of pickletools, which says where
        raise MalformedPickle(str(error)) from error
    except _MADE_OF_DAMAGE as error:
        raise MalformedPickle("its parts do not fit together") from error
    raise MalformedPickle("the stream ends before its end mark")


@dataclass(frozen=True)
class _Function:
    """A function of the table; the only thing that REDUCE and NEWOBJ accept."""

    build: Callable[..., Any]


@dataclass
class _Machine:
    names: Names
    persistent: Callable[[Any], Any] | None
    stack: list[Any] = field(default_factory=list)
    marked: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def do(self, opcode: str, argument: Any) -> None:
        if opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        elif opcode == "INST":
            raise ForeignName(*_split(argument))
        elif opcode not in _IGNORED:
            raise MalformedPickle(f"opcode {opcode} is used by no checkpoint")

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def push_name(self, module: str, name: str) -> None:
        if (module, name) not in self.names:
            raise ForeignName(module, name)
        value = self.names[module, name]
        self.stack.append(_Function(value) if callable(value) else value)

    def push_stacked_name(self) -> None:
        name, module = self.pop(), self.pop()
        if type(module) is not str or type(name) is not str:
            raise MalformedPickle("a name is not a text")
        self.push_name(module, name)

    def build(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not _Function or type(arguments) is not tuple:
            raise MalformedPickle("something that is no function is called")
        self.stack.append(function.build(*arguments))

    def set_state(self) -> None:
        state, target = self.pop(), self.stack[-1]
        if not isinstance(target, TakesState):
            raise MalformedPickle(f"a state is given to a {type(target).__name__}")
        target.set_state(state)

    def push_persistent(self) -> None:
        if self.persistent is None:
            raise MalformedPickle("it refers to data outside the file")
        self.stack.append(self.persistent(self.pop()))

    def set_items(self, pairs: list[Any]) -> None:
        target = _expect(dict, self.stack[-1])
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_key(key)] = value

    def memoize(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def pop_many(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def push_tuple(self, items: list[Any]) -> None:
        self.stack.append(tuple(items))


def _expect(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise MalformedPickle(f"a {kind.__name__} is missing")
    return value


def _key(value: Any) -> str | int:
    # Tuples as keys are refused too: hashing a deeply nested one exhausts the C stack.
    if type(value) is not str and type(value) is not int:
        raise MalformedPickle("a key is neither a text nor an integer")
    return value


def _split(pair: str) -> tuple[str, str]:
    module, _, name = pair.partition(" ")
    return module, name


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = frozenset(
    [
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "LONG4",
        "BINFLOAT",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "SHORT_BINSTRING",  # texts of Python 2
        "BINSTRING",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
    ]
)
_IGNORED = frozenset({"PROTO", "FRAME"})
_ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": lambda machine, _: machine.mark(),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_SET": lambda machine, _: machine.stack.append(set()),
    "TUPLE": lambda machine, _: machine.push_tuple(machine.pop_to_mark()),
    "TUPLE1": lambda machine, _: machine.push_tuple(machine.pop_many(1)),
    "TUPLE2": lambda machine, _: machine.push_tuple(machine.pop_many(2)),
    "TUPLE3": lambda machine, _: machine.push_tuple(machine.pop_many(3)),
    "APPEND": lambda machine, _: _append(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _append(machine, machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: _add(machine, machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_many(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "BINPUT": lambda machine, index: machine.memoize(index),
    "LONG_BINPUT": lambda machine, index: machine.memoize(index),
    "MEMOIZE": lambda machine, _: machine.memoize(len(machine.memo)),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "GLOBAL": lambda machine, pair: machine.push_name(*_split(pair)),
    "STACK_GLOBAL": lambda machine, _: machine.push_stacked_name(),
    "REDUCE": lambda machine, _: machine.build(),
    "NEWOBJ": lambda machine, _: machine.build(),
    "BUILD": lambda machine, _: machine.set_state(),
    "BINPERSID": lambda machine, _: machine.push_persistent(),
}


def _append(machine: _Machine, items: list[Any]) -> None:
    _expect(list, machine.stack[-1]).extend(items)


def _add(machine: _Machine, items: list[Any]) -> None:
    _expect(set, machine.stack[-1]).update(_key(item) for item in items)
