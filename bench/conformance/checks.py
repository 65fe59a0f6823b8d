"""What is checked of a method, in order: each check says what it found, or raises."""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Discoverer, Method, MethodConfig
from bench import resume
from bench.conformance.calls import SAMPLES, Call
from bench.conformance.subject import Skipped, Subject
from bench.errors import BenchError, counted, listed
from bench.files import read_json_lines
from bench.resolve import configured, load_method, load_track
from bench.resume import tensors_of
from leaderboard.vocabulary import PRESETS

_T = TypeVar("_T")
_NO_LOSSES = {"stage", "step", "total", "seconds", "waited"}  # what else a line of the log holds
_TOLERANCE = 1e-3  # of the largest output, or of 1: more than rounding differs between batches


class Broken(Exception):
    """What a check found wrong; with a remedy, if it knows one better than the check's own."""

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(found)
        self.remedy = remedy


@dataclass(frozen=True)
class Check(Generic[_T]):
    """A check: what it finds, or raises; and whether all after it need it."""

    name: str
    find: Callable[[_T], str]
    remedy: str
    essential: bool = False


def described(error: Exception, kind: type[Method]) -> str:
    """An error in one line, with the last line of the method's own file that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = inspect.getsourcefile(kind)
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    reason = " ".join(str(error).split())
    return f"{type(error).__name__}: {reason} ({Path(frame.filename).name}, line {frame.lineno})"


def _contract(kind: type[Method]) -> str:
    capability = load_track(kind.track).capability
    if not issubclass(kind, capability):
        raise Broken(f"the track {kind.track} asks for a {capability.__name__}")
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    if missing:
        raise Broken(f"{kind.__name__} does not define {listed(missing)}")
    if not issubclass(kind.Config, MethodConfig):
        raise Broken(f"{kind.__name__}.Config is no subclass of MethodConfig")
    lax = [
        what
        for key, value, what in (
            ("frozen", True, "settings to be changed later"),
            ("extra", "forbid", "settings that it does not know"),
        )
        if kind.Config.model_config.get(key) != value
    ]
    if lax:
        raise Broken(f"{kind.Config.__name__} allows {' and '.join(lax)}")
    return f"a {capability.__name__}, for the track {kind.track}"


def _settings(kind: type[Method]) -> str:
    short = [preset for preset in PRESETS if preset != "paper"]  # that one is the defaults
    unknown = [name for name in kind.presets if name not in short]
    if unknown:
        raise Broken(f"there is no preset {listed(unknown)}; the presets are {listed(short)}")
    for preset in PRESETS:
        stored = configured(kind, preset, {}, f"setting of the preset {preset}")
        try:
            again = kind.Config.model_validate(stored)
        except ValidationError as error:
            raise Broken(f"{preset}: settings written as JSON are refused: {error}") from error
        if again != kind.configure(preset):
            raise Broken(f"{preset}: settings written as JSON and read again are others")
    return f"{counted(len(kind.Config.model_fields), 'setting')}, valid in every preset"


def _construction(subject: Subject) -> str:
    differing = _differences(*(tensors_of(subject.build()) for _ in range(2)))
    if differing:
        raise Broken(f"two methods made with the same seed differ in {listed(differing)}")
    return f"made twice on {subject.spec.dataset} with the same weights"


def _stages(subject: Subject) -> str:
    method = subject.build()
    stages = list(method.stages(subject.data))
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise Broken(f"stages share a name: {', '.join(names)}", "Name each stage differently.")
    own = {id(parameter) for parameter in method.parameters()}
    for stage in stages:
        for name, optimizer in stage.optimizers.items():
            groups = optimizer.param_groups
            foreign = sum(id(one) not in own for group in groups for one in group["params"])
            if foreign:
                raise Broken(
                    f"the optimiser {name} of the stage {stage.name} trains "
                    f"{counted(foreign, 'tensor')} that the method does not own",
                    "Make what is trained a parameter or a submodule of the method: nothing else "
                    "is saved.",
                )
    steps = ", ".join(f"{stage.name} ({counted(stage.steps, 'step')})" for stage in stages)
    return steps or "none: nothing is trained"


def _losses(subject: Subject) -> str:
    subject.trained  # noqa: B018  # trains
    records = read_json_lines(subject.folder / "whole" / "log.jsonl")
    if not records:
        raise Skipped("nothing is trained")
    stages = subject.build().stages(subject.data)
    optimised = {stage.name for stage in stages if stage.optimizers}  # others may gather statistics
    names: set[str] = set()
    for record in records:
        losses = record.keys() - _NO_LOSSES
        if not losses and record["stage"] in optimised:
            raise Broken(f"the stage {record['stage']} reports no loss")
        names |= losses
    reported = ", ".join(sorted(names)) or "none"
    return f"{reported}: finite in {counted(records[-1]['total'], 'step')}"


def _seed(subject: Subject) -> str:
    differing = _differences(tensors_of(subject.trained), tensors_of(subject.train("again")))
    if differing:
        raise Broken(f"trained twice with the same seed, {listed(differing)} ended differently")
    return "trained twice, ended with the same bits"


def _resume(subject: Subject) -> str:
    stages = list(subject.build().stages(subject.data))
    stops = [(n, math.ceil(stage.steps / 2)) for n, stage in enumerate(stages) if stage.steps]
    if not stops:
        raise Skipped("nothing is trained")
    resumed = subject.train("interrupted", stops)
    differing = _differences(tensors_of(subject.trained), tensors_of(resumed))
    if differing:
        raise Broken(f"after an interruption, {listed(differing)} ended differently")
    return f"interrupted in {counted(len(stops), 'stage')}, ended with the same bits"


def _outputs(subject: Subject) -> str:
    method, before = subject.trained, subject.inputs.copy()
    count = getattr(method, "num_directions", None)
    if isinstance(method, Discoverer) and (not isinstance(count, int) or count < 1):
        raise Broken(f"num_directions is {count}", "Set num_directions to how many there are.")
    returned = subject.outputs(method)
    for call in subject.calls(method):
        _require_fit(call, returned[call.name])
    if not subject.inputs.equals(before):
        raise Broken("the tensors that were given have been changed", "Work on copies of them.")
    return f"{', '.join(returned)}: finite, of the right shape"


def _require_fit(call: Call, output: Any) -> None:
    if not isinstance(output, Tensor) or output.dtype != torch.float32:
        what = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise Broken(f"{call.name} returns {what}, not a float32 tensor")
    shape = tuple(output.shape)
    fits = shape[1:] == call.shape if call.shape is not None else len(shape) == 2
    if shape[:1] != (SAMPLES,) or not fits:
        wanted = "two dimensions" if call.shape is None else f"the shape {(SAMPLES, *call.shape)}"
        raise Broken(f"{call.name} returns the shape {shape} for {SAMPLES} samples, not {wanted}")
    if not torch.isfinite(output).all():
        raise Broken(f"{call.name} returns NaN or infinity")


def _repetition(subject: Subject) -> str:
    first, second = (subject.outputs(subject.trained) for _ in range(2))
    differing = _differences(first, second)
    if differing:
        raise Broken(f"two calls of {listed(differing)} on the same input differ")
    return "the same calls return the same"


def _batch(subject: Subject) -> str:
    method = subject.trained
    by_row = [call for call in subject.calls(method) if call.by_row]
    if not by_row:
        raise Skipped("nothing that the track asks for is a function of single samples")
    with torch.no_grad():
        for call in by_row:
            together = call.make(slice(None))
            alone = torch.cat([call.make(slice(n, n + 1)) for n in range(SAMPLES)])
            largest = (together - alone).abs().max().item()
            if not largest <= _TOLERANCE * max(1.0, together.abs().max().item()):
                raise Broken(f"{call.name} of a sample changes by {largest:.2g} with its batch")
    return f"{', '.join(call.name for call in by_row)}: of single samples as of a batch"


def _saving(subject: Subject) -> str:
    folder = subject.folder / "saved"
    resume.save(folder, subject.trained, {}, resume.Position())
    restored = subject.build()
    resume.load(folder, restored)
    differing = _differences(subject.outputs(subject.trained), subject.outputs(restored.eval()))
    if differing:
        raise Broken(f"saved and read back, {listed(differing)} returns something else")
    return "saved and read back, it returns the same"


def _messages(subject: Subject) -> str:
    kind, refused, accepted = load_method(subject.spec.method), 0, 0
    for name, value in subject.spec.config.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        try:
            subject.build(**configured(kind, "smoke", {name: -1}, f"setting of {kind.__name__}"))
            accepted += 1
        except BenchError as error:
            if "\n" in str(error) or not str(error):
                raise Broken(f"{name}=-1 is refused in no single sentence: {error}") from error
            refused += 1
        except Exception as error:
            raise Broken(f"{name}=-1 ends in {described(error, kind)}") from error
    if not refused + accepted:
        raise Skipped("it has no setting that is a number")
    return f"-1 is refused in one sentence by {refused} of {refused + accepted} numeric settings"


def _differences(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """Names of the tensors that are not the same."""
    names = dict.fromkeys([*one, *other])
    return [
        name
        for name in names
        if name not in one or name not in other or not one[name].equal(other[name])
    ]


CHECKS_OF_CLASS: tuple[Check[type[Method]], ...] = (
    Check(
        "contract",
        _contract,
        "Derive the method from the capability that its track asks for, define what that leaves "
        "open, and derive its Config from MethodConfig.",
        essential=True,
    ),
    Check(
        "settings",
        _settings,
        "Let Config hold plain values with defaults, and presets change them within their bounds.",
        essential=True,
    ),
)
CHECKS_OF_RUNS: tuple[Check[Subject], ...] = (
    Check(
        "construction",
        _construction,
        "Let __init__ take (config, data), draw first weights from torch's own generator only, and "
        "raise a ValueError of one sentence for data that it cannot work on.",
        essential=True,
    ),
    Check(
        "stages",
        _stages,
        "Let stages(data) yield stages with a name, a number of steps and named optimisers; it is "
        "called more than once.",
        essential=True,
    ),
    Check(
        "losses",
        _losses,
        "Let Stage.step return its losses by name, as finite scalar tensors.",
        essential=True,
    ),
    Check(
        "seed",
        _seed,
        "Take every random number from batch.draws or torch's own generator, none from numpy or "
        "random, and depend on no order of sets.",
    ),
    Check(
        "resume",
        _resume,
        "Keep what training changes in parameters, buffers and optimisers (Stage.optimizers): "
        "nothing else is in a checkpoint.",
    ),
    Check(
        "outputs",
        _outputs,
        "Return what baselines/base.py says of the capability.",
        essential=True,
    ),
    Check(
        "repetition",
        _repetition,
        "Draw nothing but from the draws that are given, and leave dropout to training.",
    ),
    Check(
        "batch",
        _batch,
        "Treat every sample by itself outside of training; normalise by no statistics of a batch.",
    ),
    Check(
        "saving",
        _saving,
        "Keep all that training leaves in parameters and buffers (register_buffer).",
    ),
    Check(
        "messages",
        _messages,
        "Bound the setting, as in Field(12, ge=1) of pydantic, or raise a ValueError of one "
        "sentence that names it.",
    ),
)
