"""3D Shapes: images rendered in a second, from kept views and without them.

    python benchmarks/shapes3d_rendering.py
    python benchmarks/shapes3d_rendering.py --size 128 --images 2000 --device cuda

Renders random scenes in batches with ``Shapes3D``, whose views are kept, and the first of them
again by tracing and colouring each one's rays from scratch, in one and the same run. The two agree
up to the kept views' 16-bit numbers, which is checked. Prints one JSON object:

- ``images_per_second``: with kept views, at least 1,500 at 64 pixels on 2 CPU cores;
- ``images_per_second_from_scratch``, and ``ratio`` of the two;
- ``seconds_for_all_views``: what keeping all 480 views costs, once for a process;
- ``megabytes_of_views``: what they take.

Set ``OMP_NUM_THREADS`` to fix the number of threads.
"""

from __future__ import annotations

import colorsys
import json
import time
from collections.abc import Callable

import click
import torch
from torch import Tensor
from torch.nn import functional

from bench.data.shapes3d import ORIENTATIONS, SCALES, SKY, Shapes3D
from bench.data.shapes3d_scene import trace

RAYS_PER_SIDE = 4  # of a pixel, as in Shapes3D


@click.command()
@click.option("--size", default=64, show_default=True, help="Pixels along each side.")
@click.option("--images", default=10_000, show_default=True, help="With kept views.")
@click.option("--from-scratch", default=50, show_default=True, help="Images without them.")
@click.option("--batch-size", default=64, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(size: int, images: int, from_scratch: int, batch_size: int, device: str) -> None:
    """Measure and print one JSON object."""
    dataset = Shapes3D(size, device)
    generator = torch.Generator().manual_seed(0)
    batches = torch.randint(len(dataset), (images,), generator=generator).split(batch_size)
    few = torch.cat(batches)[:from_scratch]

    def render_all() -> None:
        for batch in batches:
            dataset.batch(batch)

    views = _seconds(lambda: dataset.batch(torch.arange(480)), device)
    kept = images / _seconds(render_all, device)
    scratch = len(few) / _seconds(
        lambda: [render(one, size) for one in dataset.factors(few)], "cpu"
    )
    _check(dataset, few[:8])
    record = {
        "size": size,
        "threads": torch.get_num_threads(),
        "device": device,
        "images_per_second": round(kept),
        "images_per_second_from_scratch": round(scratch, 1),
        "ratio": round(kept / scratch, 1),
        "seconds_for_all_views": round(views, 2),
        "megabytes_of_views": round(480 * 21 * size**2 * 2 / 1e6),
    }
    click.echo(json.dumps(record, indent=2))


def render(factors: Tensor, size: int) -> Tensor:
    """One image (3, size, size) in [-1, 1] of factor indices (6,), ray by ray."""
    floor, wall, thing, scale, shape, orientation = factors.tolist()
    rays = trace(shape, SCALES[scale], ORIENTATIONS[orientation], size * RAYS_PER_SIDE)
    colours = (torch.tensor(colorsys.hsv_to_rgb(hue / 10, 1, 1)) for hue in (floor, wall, thing))
    floor_colour, wall_colour, object_colour = (colour[:, None, None] for colour in colours)
    seen = (
        floor_colour * rays.floor
        + wall_colour * rays.wall
        + object_colour * rays.object
        + rays.highlight
        + torch.tensor(SKY)[:, None, None] * rays.sky
    )
    return functional.avg_pool2d(seen.clamp(max=1), RAYS_PER_SIDE) * 2 - 1


def _check(dataset: Shapes3D, indices: Tensor) -> None:
    slow = torch.stack([render(one, dataset.size) for one in dataset.factors(indices)])
    torch.testing.assert_close(dataset.batch(indices)[0].cpu(), slow, atol=4e-3, rtol=0)


def _seconds(work: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
