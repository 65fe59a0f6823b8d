"""Where a result came from: versions, the commit of the installed suite, the machine, the inputs.

The commit is that of the package that runs, as its installation records it (PEP 610), or of the
source tree it is imported from; the current folder plays no part. Nothing here names a person, a
host or a path.
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from pathlib import Path
from typing import Any

import torch

from bench.files import sha256_of

DISTRIBUTION = "gan-attribute-bench"
_PACKAGES = (
    DISTRIBUTION,
    "torch",
    "torchvision",
    "accelerate",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "safetensors",
    "torch-fidelity",
)


def collect(
    method: type,
    device: torch.device,
    dataset: str,
    weights: dict[str, str],
    processes: int = 1,
    artefacts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a result has to say about its making, ready for JSON.

    Args:
        method: The class under test.
        device: Where the run computes.
        dataset: The fingerprint of the dataset.
        weights: sha256 of all weights that were loaded, by what they are for.
        processes: How many processes train together.
        artefacts: What the run has of stages' artefacts, by stage.
    """
    return {
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "commit": commit(),
        "method": _source(method),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": _device_name(device),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "dataset": dataset,
        "weights": weights,
        "artefacts": dict(artefacts or {}),
    }


def commit() -> str | None:
    """The commit of the installed suite, with ``-dirty`` behind it where its files were changed.

    None if it cannot be known, as for an installation from a package index.
    """
    try:
        record = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        record = {}
    if "vcs_info" in record:
        return str(record["vcs_info"]["commit_id"])
    return _commit_of_source_tree(Path(__file__).resolve().parent)


def _commit_of_source_tree(package: Path) -> str | None:
    """The commit of the repository that tracks the package's own files, if one does.

    A virtual environment inside some repository is not part of it: its files are untracked.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        head = _git(package, "rev-parse", "HEAD")
        ours = (f"../{name}" for name in ("bench", "baselines", "metrics", "leaderboard"))
        changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", *ours)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _source(method: type) -> dict[str, str]:
    """Where the code of a method is from: its package and version, or the hash of its file."""
    module = method.__module__
    source = {"class": f"{module}:{method.__qualname__}"}
    for name in packages_distributions().get(module.partition(".")[0], ()):
        return {**source, "package": name, "version": _version(name) or "unknown"}
    file = inspect.getsourcefile(method)
    return {**source, "sha256": sha256_of(Path(file))} if file else source


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (CUDA {torch.version.cuda})"
    return f"{device.type} {_processor()}".strip()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if sys.platform == "linux" and information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
