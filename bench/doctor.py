"""What works on this machine: the core, optional parts, weights and folders, each really tried."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from bench.downloads import by_hand, data_folder, downloads, is_web_page, present, weights_folder
from bench.errors import BenchError

_SUITE = "gan-attribute-bench"
_CORE = {
    "accelerate": "accelerate",
    "click": "click",
    "filelock": "filelock",
    "jinja2": "jinja2",
    "joblib": "joblib",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "pillow": "PIL.Image",
    "pooch": "pooch",
    "pydantic": "pydantic",
    "requests": "requests",
    "rich": "rich",
    "safetensors": "safetensors.torch",
    "scikit-learn": "sklearn.decomposition",
    "scipy": "scipy.linalg",
    "tabulate": "tabulate",
}
_OPTIONAL = {
    "torchvision": ("torchvision.models", "extractors", "extractors alexnet and vgg16"),
    "torch-fidelity": ("torch_fidelity", "extractors", "extractor inception-v3-tf"),
    "lpips": ("lpips", "metrics", "LPIPS"),
    "torchmetrics": ("torchmetrics", "metrics", "PSNR and SSIM"),
    "lightgbm": ("lightgbm", "metrics", "dci:lightgbm"),
    "openTSNE": ("openTSNE", "metrics", "tsne_chamfer:opentsne"),
    "easypytorch3d": ("pytorch3d.loss", "pytorch3d", "pytorch3d backend of the Chamfer distance"),
    "open_clip_torch": ("open_clip", "clip", "names of directions by words of CLIP"),
    "torchfile": ("torchfile", "torch7", "reading of IcGAN's released .t7 files"),
    "h5py": ("h5py", "h5", "dataset 3dshapes (shapes3d is rendered)"),
    "tensorboard": ("torch.utils.tensorboard", "track", "TensorBoard logs"),
}
# What an import of a package that is there but broken ends with: native libraries that are
# missing (OSError), operators that do not fit the installed torch (RuntimeError) and the like.
_BROKEN_IMPORT = (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError)


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        group: ``core``, ``optional``, ``downloads`` or ``folders``.
        name: What was tried.
        status: ``ok``; ``absent``: not installed or not fetched, and nothing is wrong with that;
            ``broken``: there and not working.
        detail: The version or place, or why it does not work and what to do.
    """

    group: Literal["core", "optional", "downloads", "folders"]
    name: str
    status: Literal["ok", "absent", "broken"]
    detail: str


def examine() -> Iterator[Check]:
    """Try everything, core first; each check is given as soon as it is done."""
    yield _python()
    yield _suite()
    yield _torch()
    yield _device()
    for package, module in _CORE.items():
        yield _core_package(package, module)
    yield from _shipped_weights()
    for package, (module, extra, purpose) in _OPTIONAL.items():
        yield _optional_package(package, module, extra, purpose)
    yield from _fetched()
    for name, folder in _folders().items():
        yield _writable(name, folder)


def core_is_whole(checks: list[Check]) -> bool:
    """Whether every run of a shipped method on a shipped dataset can be expected to work."""
    return not any(check.group == "core" and check.status != "ok" for check in checks)


def _python() -> Check:
    enough = sys.version_info >= (3, 11)
    remedy = "" if enough else "; Python 3.11 or newer is needed"
    detail = f"{platform.python_version()} on {platform.platform()}{remedy}"
    return Check("core", "python", "ok" if enough else "broken", detail)


def _suite() -> Check:
    try:
        at = version(_SUITE)
    except PackageNotFoundError:
        return Check("core", _SUITE, "broken", "is not installed; run `make setup`")
    try:
        from bench.provenance import commit
    except _BROKEN_IMPORT:  # of torch, which has a line of its own
        return Check("core", _SUITE, "ok", at)
    found = commit()
    return Check("core", _SUITE, "ok", f"{at}, commit {found}" if found else at)


def _torch() -> Check:
    def convolve() -> str:
        import torch

        torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)).sum().item()
        return torch.__version__

    return _attempt("core", "torch", convolve, "install torch 2.6 or newer")


def _device() -> Check:
    def describe() -> str:
        import torch

        if torch.cuda.is_available():
            torch.ones(2, device="cuda").sum().item()
            names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            return f"cuda: {', '.join(names)} (CUDA {torch.version.cuda})"
        return f"cpu: {os.cpu_count()} cores, {torch.get_num_threads()} threads"

    return _attempt("core", "device", describe, "the CPU still works: give --device cpu")


def _core_package(package: str, module: str) -> Check:
    remedy = f"run `pip install --force-reinstall {package}`"
    return _attempt("core", package, lambda: _import(package, module), remedy)


def _optional_package(package: str, module: str, extra: str, purpose: str) -> Check:
    try:
        version(package)
    except PackageNotFoundError:
        detail = f'without it: no {purpose}; pip install "gan-attribute-bench[{extra}]"'
        return Check("optional", package, "absent", detail)
    remedy = f"so no {purpose}; constraints.txt names a version that works"
    return _attempt("optional", package, lambda: _import(package, module), remedy)


def _import(package: str, module: str) -> str:
    importlib.import_module(module)
    return version(package)


def _shipped_weights() -> Iterator[Check]:
    """Load what comes with the installation, as a run would."""

    def extractor() -> str:
        from bench.extractors import load_extractor

        return f"sha256 {load_extractor('efficientnet-lite0').sha256[:12]}"

    def generator() -> str:
        from bench.generators import load_generator

        return f"sha256 {load_generator('shapes3d-stylegan2').sha256[:12]}"

    def predictor() -> str:
        from bench.predictors import load_predictor

        return f"sha256 {load_predictor('shapes3d').sha256[:12]}"

    remedy = "reinstall the suite and its dependencies"
    yield _attempt("core", "extractor efficientnet-lite0", extractor, remedy)
    yield _attempt("core", "generator shapes3d-stylegan2", generator, remedy)
    yield _attempt("core", "predictor shapes3d", predictor, remedy)


def _fetched() -> Iterator[Check]:
    for entry in downloads():
        path = present(entry)
        if path is None:
            how = f"run `bench fetch {entry.name}`" if entry.url else by_hand(entry)
            yield Check("downloads", entry.name, "absent", how)
        elif is_web_page(path):
            remedy = f"delete it and run `bench fetch {entry.name}`"
            yield Check("downloads", entry.name, "broken", f"{path} is a web page; {remedy}")
        else:
            yield Check("downloads", entry.name, "ok", str(path))


def _folders() -> dict[str, Path]:
    return {"weights": weights_folder(), "data": data_folder(), "current folder": Path.cwd()}


def _writable(name: str, folder: Path) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        variable = {
            "weights": "; name another by $BENCH_WEIGHTS",
            "data": "; name another by $BENCH_DATA",
        }
        detail = f"{folder} cannot be written: {error.strerror or error}{variable.get(name, '')}"
        return Check("folders", name, "broken", detail)
    return Check("folders", name, "ok", f"{folder}, {free / 2**30:.1f} GiB free")


def _attempt(
    group: Literal["core", "optional"], name: str, trial: Callable[[], str], remedy: str
) -> Check:
    try:
        return Check(group, name, "ok", trial())
    except (*_BROKEN_IMPORT, BenchError) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return Check(group, name, "broken", f"{reason}; {remedy}")
