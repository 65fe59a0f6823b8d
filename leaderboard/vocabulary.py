"""Words that records are made of: the presets, and what a run is asked besides its settings."""

from __future__ import annotations

from typing import Literal, get_args

Preset = Literal["paper", "small", "smoke"]

PRESETS: tuple[str, ...] = get_args(Preset)
"""From the longest runs to the shortest, as tables are ordered."""

ASKED = (
    "generator",
    "predictor",
    "extractor",
    "limit",
    "precision",
    "checkpoint",
    "directions",
    "artefact",
)
"""Options of `bench run` that change what a run computes; a record keeps them in `overrides`."""
