"""Readers of foreign checkpoints; none of them executes anything in a file."""

from __future__ import annotations

from bench.checkpoints.convert import ConversionReport, convert, read_checkpoint, read_generator
from bench.checkpoints.generator_file import write_generator_file

__all__ = [
    "ConversionReport",
    "convert",
    "read_checkpoint",
    "read_generator",
    "write_generator_file",
]
