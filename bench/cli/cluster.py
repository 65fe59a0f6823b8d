"""``bench cluster``: attributes for images that have none, by clustering their embeddings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.score_options import batch_size_option, device_option, seed_option

if TYPE_CHECKING:
    from bench.data.base import Dataset, Split
    from bench.embeddings import Encoder
    from bench.trained import Trained

_EXTRACTOR = "efficientnet-lite0"
_CLUSTERS = (3, 6, 10)


@click.command(
    epilog="""\b
Examples:
  bench cluster --dataset fashion-mnist --clusters 3 6 10
  bench cluster --dataset image-folder --data pets --set dataset.size=128 --limit 20000
  bench cluster --encoder runs/conditional/fashion-mnist/infoscc/small-s0-3f2a90c1d4
"""
)
@click.option(
    "--dataset", help="A name of `bench list datasets`.  [default: that of the run of --encoder]"
)
@click.option(
    "--clusters",
    multiple=True,
    type=int,
    help="How many clusters; several numbers, or once for each.  [default: 3 6 10]",
)
@click.argument("more_clusters", nargs=-1, type=int, metavar="[K]...")
@click.option(
    "--encoder",
    metavar="RUN",
    help="A finished run whose method has an encoder, such as infoscc: its folder, or the first "
    "digits of its hash.",
)
@click.option(
    "--extractor",
    help=f"A network of `bench list extractors` in its place.  [default: {_EXTRACTOR}]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="At most so many training and so many test images, evenly spread; others get no cluster.",
)
@click.option(
    "--layout",
    type=click.Choice(["tsne", "pca"]),
    default="tsne",
    show_default=True,
    help="How images are laid out in the figures; pca is faster.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the dataset, such as dataset.size=64. Can be repeated.",
)
@click.option(
    "--on-bad-image",
    type=click.Choice(["skip", "fail"]),
    help="What to do with an image file that cannot be read.  [default: the dataset's]",
)
@click.option("--data", type=click.Path(path_type=Path), help="Where the dataset lies.")
@click.option(
    "--runs", type=click.Path(path_type=Path), help="Where the runs lie.  [default: runs]"
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of labels, figures and embeddings.  [default: clusters/DATASET-ENCODER]",
)
@seed_option(0)
@batch_size_option("Images at a time.")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    dataset: str | None,
    clusters: tuple[int, ...],
    more_clusters: tuple[int, ...],
    encoder: str | None,
    extractor: str | None,
    limit: int,
    layout: Any,
    seed: int,
    batch_size: int,
    device: str | None,
    out: Path | None,
    runs: Path | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Make attributes for images by clustering their embeddings.

    Writes SPLIT_K.csv with the columns img and cluster for each part of the dataset and each number
    K, a figure for each K and one of scores against K, and report.json. Embeddings are kept in the
    same folder and used again. The training images are clustered by k-means; test images get the
    nearest centre.
    """
    from bench.cli.finding import find_result
    from bench.clustering import ClusterRequest, cluster_dataset
    from bench.errors import BenchError
    from bench.parts import Parts
    from bench.trained import load_trained

    if encoder and extractor:
        raise BenchError("--encoder and --extractor exclude each other; leave one of them out.")
    trained = load_trained(find_result(encoder, runs).parent, device) if encoder else None
    images = _open(dataset, trained, **where)
    network = _encoder(trained, extractor or _EXTRACTOR, device)
    folder = out or Path("clusters") / f"{images.name}-{network.name}"
    request = ClusterRequest(
        clusters=clusters + more_clusters or _CLUSTERS,
        seed=seed,
        layout=layout,
        batch_size=batch_size,
    )
    _tell_of_limit(images, limit)
    report = cluster_dataset(Parts(images, network.device, limit), network, request, folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **report}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(report, folder)))


def _open(
    name: str | None,
    trained: Trained | None,
    settings: tuple[str, ...],
    on_bad_image: str | None,
    data: Path | None,
) -> Dataset:
    """The dataset asked for; what is not said of a run's own dataset is as in the run."""
    from bench.catalog import lookup
    from bench.errors import BenchError
    from bench.parts import open_dataset
    from bench.resolve import pop_table
    from bench.spec import check_keys, parse_assignments

    asked = parse_assignments(settings)
    options = pop_table(asked, "dataset")
    check_keys(asked, [], "setting of a clustering")
    if on_bad_image:
        options["on_bad_image"] = on_bad_image
    own = trained.spec if trained else None
    if name is None and own is None:
        raise BenchError("--dataset is missing; `bench list datasets` shows what there is.")
    entry = lookup("datasets", name or (own.dataset if own else ""))
    if own is not None and entry.name == own.dataset:
        options = {**own.dataset_options, **options}
        data = data or (Path(own.data) if own.data else None)
    return open_dataset(entry.name, data, options)


def _encoder(trained: Trained | None, extractor: str, device: str | None) -> Encoder:
    from bench.embeddings import extractor_encoder, run_encoder
    from bench.extractors import load_extractor
    from bench.processes import process_state

    if trained is not None:
        return run_encoder(trained)
    return extractor_encoder(load_extractor(extractor, str(process_state(device).device)))


def _tell_of_limit(dataset: Dataset, limit: int) -> None:
    from bench.data.cluster_labels import reads_clusters

    parts: tuple[Split, ...] = ("train", "test")
    counts = {part: len(dataset.split(part)) for part in parts}
    if max(counts.values()) > limit:
        kept = {part: min(count, limit) for part, count in counts.items()}
        needed = f"; labels to train with need --limit {max(counts.values())}"
        click.echo(
            f"{kept['train']:,} of {counts['train']:,} training images and {kept['test']:,} of "
            f"{counts['test']:,} test images, evenly spread, get a cluster"
            f"{needed if reads_clusters(type(dataset)) else ''}.",
            err=True,
        )


def _lines(report: Mapping[str, Any], folder: Path) -> Iterator[str]:
    yield f"{report['dataset']} by {report['encoder']['name']}"
    scored = "classes" in report["clusterings"][0]
    titles = ["clusters", "silhouette", "Davies-Bouldin", "stability"]
    titles += ["purity", "NMI", "ARI"] if scored else []
    widths = [max(len(title), 5) for title in titles]
    yield _row([*titles, "sizes"], widths)
    for entry in report["clusterings"]:
        values = [entry["silhouette"], entry["davies_bouldin"], entry["stability"]]
        values += entry["classes"]["train"].values() if scored else []
        numbers = ("n/a" if value is None else f"{value:.3f}" for value in values)
        yield _row([str(entry["k"]), *numbers, " ".join(map(str, entry["sizes"]["train"]))], widths)
    yield f"labels   {folder / 'SPLIT_K.csv'}"
    yield f"figures  {', '.join(str(folder / name) for name in report['figures'])}"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells, all but the last of a width."""
    padded = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
    return "  ".join([*padded, cells[-1]])
