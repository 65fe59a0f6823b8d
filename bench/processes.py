"""Processes: how several of them train together, and how one is asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast, broadcast_object_list
from torch import nn

from bench.errors import BenchError

_T = TypeVar("_T")


def process_state(device: str | None) -> PartialState:
    """Which of the processes that work together this one is, and its device.

    Args:
        device: ``cpu``, ``cuda``, or None for the best one present.

    Raises:
        BenchError: ``cuda`` is asked for and absent.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("--device cuda: torch sees no CUDA device; see bench doctor.")
    return PartialState(cpu=on_cpu(device))


def on_cpu(device: str | None) -> bool:
    """Whether to work on the CPU; Accelerate joins processes there only when it is told so.

    Accelerators without CUDA are passed over: Apple's, for one, has no float64.
    """
    return device == "cpu" or not torch.cuda.is_available()


def average_gradients(optimizer: torch.optim.Optimizer, accelerator: Accelerator) -> None:
    """Have the optimiser average its parameters' gradients over all processes before each step."""
    if accelerator.num_processes == 1:
        return

    def average(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = accelerator.reduce(flat, reduction="mean")
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    optimizer.register_step_pre_hook(average)


def share_state(module: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the main one's parameters and buffers.

    After training together the buffers differ, such as the statistics of batch norms.
    """
    if accelerator.num_processes == 1:
        return
    for tensor in module.state_dict().values():
        tensor.copy_(broadcast(tensor.contiguous()))


def by_main_process(find: Callable[[], _T], state: PartialState) -> _T:
    """What the main process finds, for all of them: they have to go the same way."""
    found: list[Any] = broadcast_object_list([find() if state.is_main_process else None])
    value: _T = found[0]
    return value


def agree(value: bool, accelerator: Accelerator) -> bool:
    """Whether any process says so: all of them must stop or save at the same step."""
    if accelerator.num_processes == 1:
        return value
    flag = torch.tensor(float(value), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum").item() > 0)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a flag, so that a step can be finished."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def request(number: int, frame: Any) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
