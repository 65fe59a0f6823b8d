"""Golden cases: the suite's networks and quantities against stored values of the references.

A case is a folder with a ``meta.json`` whose ``kind`` names what to build, and tensors for what
goes in and what must come out. One function per kind builds it and returns what it got; this
module finds the cases, calls the functions and compares. Tolerances follow the fixtures' README:
where the meta states the rule "per tensor", ``max|got - expected| <= atol + rtol * max|expected|``,
elsewhere the same element by element. Integer tensors are equal, an expected NaN is a NaN.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import BenchError

CASE_MODULES = (
    "bench.verify.stylegan2",
    "bench.verify.checkpoints",
    "bench.verify.extractors",
    "bench.verify.fidelity",
    "bench.verify.contrafeat",
    "bench.verify.directions",
    "bench.verify.distributions",
    "bench.verify.disentanglement",
    "bench.verify.classification",
    "bench.verify.perceptual",
    "bench.verify.discovery",
    "bench.verify.hashes",
    "bench.verify.chamfer",
    "bench.verify.icgan",
    "bench.verify.stargan",
    "bench.verify.attgan",
    "bench.verify.infonce",
    "bench.verify.celeba",
    "bench.verify.pggan",
    "bench.verify.crg",
    "bench.verify.pioneer",
    "bench.verify.age",
    "bench.verify.vae_gan",
    "bench.verify.alpha_gan",
    "bench.verify.dcgan_face",
    "bench.verify.bigan",
    "bench.verify.eigengan",
    "bench.verify.simclr",
    "bench.verify.infoscc",
    "bench.verify.infoscc_training",
    "bench.verify.latentclr",
    "bench.verify.vae",
    "bench.verify.voynov",
)

Got = Mapping[str, Tensor | NDArray[Any] | float]


class CaseFailure(Exception):
    """A golden case that does not hold; the message says which tensor and by how much."""

    def __init__(self, message: str, max_error: float | None = None) -> None:
        super().__init__(message)
        self.max_error = max_error


class Case:
    """One folder of golden data.

    Attributes:
        folder: Where it lies.
        name: Its path below the folder that is verified.
        meta: The contents of ``meta.json``.
        kind: What to build, the name that case functions are registered under.
        config: The reference's settings.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self.folder = folder
        self.name = name or folder.name
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
        self.kind = str(self.meta.get("kind", ""))
        self.config: dict[str, Any] = self.meta.get("config") or {}

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """What goes in; empty where the case has no such file."""
        return self._load_if_present("inputs.safetensors")

    @cached_property
    def expected(self) -> dict[str, Tensor]:
        """What the reference returned; empty where the case has no such file."""
        return self._load_if_present("expected.safetensors")

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The reference's state dict under its own names; empty where there is none."""
        return self._load_if_present("weights.safetensors")

    def load_tensors(self, file: str) -> dict[str, Tensor]:
        """The tensors of a safetensors file of the case's folder."""
        return load_file(self.folder / file)

    def tolerance(self, key: str) -> tuple[float, float]:
        """Absolute and relative tolerance of one expected tensor."""
        own = self.meta.get("tolerances", {}).get(key)
        atol, rtol = own if own else (self.meta.get("atol", 0.0), self.meta.get("rtol", 0.0))
        return float(atol), float(rtol)

    @property
    def per_tensor(self) -> bool:
        """Whether the relative tolerance refers to the largest expected entry of a tensor."""
        return "max|expected|" in self.meta.get("tolerance_rule", "")

    def _load_if_present(self, file: str) -> dict[str, Tensor]:
        return self.load_tensors(file) if (self.folder / file).exists() else {}


CaseFunction = Callable[[Case], Got]


@dataclass(frozen=True)
class _Registered:
    function: CaseFunction
    skip: tuple[str, ...]


_REGISTRY: dict[str, _Registered] = {}


def case(*kinds: str, skip: tuple[str, ...] = ()) -> Callable[[CaseFunction], CaseFunction]:
    """Register a function that recomputes the expected tensors of one or more kinds.

    The function returns its values under the names of ``case.expected``; it may raise
    ``CaseFailure`` for what is no tensor (a file that had to be refused).

    Args:
        kinds: The ``kind`` of the metas that it handles.
        skip: Patterns of expected names that document something else and are not compared.
    """

    def register(function: CaseFunction) -> CaseFunction:
        for kind in kinds:
            if kind in _REGISTRY:
                raise ValueError(f"Two functions are registered for the golden kind {kind!r}.")
            _REGISTRY[kind] = _Registered(function, skip)
        return function

    return register


@dataclass(frozen=True)
class Outcome:
    """How one case ended; ``max_error`` is the largest absolute error, None if not comparable."""

    name: str
    kind: str
    status: Literal["passed", "failed", "unsupported"]
    max_error: float | None
    message: str


@dataclass(frozen=True)
class Report:
    """How all cases ended."""

    cases: tuple[Outcome, ...]

    def count(self, status: str) -> int:
        """How many cases ended so."""
        return sum(outcome.status == status for outcome in self.cases)

    def to_dict(self) -> dict[str, Any]:
        """The report as it is printed by ``bench verify --json``."""
        counts = {status: self.count(status) for status in ("passed", "failed", "unsupported")}
        return {**counts, "cases": [asdict(outcome) for outcome in self.cases]}


def verify(path: Path, on_outcome: Callable[[Outcome], None] | None = None) -> Report:
    """Run every golden case at or below a folder.

    Args:
        path: A folder; every folder in it that holds a ``meta.json`` is a case.
        on_outcome: Called after each case.

    Raises:
        BenchError: There is no case below the path.
    """
    load_case_modules()
    outcomes = []
    for found in find_cases(path):
        outcomes.append(run_case(found))
        if on_outcome:
            on_outcome(outcomes[-1])
    if not outcomes:
        raise BenchError(f"{path} holds no golden case: no folder in it has a meta.json.")
    return Report(tuple(outcomes))


def find_cases(path: Path) -> Iterator[Case]:
    """The cases at or below a folder, by name."""
    for meta in sorted(path.rglob("meta.json")):
        relative = meta.parent.relative_to(path).as_posix()
        try:
            yield Case(meta.parent, meta.parent.name if relative == "." else relative)
        except ValueError as error:
            raise BenchError(f"{meta} is not valid JSON: {error}.") from error


def run_case(golden: Case) -> Outcome:
    """Recompute one case and compare."""
    registered = _REGISTRY.get(golden.kind)
    if registered is None:
        message = f"no case function is registered for the kind {golden.kind!r}"
        return Outcome(golden.name, golden.kind, "unsupported", None, message)
    try:
        error = compare(golden, registered.function(golden), registered.skip)
    except CaseFailure as failure:
        return Outcome(golden.name, golden.kind, "failed", failure.max_error, str(failure))
    # One broken case must not hide the others, and a container that manages to end the process
    # (embedded code that raises SystemExit) is precisely what some cases look for.
    except (Exception, SystemExit) as failure:
        message = f"{type(failure).__name__}: {failure}"
        return Outcome(golden.name, golden.kind, "failed", None, message)
    return Outcome(golden.name, golden.kind, "passed", error, "")


def compare(golden: Case, got: Got, skip: tuple[str, ...] = ()) -> float:
    """The largest absolute error of what was got.

    Raises:
        CaseFailure: A tensor is missing, superfluous, of another shape, or out of tolerance.
    """
    wanted = {
        key: value
        for key, value in golden.expected.items()
        if not any(fnmatchcase(key, pattern) for pattern in skip)
    }
    missing, superfluous = wanted.keys() - got.keys(), got.keys() - golden.expected.keys()
    if missing:
        raise CaseFailure(f"no value was computed for {', '.join(sorted(missing))}")
    if superfluous:
        raise CaseFailure(f"the case expects no {', '.join(sorted(superfluous))}")
    return max((_error(golden, key, got[key], wanted[key]) for key in sorted(wanted)), default=0.0)


def load_case_modules() -> None:
    """Import the modules that register case functions."""
    for module in CASE_MODULES:
        importlib.import_module(module)


def _error(golden: Case, key: str, got: Tensor | NDArray[Any] | float, want: Tensor) -> float:
    found = _array(got)
    if found.size == 1 and want.numel() == 1:
        found = found.reshape(tuple(want.shape))
    if found.shape != tuple(want.shape):
        raise CaseFailure(f"{key}: shape {found.shape}, expected {tuple(want.shape)}")
    if not want.dtype.is_floating_point:
        different = int((found != want.numpy()).sum())
        if different:
            raise CaseFailure(f"{key}: {different} of {want.numel()} entries differ")
        return 0.0
    return _float_error(golden, key, found.astype(np.float64), want.double().numpy())


def _float_error(
    golden: Case, key: str, found: NDArray[np.float64], want: NDArray[np.float64]
) -> float:
    # Equal infinities and NaNs count as no error; one-sided ones as an infinite one.
    same = (found == want) | (np.isnan(found) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        errors = np.where(same, 0.0, np.abs(found - want))
    errors = np.where(np.isnan(errors), np.inf, errors)
    size = np.where(np.isfinite(want), np.abs(want), 0.0)
    atol, rtol = golden.tolerance(key)
    allowed = atol + rtol * (size.max(initial=0.0) if golden.per_tensor else size)
    excess = errors - allowed
    if excess.size and excess.max() > 0:
        worst = np.unravel_index(int(excess.argmax()), excess.shape)
        limit = float(np.broadcast_to(allowed, excess.shape)[worst])
        finite = float(errors[worst]) if np.isfinite(errors[worst]) else None
        raise CaseFailure(f"{key}: error {errors[worst]:.3g}, allowed {limit:.3g}", finite)
    return float(errors.max(initial=0.0))


def _array(value: Tensor | NDArray[Any] | float) -> NDArray[Any]:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return np.asarray(value)
