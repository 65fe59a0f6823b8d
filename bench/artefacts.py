"""What finished stages leave below the folder of all runs, so that each is trained once.

``<runs>/artefacts/<method>/<stage>-<hash>/`` holds ``artefact.json``, which says what the weights
were trained from, and ``weights.safetensors``. The hash covers all that decides the weights, those
that the stage started from, the artefacts before it and the code included: a run ends with the
same bits whether it trained the stage or took it.

Runs that need the same stage at the same time all train it, and the first that is done leaves it:
nobody waits for a run that may take days or be killed, and a folder appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import JsonValue
from torch import nn

from baselines.base import Stage
from bench import resume
from bench.downloads import artefacts_folder
from bench.errors import BenchError
from bench.stage_code import code_hash
from bench.stored_artefact import Record, RunOrigin, StageOrigin, StoredArtefact, write_artefact


class RunArtefacts:
    """The artefacts that one run takes and leaves.

    Args:
        root: The folder of all runs.
        origin: What all stages of the run share.
        given: Folders of artefacts to take whatever their hash, each for the stage it names.

    Attributes:
        used: What the run has trained, taken or been given so far, by stage.
    """

    def __init__(self, root: Path, origin: RunOrigin, given: Iterable[Path] = ()) -> None:
        self._folder, self._origin = artefacts_folder(root), origin
        stored = [StoredArtefact(folder) for folder in given]
        self._given = {one.record.origin.stage: one for one in stored}
        self._begun: dict[str, Any] | None = None  # of the stage under way
        self.used: dict[str, dict[str, Any]] = {}

    def require_fit(self, stages: Iterable[Stage]) -> None:
        """Refuse given artefacts that no stage can use, before anything is trained.

        Raises:
            BenchError: There is no such stage, or the artefact was trained for something else or
                on weights of an earlier stage that are not given.
        """
        if not self._given:
            return
        reusable = {stage.name: stage.artefact for stage in stages if stage.artefact is not None}
        for name, stored in self._given.items():
            if name not in reusable:
                raise BenchError(
                    f"The artefact {stored.folder} is of the stage {name}, and the stages of "
                    f"{self._origin.method} that take one here are: "
                    f"{', '.join(reusable) or 'none'}; leave it out."
                )
            stored.require_fit(self._origin, _as_json(reusable[name].settings))
            stored.require_origins(self._given)

    def find(self, stage: Stage, seconds: float, device: torch.device) -> StoredArtefact | None:
        """The artefact that stands for a stage that has not begun, or None: it is to be trained.

        Args:
            stage: The stage.
            seconds: What the run's training has taken so far.
            device: Where it would be trained.

        Raises:
            BenchError: The artefact is damaged.
        """
        if stage.artefact is None:
            return None
        if stage.name in self._given:
            return self._given[stage.name]
        origin = StageOrigin(
            run=self._origin,
            stage=stage.name,
            settings=_as_json(stage.artefact.settings),
            start=hashlib.sha256(_written(stage.artefact.module)).hexdigest(),
            after={name: used["sha256"] for name, used in self.used.items()},
            **_conditions(stage, stage.artefact.module, device),
        )
        self._begun = {"origin": origin.model_dump(mode="json"), "seconds": seconds}
        folder = self._folder / origin.folder
        return StoredArtefact(folder) if folder.exists() else None

    def take(self, stage: Stage, stored: StoredArtefact) -> dict[str, Any]:
        """Have a stage's weights from an artefact; returns what is noted of it.

        Raises:
            BenchError: The artefact is damaged, or of another network.
        """
        assert stage.artefact is not None
        stored.load_into(stage.artefact.module)
        self._begun = None
        how = "given" if stage.name in self._given else "taken"
        return self._note(how, stored.folder, stored.record)

    def leave(
        self, stage: Stage, seconds: float, device: torch.device, *, write: bool
    ) -> dict[str, Any] | None:
        """Leave what a stage has trained to later runs; returns what is noted of it.

        Nothing is left where an interrupted stage went on by other code or on another kind of
        device: no other run would come to these weights.

        Args:
            stage: The stage.
            seconds: What the run's training has taken so far.
            device: Where it was trained.
            write: Whether this is the process that writes.

        Raises:
            BenchError: The disk is full.
        """
        if stage.artefact is None or self._begun is None:
            return None
        origin = StageOrigin.model_validate(self._begun["origin"])
        weights = _written(stage.artefact.module)
        record = Record(
            origin=origin,
            sha256=hashlib.sha256(weights).hexdigest(),
            steps=stage.steps,
            seconds=round(seconds - self._begun["seconds"], 3),
        )
        folder = self._folder / origin.folder
        conditions = _conditions(stage, stage.artefact.module, device)
        if write and origin == origin.model_copy(update=conditions):
            write_artefact(folder, record, weights)
        self._begun = None
        return self._note("trained", folder, record)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep, as plain containers."""
        return {"used": self.used, "begun": self._begun}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.used = dict(state.get("used", {}))
        self._begun = state.get("begun")

    def _note(self, how: str, folder: Path, record: Record) -> dict[str, Any]:
        note = {
            "how": how,
            "name": folder.name,
            "sha256": record.sha256,
            "steps": record.steps,
            "seconds": record.seconds,
        }
        self.used[record.origin.stage] = note
        return note


def _written(module: nn.Module) -> bytes:
    """A network's parameters and buffers as the file that holds them."""
    return safetensors.torch.save(resume.tensors_of(module))


def _conditions(stage: Stage, module: nn.Module, device: torch.device) -> dict[str, str]:
    """What a stage is trained by, as fields of its origin."""
    code = code_hash(type(stage), *{type(part) for part in module.modules()})
    return {"code": code, "torch": torch.__version__, "device": device.type}


def _as_json(settings: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Settings as they are read back, so that tuples equal lists."""
    values: dict[str, JsonValue] = json.loads(json.dumps(dict(settings)))
    return values
