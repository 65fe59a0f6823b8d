"""How the training loop takes and leaves artefacts of stages, in all processes at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from baselines.base import Stage
from bench.artefacts import RunArtefacts
from bench.files import append_json
from bench.processes import agree, share_state
from bench.resume import Position


@dataclass(frozen=True)
class StageReuse:
    """What stands between the loop and the artefacts of its run.

    Attributes:
        artefacts: Those; None: all stages are trained, and nothing is left.
        accelerator: Which process this is, and its device.
        log: The run's log, in which what is taken or left is noted.
        quiet: Say nothing of what is taken.
    """

    artefacts: RunArtefacts | None
    accelerator: Accelerator
    log: Path
    quiet: bool

    def restore(self, position: Position) -> None:
        """Go on from what a checkpoint kept."""
        if self.artefacts is not None:
            self.artefacts.restore(position.artefacts)

    def noted(self, position: Position) -> Position:
        """A position with what a checkpoint has to keep of artefacts."""
        if self.artefacts is None:
            return position
        return replace(position, artefacts=self.artefacts.state())

    def take(self, stage: Stage, position: Position) -> bool:
        """Take what an earlier run has left of a stage, if there is such, and say so.

        Args:
            stage: One that has not begun.
            position: Where the training stands.

        Raises:
            BenchError: The artefact is damaged, or of another network.
        """
        if self.artefacts is None or stage.artefact is None:
            return False
        found = self.artefacts.find(stage, position.seconds, self.accelerator.device)
        if agree(found is None, self.accelerator) or found is None:
            return False
        self._log(stage, position, self.artefacts.take(stage, found))
        if not self.quiet and self.accelerator.is_local_main_process:
            sys.stderr.write(f"{stage.name}: not trained again, taken from {found.folder}\n")
        return True

    def leave(self, stage: Stage, position: Position) -> None:
        """Leave what a finished stage has trained to later runs.

        Raises:
            BenchError: The disk is full.
        """
        if self.artefacts is None or stage.artefact is None:
            return
        share_state(stage.artefact.module, self.accelerator)
        main, device = self.accelerator.is_main_process, self.accelerator.device
        note = self.artefacts.leave(stage, position.seconds, device, write=main)
        if note is not None:
            self._log(stage, position, note)

    def _log(self, stage: Stage, position: Position, note: Mapping[str, Any]) -> None:
        if self.accelerator.is_main_process:
            record = {"stage": stage.name, "total": position.total, "artefact": note}
            append_json(self.log, record)
