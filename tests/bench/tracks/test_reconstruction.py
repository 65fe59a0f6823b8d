"""The reconstruction track on stripes, whose brightnesses are the latent."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from baselines.base import Attributes, Inverter, MethodConfig
from baselines.randomness import Draws, normals
from bench.data.base import Dataset
from bench.data.subset import Subset
from bench.errors import BenchError, Diverged
from bench.tracks import Evaluation, EvaluationContext
from bench.tracks.reconstruction import ReconstructionTrack
from bench.tracks.reconstruction_figures import interpolation_grid
from tests.bench.extractors.toy import Quarters

SIZE, DIM, COUNT = 32, 4, 24


def stripes(z: Tensor) -> Tensor:
    rows = z.repeat_interleave(SIZE // DIM, dim=1)
    return rows[:, None, :, None].expand(-1, 3, -1, SIZE)


class Stripes(Dataset):
    name = "stripes"
    size = SIZE
    attributes = Attributes(())

    def __len__(self) -> int:
        return 2 * COUNT

    def split(self, name: str) -> Tensor:
        return torch.arange(COUNT) + (COUNT if name == "train" else 0)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return stripes(self.latents(indices)), torch.empty(len(indices), 0)

    def latents(self, indices: Tensor) -> Tensor:
        return normals(1, 0, len(self), DIM)[indices].mul(0.3).clamp(-0.9, 0.9)

    def fingerprint(self) -> str:
        return "e" * 64


class Perfect(Inverter):
    """Reads the stripes; its latents are ``scale`` times those of the dataset."""

    interpolation: ClassVar = "linear"

    def __init__(self, scale: float = 1.0) -> None:
        nn.Module.__init__(self)
        self.config, self.scale = MethodConfig(), scale

    def encode(self, images: Tensor) -> Tensor:
        return self.scale * images.mean(dim=(1, 3)).unflatten(1, (DIM, -1)).mean(dim=2)

    def decode(self, z: Tensor) -> Tensor:
        return stripes(z / self.scale)

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return self.scale * draws.normal("z", count, DIM).mul(0.3).clamp(-0.9, 0.9)


class Constant(Perfect):
    """Finds the same latent in all images, and paints the same grey from all latents."""

    def encode(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), DIM)

    def decode(self, z: Tensor) -> Tensor:
        return stripes(0.1 + torch.zeros_like(z))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> EvaluationContext:
    data = Stripes()
    return EvaluationContext(
        dataset=Subset(data, data.split("test")),
        generator=None,
        extractor=Quarters(),
        predictor=None,
        seed=0,
        preset="smoke",
        folder=tmp_path_factory.mktemp("run"),
        device=torch.device("cpu"),
        options={"samples": COUNT, "distribution_samples": COUNT, "batch_size": 7, "pictures": 2},
    )


def scores(found: Evaluation) -> dict[str, float | None]:
    return {measured.name: measured.value for measured in found.metrics}


@pytest.fixture(scope="module")
def perfect(context: EvaluationContext) -> Evaluation:
    return ReconstructionTrack().evaluate(Perfect(), context)


def test_a_perfect_inverter(perfect: Evaluation) -> None:
    found = scores(perfect)
    for prefix in ("", "generated_"):
        for name in ("dhash", "phash", "whash"):
            assert found[prefix + name] == 1.0
        for name in ("mae", "mse", "feature_distance:quarters"):
            assert found[prefix + name] == pytest.approx(0.0, abs=1e-6)
        assert found[prefix + "psnr"] == pytest.approx(100.0)
        assert found[prefix + "ssim"] == pytest.approx(1.0)
    for name in ("latent_error", "latent_mse", "dataset_latent_error", "dataset_latent_mse"):
        assert found[name] == pytest.approx(0.0, abs=1e-9)
    assert perfect.protocol["latents"]["of_dataset"] == "own"
    assert perfect.protocol["images"] == {"test": COUNT, "generated": COUNT}


def test_the_paper_s_scores_come_first_with_their_directions(perfect: Evaluation) -> None:
    first = [(one.name, one.higher_is_better) for one in perfect.metrics[:7]]
    hashes = [("dhash", True), ("phash", True), ("whash", True)]
    errors = [("mae", False), ("mse", False), ("latent_error", False)]
    assert first == [*hashes, *errors, ("fd:quarters", False)]
    assert all(one.interval is not None for one in perfect.metrics[:6])
    directions = {one.name: one.higher_is_better for one in perfect.metrics}
    assert directions["latent_mse"] is None
    assert directions["generated_ssim"]


def test_a_constant_inverter_has_known_errors(context: EvaluationContext) -> None:
    evaluation = ReconstructionTrack().evaluate(Constant(), context)
    found, data = scores(evaluation), Stripes()
    errors = data.latents(data.split("test")) - 0.1  # pixels of a stripe are its latent
    assert found["mae"] == pytest.approx(errors.abs().mean().item(), rel=1e-5)
    assert found["mse"] == pytest.approx(errors.square().mean().item(), rel=1e-5)
    assert found["generated_mae"] == 0.0  # one grey picture, painted again
    # Zero is not quite the mean of the latents that were drawn.
    assert found["latent_error"] == pytest.approx(1.0, abs=0.2)
    spread = evaluation.protocol["latents"]["prior_spread"]
    assert found["latent_mse"] == pytest.approx(found["latent_error"] * spread)
    assert found["dataset_latent_error"] is None  # not of this decoder
    assert evaluation.protocol["latents"]["of_dataset"] == "other"


def test_floors_are_those_of_the_same_images(perfect: Evaluation) -> None:
    floors, data = perfect.protocol["floors"], Stripes()
    test, train = (data.latents(data.split(part)) for part in ("test", "train"))
    errors = test - train.mean(dim=0)
    assert floors["mean_image"]["mae"] == pytest.approx(errors.abs().mean().item(), rel=1e-5)
    assert floors["mean_image"]["mse"] == pytest.approx(errors.square().mean().item(), rel=1e-5)
    # Twice the variance, but for the images that happen to be paired.
    twice = 2 * test.var(dim=0).mean().item()
    assert floors["random_pairs"]["mse"] == pytest.approx(twice, rel=0.3)
    assert set(floors["random_pairs"]) >= {"dhash", "phash", "whash", "mae"}


def test_relative_errors_do_not_know_the_scale_of_latents(context: EvaluationContext) -> None:
    class Sloppy(Perfect):
        def encode(self, images: Tensor) -> Tensor:
            return 0.5 * super().encode(images)

    one, large = (ReconstructionTrack().evaluate(Sloppy(scale), context) for scale in (1.0, 100.0))
    assert scores(large)["latent_error"] == pytest.approx(scores(one)["latent_error"], rel=1e-4)
    assert scores(large)["latent_mse"] == pytest.approx(1e4 * scores(one)["latent_mse"], rel=1e-4)
    assert scores(one)["dataset_latent_error"] == pytest.approx(0.25, rel=0.2)
    assert scores(large)["dataset_latent_error"] is None  # another scale is another space


def test_scores_repeat_and_do_not_depend_on_the_batch(
    perfect: Evaluation, context: EvaluationContext
) -> None:
    again = ReconstructionTrack().evaluate(Perfect(), context)
    assert again.metrics == perfect.metrics
    assert {**again.protocol, "speed": 0} == {**perfect.protocol, "speed": 0}
    whole = replace(context, options={**context.options, "batch_size": COUNT})
    for one, other in zip(
        ReconstructionTrack().evaluate(Perfect(), whole).metrics, perfect.metrics, strict=True
    ):
        assert one.value == pytest.approx(other.value, rel=1e-4, abs=1e-6)


def test_slow_encoders_get_fewer_images_in_the_same_table(
    perfect: Evaluation, context: EvaluationContext
) -> None:
    class Slow(Perfect):
        most_images, steps_per_image = 6, 300

        def encode(self, images: Tensor) -> Tensor:
            assert len(images) <= 7
            return super().encode(images)

    found = ReconstructionTrack().evaluate(Slow(), context)
    assert found.protocol["images"] == {"test": 6, "generated": 6}
    assert found.protocol["speed"]["steps_per_image"] == 300
    assert found.protocol["speed"]["encode_images_per_second"] > 0
    assert [one.identity for one in found.metrics] == [one.identity for one in perfect.metrics]


def test_resizing_is_part_of_what_scores_depend_on(context: EvaluationContext) -> None:
    data = Stripes()
    data.resizing = "by hand"
    data.latents = lambda indices: None  # type: ignore[method-assign]
    data.batch = Stripes().batch  # type: ignore[method-assign]
    resized = replace(context, dataset=Subset(data, data.split("test")))
    found = ReconstructionTrack().evaluate(Perfect(), resized)
    assert found.protocol["resizing"] == "by hand"
    assert found.metrics[0].identity == {"size": SIZE, "resizing": "by hand"}
    assert found.protocol["latents"]["of_dataset"] == "unknown"
    assert "dataset_latent_error" not in scores(found)


def test_figures(perfect: Evaluation, context: EvaluationContext) -> None:
    names = ("reconstructions", "interpolation", "samples")
    assert perfect.figures == [f"figures/{name}.png" for name in names]
    assert all((context.folder / figure).stat().st_size > 1000 for figure in perfect.figures)


@pytest.mark.parametrize("how", ["linear", "spherical"])
def test_interpolations_reach_their_corners(how: str) -> None:
    corners = normals(0, 0, 4, DIM)
    grid = interpolation_grid(corners, 3, how)
    assert grid.shape == (3, 3, DIM)
    torch.testing.assert_close(grid[[0, 0, -1, -1], [0, -1, 0, -1]], corners)
    if how == "linear":
        torch.testing.assert_close(grid[1, 1], corners.mean(dim=0))


class BadLatents(Perfect):
    def encode(self, images: Tensor) -> Tensor:
        return super().encode(images) * torch.nan


class BadImages(Perfect):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z) / 0


class Maps(Perfect):
    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return super().sample_latents(count, draws)[:, :, None, None]


class Longer(Perfect):
    def encode(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), DIM + 1)


class Smaller(Perfect):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z)[..., ::2, ::2]


class Stuck(Perfect):
    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return torch.zeros(count, DIM)


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        (BadLatents(), Diverged, "Latents of encode by BadLatents are NaN or infinite; train"),
        (BadImages(), Diverged, "Images decoded by BadImages are NaN or infinite"),
        (Maps(), BenchError, r"sample_latents made latents .* \(1, 4, 1, 1\) .* \(1, D\); an Inv"),
        (Longer(), BenchError, r"Longer.encode made latents of shape \(7, 5\) .* of \(7, 4\)"),
        (Smaller(), BenchError, r"shape \(7, 3, 16, 16\) where .* \(7, 3, 32, 32\); .*dataset.siz"),
        (Stuck(), BenchError, "prior cannot be judged: The latents are all the same"),
        (nn.Identity(), BenchError, "has to be an Inverter, with encode, decode and sample_latent"),
    ],
)
def test_bad_methods(
    method: nn.Module, error: type[BenchError], message: str, context: EvaluationContext
) -> None:
    data = Stripes()
    data.latents = lambda indices: None  # type: ignore[method-assign]
    data.batch = Stripes().batch  # type: ignore[method-assign]
    unknown = replace(context, dataset=Subset(data, data.split("test")))
    with pytest.raises(error, match=message):
        ReconstructionTrack().evaluate(method, unknown)  # type: ignore[arg-type]


def test_bad_parts(context: EvaluationContext) -> None:
    track = ReconstructionTrack()
    with pytest.raises(BenchError, match="needs a feature extractor; name one by --extractor"):
        track.evaluate(Perfect(), replace(context, extractor=None))
    single = Subset(Stripes(), torch.arange(1))
    with pytest.raises(BenchError, match="has 1 test image, and takes at least 2"):
        track.evaluate(Perfect(), replace(context, dataset=single))
    options = {**context.options, "inception_splits": COUNT + 1}
    with pytest.raises(BenchError, match=r"has 24 test images, .* track.inception_splits=25"):
        track.evaluate(Perfect(), replace(context, options=options))
