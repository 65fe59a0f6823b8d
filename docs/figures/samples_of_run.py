"""Draw what a run of the conditional track shows of its samples, and a walk along one layer.

python docs/figures/samples_of_run.py SAMPLES.png TRAVERSAL.png LAYER RUN_FOLDER

They are the run's own figures ``samples.png`` and ``traversal-layer-LAYER.png``, drawn anew.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from baselines.base import ConditionalGenerator
from bench.figures import captioned
from bench.tracks.conditional_figures import Subject, draw_figures
from bench.tracks.conditional_workbench import ConditionalOptions
from bench.tracks.label_requests import LabelRequests
from bench.tracks.sampling import Sampler
from bench.trained import Trained, load_trained


def main(samples: Path, traversal: Path, layer: int, folder: Path) -> None:
    """Draw the figures of a run and keep two of them."""
    run = load_trained(folder, "cpu")
    with TemporaryDirectory() as drawn, captioned(str(run.spec)):
        _draw(run, Path(drawn))
        shutil.copyfile(Path(drawn) / "figures/samples.png", samples)
        shutil.copyfile(Path(drawn) / f"figures/traversal-layer-{layer}.png", traversal)


@torch.no_grad()
def _draw(run: Trained, folder: Path) -> None:
    assert isinstance(run.method, ConditionalGenerator)
    options = ConditionalOptions.model_validate(run.spec.track_options)
    dataset, seed = run.parts.dataset, run.spec.seed
    sampler = Sampler(
        run.method,
        (dataset.channels, dataset.size, dataset.size),
        len(dataset.attributes.names),
        seed=seed,
        batch_size=options.batch_size,
        device=torch.device("cpu"),
    )
    requests = LabelRequests(options.labels, run.parts.images("test"), seed)
    reach, steps = options.traversal_reach, options.traversal_steps
    draw_figures(Subject(sampler, requests, options.pictures, reach, steps, None), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
