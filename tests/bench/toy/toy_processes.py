"""Runs that several processes make together; imported by path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.running import RunOptions, execute
from bench.spec import RunSpec


def together(rank: int, count: int, port: int, runs: Sequence[tuple[Path, RunSpec]]) -> None:
    """One of ``count`` processes as ``torchrun`` would have started it."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
    }
    torch.set_num_threads(1)
    for root, spec in runs:
        execute(spec, RunOptions(root, device="cpu", quiet=True))
