"""The metrics against other packages and the obvious ways: speed, memory, and equal results.

    python benchmarks/metrics.py                     # all of it, about half an hour
    python benchmarks/metrics.py --only dci --only chamfer --codes 200 --points 1000 --json

Both sides of a comparison take turns in one process with as many threads; the medians of their
times are compared. If results are too far apart, the program ends with 1. It prints a table, or
one JSON object:

- ``hashes``: dhash, phash and whash of RGB images in memory, against the package imagehash on PIL
  images. No bit differs but those of ties, which in imagehash are noise (``metrics.hashes``);
- ``frechet``: the Fréchet distance from means and covariances, against scipy's ``sqrtm`` and
  torch-fidelity's ``fid_statistics_to_metric``; variances range over four decades;
- ``extractor``, ``extractor-compiled``: features of a folder of PNG images by EfficientNet-Lite0,
  against torch-fidelity driving the plain network (as published, batch norms by themselves,
  contiguous) with its own reader; batches of 32 on both sides. Compiling is not timed;
- ``dci``: one process per thread, against the serial loop of disentanglement_lib over
  scikit-learn's gradient boosting, on 10 codes and the 6 factors of 3D Shapes;
- ``dci-lightgbm``: ``dci:lightgbm`` in as many processes against the same loop; three
  representations, each more entangled than the one before, have the same order in both;
- ``chamfer``: 3-D points in both directions, against scipy's ``cdist`` in blocks that serve both;
- ``memory``: peak memory of a process that computes a Fréchet distance of 2 x 4 N images (their
  pixels are the features), against one of 2 x N images; no growth is wanted. Linux only.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

# A script's imports are looked for in its own folder first, and there this file has the name of
# the package that it measures: they are looked for in the folder above instead. For the same reason
# it imports what is ours within functions.
_FOLDER = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != _FOLDER]
sys.path.insert(0, str(_FOLDER.parent))
if __name__ == "metrics":  # another script of this folder asked for the package; it gets it now
    del sys.modules["metrics"]
    importlib.import_module("metrics")

HASHES = ("dhash", "phash", "whash")
CARDINALITIES = np.array([10, 10, 10, 8, 4, 15])  # of the factors of 3D Shapes
ENTANGLEMENT = {"clean": 0.0, "medium": 0.17, "entangled": 1.0}  # share of random mixtures
BATCH_SIZE = 32
ALLOWED_GROWTH = 8.0  # MiB, for the allocator's whims; 30,000 images more have features of 88

Array = NDArray[np.float64]
Rows = Iterator["Comparison"]


@dataclass(frozen=True)
class Comparison:
    """A row of the table."""

    what: str  # was compared with what
    ours: float  # median seconds, or peak memory in MiB
    peer: float  # likewise
    wanted: float  # the least ratio of the peer's to ours
    results: str  # how far they are apart
    agree: bool  # whether that is near enough
    unit: str = "s"


def compare_hashes(repeats: int, hash_images: int, **_: int) -> Rows:
    """Perceptual hashes against imagehash."""
    import imagehash

    from metrics.hashes import perceptual_hashes

    batch, opened = make_pictures(hash_images, 128)

    def package() -> dict[str, list[Any]]:
        return {name: [getattr(imagehash, name)(one) for one in opened] for name in HASHES}

    (ours, found), (peer, expected) = side_by_side(
        repeats, lambda: perceptual_hashes(batch, HASHES), package
    )
    wrong = {name: found[name].numpy() != [one.hash for one in expected[name]] for name in HASHES}
    grey = np.stack([np.asarray(one.convert("L"), np.int64) for one in opened])
    sums = grey.reshape(-1, 8, 16, 8, 16).sum(axis=(2, 4))  # of 128 x 128 pixels: not resized
    ties = int((wrong["whash"] & (sums == np.median(sums, axis=(1, 2), keepdims=True))).sum())
    differing = sum(int(bits.sum()) for bits in wrong.values())
    what = f"{' + '.join(HASHES)} of {hash_images} images, imagehash"
    results = f"{differing} bits differ, {ties} of them ties"
    yield Comparison(what, ours, peer, 10.0, results, differing == ties)


def compare_frechet(repeats: int, dimensions: int, **_: int) -> Rows:
    """The Fréchet distance against two other ways to it."""
    from scipy.linalg import sqrtm
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    from metrics.frechet import frechet_distance

    first, second = (make_gaussian(dimensions, seed) for seed in (1, 2))
    size = np.trace(first["sigma"] + second["sigma"])

    def general_root() -> float:
        offset, product = first["mu"] - second["mu"], first["sigma"] @ second["sigma"]
        return float(offset @ offset + size - 2.0 * np.trace(sqrtm(product).real))

    (ours, found), *peers = side_by_side(
        repeats,
        lambda: frechet_distance(*first.values(), *second.values()),
        general_root,
        lambda: fid_statistics_to_metric(first, second, verbose=False)[KEY_METRIC_FID],
    )
    names = (("scipy's sqrtm", 10.0), ("torch-fidelity", 2.0))
    for (name, wanted), (peer, expected) in zip(names, peers, strict=True):
        what = f"Fréchet distance of {dimensions} dimensions, {name}"
        error = float(abs(found - expected) / size)
        yield Comparison(what, ours, peer, wanted, f"{error:.1e} of tr C1 + tr C2", error <= 1e-8)


def compare_extractor(repeats: int, images: int, compiled: bool = False, **_: int) -> Rows:
    """Features of EfficientNet-Lite0 from files."""
    from bench.data.image_folder import ImageFolder
    from bench.extractors import load_extractor, statistics_of
    from bench.extractors.efficientnet import published_weights
    from benchmarks.peers import plain_in_torch_fidelity

    extractor = load_extractor("efficientnet-lite0", compiled=compiled)
    published = published_weights().tensors
    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(make_pictures(images, 64)[1]):
            image.save(Path(folder, f"{number:06}.png"))
        (ours, found), (peer, expected) = side_by_side(
            repeats,
            lambda: statistics_of(ImageFolder(Path(folder)), extractor, ["pooled"], BATCH_SIZE),
            lambda: plain_in_torch_fidelity(folder, published, BATCH_SIZE),
        )
    error = float((found.pooled - expected).abs().max() / expected.abs().max())
    what = f"features of {images} images{' (compiled)' if compiled else ''}, plain network"
    wanted = 3.5 if compiled else 2.2
    yield Comparison(what, ours, peer, wanted, f"{error:.1e} of the largest", error <= 1e-5)


def compare_dci(repeats: int, codes: int, threads: int, **_: int) -> Rows:
    """DCI over factors in parallel and one by one."""
    from benchmarks.peers import serial_dci
    from metrics.disentanglement.dci import dci

    parts = make_representation("medium", codes)
    (ours, found), (peer, (importance, *accuracies)) = side_by_side(
        repeats, lambda: dci(*parts, n_jobs=threads), lambda: serial_dci(parts)
    )
    agree = accuracies == [found.informativeness_train, found.informativeness_test]
    agree = agree and np.array_equal(found.importance, importance)
    results = "identical" if agree else "importance or accuracies differ"
    yield Comparison(f"DCI of {codes} samples, serial DCI", ours, peer, 1.8, results, agree)


def compare_dci_lightgbm(repeats: int, codes: int, threads: int, **_: int) -> Rows:
    """``dci:lightgbm`` against ``dci``, and the order of three representations in both."""
    from benchmarks.peers import serial_dci
    from metrics.disentanglement.dci import dci

    def score(booster: Any, kind: str) -> float:
        parts = make_representation(kind, codes)
        return dci(*parts, booster=booster, n_jobs=threads).disentanglement

    (ours, _fast), (peer, _serial) = side_by_side(
        repeats,
        lambda: score("lightgbm", "medium"),
        lambda: serial_dci(make_representation("medium", codes)),
    )
    boosters = ("lightgbm", "gradient-boosting")
    fast, golden = ([score(booster, kind) for kind in ENTANGLEMENT] for booster in boosters)
    agree = np.array_equal(np.argsort(fast), np.argsort(golden))
    scores = ", ".join(f"{one:.2f} ({other:.2f})" for one, other in zip(fast, golden, strict=True))
    results = f"{'same' if agree else 'other'} order: {scores}"
    what = f"dci:lightgbm of {codes} samples, serial DCI"
    yield Comparison(what, ours, peer, 7.0, results, agree)


def compare_chamfer(repeats: int, points: int, threads: int, **_: int) -> Rows:
    """Nearest neighbours by a tree and by all distances."""
    from scipy.spatial.distance import cdist

    from metrics.chamfer import chamfer_pytorch3d

    first, second = np.random.default_rng(0).standard_normal((2, points, 3))

    def blocked() -> float:
        there, back = 0.0, np.full(points, np.inf)
        for start in range(0, points, 500):
            squares = cdist(first[start : start + 500], second, "sqeuclidean")
            there += squares.min(axis=1).sum()
            back = np.minimum(back, squares.min(axis=0))
        return float(there / points + back.mean())

    (ours, found), (peer, expected) = side_by_side(
        repeats, lambda: chamfer_pytorch3d(first, second, workers=threads), blocked
    )
    error = abs(found / expected - 1.0)
    what = f"Chamfer distance of {points} and {points} points, blocked cdist"
    yield Comparison(what, ours, peer, 10.0, f"{error:.1e} of the distance", error <= 1e-9)


def compare_memory(memory_images: int, **_: int) -> Rows:
    """Peak memory of a Fréchet distance from few and from many images."""
    sizes = (memory_images, 4 * memory_images)
    # A process for each, since a peak cannot be taken back.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        few, many = processes.map(peak_memory, sizes)
    what, growth = f"Fréchet distance of 2 x {sizes[1]} images, 2 x {sizes[0]} images", many - few
    yield Comparison(what, many, few, 1.0, f"{growth:+.1f} MiB", growth <= ALLOWED_GROWTH, "MiB")


def peak_memory(images: int) -> float:
    """Peak resident MiB of this process, a new one, which computes a Fréchet distance."""
    from bench.data.shapes3d import Shapes3D
    from bench.extractors.features import features_of, read_batches
    from metrics.frechet import frechet_distance

    network: Any = SimpleNamespace(
        vector_names=["pooled"],
        parameters=lambda: iter([torch.empty(0)]),  # they tell the device of a network
        vectors=lambda images, names: [images.flatten(1)],
    )
    dataset, generator = Shapes3D(16), torch.Generator().manual_seed(0)
    chosen = torch.randint(len(dataset), (2, images), generator=generator)
    sets = [features_of(read_batches(dataset, one, BATCH_SIZE), network) for one in chosen]
    frechet_distance(*(moment for one in sets for moment in (one.mean, one.covariance())))
    # The peak that getrusage tells begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def side_by_side(repeats: int, *works: Callable[[], Any]) -> list[tuple[float, Any]]:
    """Median seconds and last result of each work; they take turns, so that noise hits them all."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(1 + repeats):  # the first turn warms up
        results = []
        for work, taken in zip(works, seconds, strict=True):
            start = time.perf_counter()
            results.append(work())
            taken.append(time.perf_counter() - start)
    return [(median(taken[1:]), result) for taken, result in zip(seconds, results, strict=True)]


def make_pictures(count: int, size: int) -> tuple[Tensor, list[Image.Image]]:
    """Smooth images with some noise, uint8 (count, 3, size, size), and the same for Pillow."""
    generator = torch.Generator().manual_seed(0)
    coarse = 255.0 * torch.rand(count, 3, 6, 6, generator=generator)
    smooth = functional.interpolate(coarse, (size, size), mode="bicubic")
    noisy = smooth + 8.0 * torch.randn(smooth.shape, generator=generator)
    batch = noisy.clamp(0.0, 255.0).byte()
    return batch, [Image.fromarray(pixels) for pixels in batch.permute(0, 2, 3, 1).numpy()]


def make_gaussian(dimensions: int, seed: int) -> dict[str, Array]:
    """Mean and covariance of samples, 4000 for 2048 dimensions, by torch-fidelity's names."""
    generator = np.random.default_rng(seed)
    samples = max(4000 * dimensions // 2048, dimensions + 2)
    rotation = np.linalg.qr(generator.standard_normal((dimensions, dimensions)))[0]
    deviations = np.logspace(0.0, -2.0, dimensions)
    rows = (generator.standard_normal((samples, dimensions)) * deviations) @ rotation
    return {"mu": rows.mean(axis=0) + 0.1 * seed, "sigma": np.cov(rows, rowvar=False)}


def make_representation(kind: str, samples: int) -> tuple[Any, ...]:
    """Codes and factors to train with, and half as many to test."""
    generator = np.random.default_rng(0)
    factors = generator.integers(0, CARDINALITIES, (samples + samples // 2, len(CARDINALITIES)))
    share = ENTANGLEMENT[kind]
    mixing = (1.0 - share) * np.eye(len(CARDINALITIES), 10)
    mixing += share * generator.standard_normal(mixing.shape)
    codes = (factors / (CARDINALITIES - 1.0) - 0.5) @ mixing
    codes += generator.normal(0.0, 0.03, codes.shape)
    return codes[:samples], factors[:samples], codes[samples:], factors[samples:]


BENCHMARKS: dict[str, Callable[..., Rows]] = {
    "hashes": compare_hashes,
    "frechet": compare_frechet,
    "extractor": compare_extractor,
    "extractor-compiled": lambda **sizes: compare_extractor(compiled=True, **sizes),
    "dci": compare_dci,
    "dci-lightgbm": compare_dci_lightgbm,
    "chamfer": compare_chamfer,
    "memory": compare_memory,
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice([*BENCHMARKS]), help="Several are fine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1), help="Turns.")
@click.option("--threads", default=2, show_default=True, help="And processes of DCI.")
@click.option("--hash-images", default=1000, show_default=True, help="Of 128 x 128 pixels.")
@click.option("--dimensions", default=2048, show_default=True, help="Of the Fréchet distance.")
@click.option("--images", default=256, show_default=True, help="That features are extracted of.")
@click.option("--codes", default=5000, show_default=True, help="Training samples of DCI.")
@click.option("--points", default=10_000, show_default=True, help="Of each Chamfer set.")
@click.option("--memory-images", default=10_000, show_default=True, help="The N of memory.")
def main(only: tuple[str, ...], as_json: bool, **sizes: int) -> None:
    """Compare, print a table or JSON."""
    importlib.import_module("scipy.linalg")  # its threads have to be there to be limited
    torch.set_num_threads(sizes["threads"])
    rows: list[Comparison] = []
    with threadpool_limits(sizes["threads"]):
        for name in only or BENCHMARKS:
            click.echo(f"{name} ...", err=True)
            rows += BENCHMARKS[name](**sizes)
    if as_json:
        found = [{**asdict(row), "ratio": row.peer / row.ours} for row in rows]
        click.echo(json.dumps({**sizes, "comparisons": found}, indent=2, ensure_ascii=False))
    else:
        cells = []
        for row in rows:
            amounts = [f"{amount:.3g} {row.unit}" for amount in (row.ours, row.peer)]
            ratios = [f"{row.peer / row.ours:.1f}", f"{row.wanted:g}"]
            cells.append([row.what, *amounts, *ratios, row.results])
        headers = ("compared with", "ours", "peer", "ratio", "wanted", "results")
        click.echo(tabulate(cells, headers, tablefmt="github", disable_numparse=True))
    if not all(row.agree for row in rows):
        raise SystemExit("Results are further apart than they may be.")


if __name__ == "__main__":
    main()
