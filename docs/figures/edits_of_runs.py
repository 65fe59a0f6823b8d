"""Draw one test image as several runs of the editing track edit it, one row for each run.

python docs/figures/edits_of_runs.py OUT.png PLACE RUN_FOLDER ...

PLACE is the image's place in the test part of the runs' dataset, which they have to share.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from baselines.base import Attributes, Editor
from bench.figures import save_traversals
from bench.tracks.edits import asked_for, edit
from bench.trained import Trained, load_trained


def main(out: Path, place: int, folders: list[Path]) -> None:
    """Draw a row for each run, below the true edits where the dataset knows them."""
    runs = [load_trained(folder, "cpu") for folder in folders]
    test = runs[0].parts.images("test")
    image, source = test.batch(torch.tensor([place]))
    attributes = runs[0].parts.dataset.attributes
    rows = [_edits(run, image, source, attributes) for run in runs]
    names = [run.spec.method for run in runs]
    true = _true_edits(runs[0], place, image, source, attributes)
    if true is not None:
        rows, names = [true, *rows], ["true edit", *names]
    columns = ["input", *(name.replace("_", " ") for name in attributes.names)]
    title = f"{runs[0].spec.dataset}: each attribute inverted, or, of colours, switched on"
    save_traversals(torch.stack(rows), out, names, columns, title, column_title="")


@torch.no_grad()
def _edits(run: Trained, image: Tensor, source: Tensor, attributes: Attributes) -> Tensor:
    assert isinstance(run.method, Editor)
    targets = _targets(source, attributes)
    return torch.cat([image, *(edit(run.method, image, source, target) for target in targets)])


def _true_edits(
    run: Trained, place: int, image: Tensor, source: Tensor, attributes: Attributes
) -> Tensor | None:
    targets = torch.cat(_targets(source, attributes))
    test = run.parts.images("test")
    true = test.counterfactuals(torch.tensor([place] * len(targets)), targets)
    return None if true is None else torch.cat([image, true])


def _targets(source: Tensor, attributes: Attributes) -> list[Tensor]:
    """What each edit asks for; an image that has a colour already is asked for what it has."""
    asked = [asked_for(source, number, attributes)[1] for number in range(len(attributes.names))]
    return [target if len(target) else source for target in asked]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(folder) for folder in sys.argv[3:]])
