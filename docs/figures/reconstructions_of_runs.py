"""Draw test images as several runs of the reconstruction track give them back, a row for each run.

python docs/figures/reconstructions_of_runs.py OUT.png COUNT RUN_FOLDER ...

The COUNT images are spread evenly over the test part of the dataset, which the runs have to share.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from baselines.base import Inverter
from bench.data.subset import evenly_spread
from bench.tracks.reconstruction_figures import save_reconstructions
from bench.trained import Trained, load_trained


def main(out: Path, count: int, folders: list[Path]) -> None:
    """Draw a row for each run, below the images."""
    runs = [load_trained(folder, "cpu") for folder in folders]
    test = runs[0].parts.images("test")
    images, _ = test.batch(evenly_spread(count, len(test)))
    rows = [("test images", images), *((run.spec.method, _restored(run, images)) for run in runs)]
    save_reconstructions(rows, out, f"{runs[0].spec.dataset}: decode(encode(image))")


@torch.no_grad()
def _restored(run: Trained, images: Tensor) -> Tensor:
    assert isinstance(run.method, Inverter)
    return run.method.decode(run.method.encode(images)).clamp(-1, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(folder) for folder in sys.argv[3:]])
