"""``bench score``: single metrics of one's own files, without a method or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from bench.cli.score_attributes import attributes
from bench.cli.score_contrast import contrast
from bench.cli.score_options import (
    as_json_option,
    batch_size_option,
    device_option,
    fake_option,
    feature_options,
    net_option,
    print_report,
    real_option,
    seed_option,
)

_SEED = 2020  # torch-fidelity's, for the scores that are defined by its draws
_CHAMFER_POINTS = 1000  # of each side


@click.group(
    epilog="""\b
Examples:
  bench score fd --real photos --fake samples
  bench score hashes photos reconstructions --json
"""
)
def command() -> None:
    """Take one metric of your own files: images, codes or labels.

    The numbers are those that tracks report, and say what they were measured with; numbers compare
    only where all of that is the same.
    """


@command.command(
    epilog="""\b
Examples:
  bench score fd --real photos --fake samples
  bench score fd --real photos --fake samples --extractor inception-v3-tf --limit 50000 --json
"""
)
@real_option
@fake_option
@feature_options()
@as_json_option
def fd(real: Path, fake: Path, as_json: bool, **features: Any) -> None:
    """Fréchet distance: FID on the extractor inception-v3-tf, else named after the extractor."""
    from bench.score.distributions import score_fd
    from bench.score.folders import FeatureOptions

    print_report(score_fd(real, fake, FeatureOptions(**features)), as_json)


@command.command(
    epilog="""\b
Examples:
  bench score kd --real photos --fake samples
  bench score kd --real photos --fake samples --subset-size 200 --seed 1
"""
)
@real_option
@fake_option
@feature_options()
@click.option(
    "--subsets",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many pairs of subsets are drawn.",
)
@click.option(
    "--subset-size",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="Images of a subset.",
)
@seed_option(_SEED)
@as_json_option
def kd(
    real: Path,
    fake: Path,
    subsets: int,
    subset_size: int,
    seed: int,
    as_json: bool,
    **features: Any,
) -> None:
    """Kernel distance: KID on the extractor inception-v3-tf, else named after the extractor."""
    from bench.score.distributions import score_kd
    from bench.score.folders import FeatureOptions

    options = FeatureOptions(**features)
    drawn = {"subsets": subsets, "subset_size": subset_size, "seed": seed}
    print_report(score_kd(real, fake, options, **drawn), as_json)


@command.command(
    "is",
    epilog="""\b
Examples:
  bench score is --fake samples --extractor inception-v3-tf
  bench score is --fake samples --splits 1
""",
)
@fake_option
@feature_options()
@click.option(
    "--splits",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Into how many parts the images are split.",
)
@seed_option(_SEED)
@as_json_option
def inception(fake: Path, splits: int, seed: int, as_json: bool, **features: Any) -> None:
    """Inception score, named after the extractor unless that is inception-v3-tf."""
    from bench.score.distributions import score_is
    from bench.score.folders import FeatureOptions

    print_report(score_is(fake, FeatureOptions(**features), splits=splits, seed=seed), as_json)


@command.command(
    epilog="""\b
Examples:
  bench score prdc --real photos --fake samples
  bench score prdc --real photos --fake samples --neighbours 3 --limit 10000
"""
)
@real_option
@fake_option
@feature_options()
@click.option(
    "--neighbours",
    type=click.IntRange(min=1),
    help="How many reach the edge of a ball.  [default: 3 for precision and recall, 5 for "
    "density and coverage]",
)
@as_json_option
def prdc(real: Path, fake: Path, neighbours: int | None, as_json: bool, **features: Any) -> None:
    """Precision, recall, density and coverage of generated images."""
    from bench.score.distributions import score_prdc
    from bench.score.folders import FeatureOptions

    print_report(score_prdc(real, fake, FeatureOptions(**features), neighbours=neighbours), as_json)


@command.command(
    epilog="""\b
Examples:
  bench score chamfer --real photos --fake samples
  bench score chamfer --real photos --fake samples --tsne opentsne --limit 5000
"""
)
@real_option
@fake_option
@feature_options(_CHAMFER_POINTS)
@click.option(
    "--tsne",
    type=click.Choice(["scikit-learn", "opentsne"]),
    default="scikit-learn",
    show_default=True,
    help="Whose t-SNE; openTSNE's makes another metric, under its own name.",
)
@seed_option(0)
@as_json_option
def chamfer(
    real: Path,
    fake: Path,
    tsne: Literal["scikit-learn", "opentsne"],
    seed: int,
    as_json: bool,
    **features: Any,
) -> None:
    """Chamfer distance of real and generated images in a joint t-SNE embedding.

    Both as InfoSCC-GAN released it (a sum, from real to generated) and as pytorch3d has it (means,
    both ways). The number of images is part of the metric.
    """
    from bench.score.distributions import score_chamfer
    from bench.score.folders import FeatureOptions

    if tsne == "scikit-learn":
        click.echo(
            "scikit-learn's t-SNE takes minutes for thousands of images; --tsne opentsne is faster "
            "and another metric.",
            err=True,
        )
    print_report(
        score_chamfer(real, fake, FeatureOptions(**features), tsne=tsne, seed=seed), as_json
    )


@command.command(
    epilog="""\b
Examples:
  bench score ppl --generator shapes3d-stylegan2 --samples 1000
  bench score ppl --generator stylegan2-ffhq-256 --interpolation slerp_any --json
"""
)
@click.option(
    "--generator",
    required=True,
    help="A name of `bench list generators`, or a .pkl, .pt or .safetensors.",
)
@net_option("vgg", "The network of LPIPS; published values are vgg's.")
@click.option(
    "--samples",
    type=click.IntRange(min=2),
    default=10_000,
    show_default=True,
    help="Paths between random codes.",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(min=0.0, max=1.0, min_open=True),
    default=1e-4,
    show_default=True,
    help="The step's share of a path.",
)
@click.option(
    "--interpolation",
    type=click.Choice(["lerp", "slerp_any"]),
    default="lerp",
    show_default=True,
    help="Along lines, or along arcs.",
)
@batch_size_option("Paths at a time, of two images each.")
@device_option
@seed_option(_SEED)
@as_json_option
def ppl(as_json: bool, **options: Any) -> None:
    """Perceptual path length of a generator: how fast images change between codes in Z."""
    from bench.score.path_length import score_ppl

    print_report(score_ppl(**options), as_json)


@command.command(
    epilog="""\b
Examples:
  bench score hashes photo.png reconstruction.png
  bench score hashes photos reconstructions --hash-size 16 --json
"""
)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--hash-size",
    type=click.Choice(["8", "16"]),
    default="8",
    show_default=True,
    help="Rows and columns of a hash.",
)
@as_json_option
def hashes(first: Path, second: Path, hash_size: str, as_json: bool) -> None:
    """Likeness of two images, or of images that have the same names in two folders.

    Similarity of dhash, phash and whash; MAE and MSE of pixels in [-1, 1]; PSNR and SSIM where
    torchmetrics is installed. --json has the hashes themselves, too.
    """
    from bench.score.pairs import score_hashes

    print_report(score_hashes(first, second, hash_size=int(hash_size)), as_json)


@command.command(
    epilog="""\b
Examples:
  bench score lpips photo.png reconstruction.png --net vgg
  bench score lpips photos reconstructions --net alex --json
"""
)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@net_option("alex", "Which of the published networks.")
@device_option
@as_json_option
def lpips(
    first: Path,
    second: Path,
    net: Literal["alex", "vgg", "squeeze"],
    device: str | None,
    as_json: bool,
) -> None:
    """Perceptual distance of two images, or of images that have the same names in two folders."""
    from bench.score.pairs import score_lpips

    print_report(score_lpips(first, second, net=net, device=device), as_json)


@command.command(
    epilog="""\b
Examples:
  bench score disentanglement codes.npy factors.npy --fast
  bench score disentanglement codes.npy factors.npy --metrics mig,dci,sap --json
"""
)
@click.argument("codes", type=click.Path(path_type=Path))
@click.argument("factors", type=click.Path(path_type=Path))
@click.argument("more_metrics", nargs=-1, metavar="[METRIC]...")
@click.option(
    "--metrics",
    help="mig, dci, dci:lightgbm, sap, modularity, explicitness, fvm and beta-vae, by commas or "
    "spaces.  [default: all but dci:lightgbm]",
)
@click.option("--fast", is_flag=True, help="Take dci:lightgbm instead of dci, another metric.")
@seed_option(0)
@as_json_option
def disentanglement(
    codes: Path,
    factors: Path,
    more_metrics: tuple[str, ...],
    metrics: str | None,
    fast: bool,
    seed: int,
    as_json: bool,
) -> None:
    """How disentangled CODES are (.npy, samples x codes), given FACTORS (samples x factors).

    Metrics that fit predictors fit them to two thirds of the samples and score them on the rest.
    """
    from bench.score.disentanglement import chosen_metrics, score_disentanglement

    named = [*(metrics or "").split(","), *more_metrics]
    names = chosen_metrics([name.strip() for name in named if name.strip()], fast)
    if "dci" in names:
        click.echo(
            "dci fits hundreds of trees for each factor, which takes minutes for thousands of "
            "samples; --fast takes a quick one of another name.",
            err=True,
        )
    print_report(score_disentanglement(codes, factors, names, seed=seed), as_json)


@command.command(
    epilog="""\b
Examples:
  bench score classification predicted.csv true.csv
  bench score classification predicted.csv true.csv --id image_id --signed --json
"""
)
@click.argument("predicted", type=click.Path(path_type=Path))
@click.argument("truth", type=click.Path(path_type=Path))
@click.option("--signed", is_flag=True, help="Labels are -1 and 1, as in the files of CelebA.")
@click.option("--id", "id_column", help="The column that names the samples, to match rows by.")
@click.option(
    "--zero-division",
    type=click.Choice(["0", "1"]),
    default="0",
    show_default=True,
    help="What 0 / 0 counts as, where an attribute neither occurs nor is predicted.",
)
@as_json_option
def classification(
    predicted: Path,
    truth: Path,
    signed: bool,
    id_column: str | None,
    zero_division: str,
    as_json: bool,
) -> None:
    """Accuracy and F1 of PREDICTED attributes: .csv with the columns of TRUTH, labels 0 and 1."""
    from bench.score.classification import score_classification

    report = score_classification(
        predicted,
        truth,
        signed=signed,
        zero_division=int(zero_division),
        id_column=id_column,
    )
    print_report(report, as_json)


command.add_command(attributes)
command.add_command(contrast)
