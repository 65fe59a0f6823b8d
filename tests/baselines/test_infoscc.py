from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.base import Attributes, Batch, Stage, TrainingData
from baselines.infoscc import GeneratorStage, InfoSCCGAN
from baselines.infoscc_config import PRESETS, InfoSCCConfig
from baselines.infoscc_losses import classification_loss, discriminator_loss, generator_loss
from baselines.nets.infoscc import PatchDiscriminator, patch_map_size
from baselines.randomness import Draws, data_order, uniforms
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "conditional"
COLOURS = Attributes(("red", "green", "blue"), (("red", "green", "blue"),), classes=True)
MARKS = Attributes(("red", "green", "blue"), (("red", "green", "blue"),))
TINY: dict[str, Any] = {
    "encoder_base": "resnet10",
    "encoder_width": 4,
    "encoder_stem": "strided",
    "projection_width": 8,
    "encoder_iterations": 3,
    "encoder_batch_size": 16,
    "classifier_iterations": 3,
    "classifier_batch_size": 32,
    "iterations": 6,
    "batch_size": 8,
    "epsilon_dim": 5,
    "mapped_dim": 6,
    "n_basis": 3,
    "base_channels": 4,
    "max_channels": 8,
    "patch_width": 4,
    "patch_layers": 2,
    "penalty_interval": 4,
}


class Squares:
    """Red, green or blue squares of 16 x 16 pixels at various places, in given shares."""

    def __init__(self, shares: tuple[float, ...] = (0.4, 0.3, 0.3), count: int = 120) -> None:
        self.count, self.bounds = count, torch.tensor(shares).cumsum(0)[:-1]

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        labels = self.labels(indices)
        places = (uniforms(3, 0, len(self), 3)[indices, 1:] * 6).long()
        images = torch.full((len(indices), 3, 16, 16), -0.8)
        for i, (x, y) in enumerate(places.tolist()):
            images[i, labels[i].argmax(), y : y + 10, x : x + 10] = 0.9
        return images, labels

    def labels(self, indices: Tensor) -> Tensor:
        shares = uniforms(3, 0, len(self), 3)[indices, 0]
        return F.one_hot(torch.bucketize(shares.contiguous(), self.bounds), 3).float()


def data(attributes: Attributes = COLOURS, **changes: Any) -> TrainingData:
    return TrainingData(Squares(**changes), attributes, 16, 3)


def make(attributes: Attributes = COLOURS, **changes: Any) -> InfoSCCGAN:
    torch.manual_seed(1)
    return InfoSCCGAN(InfoSCCConfig(**{**TINY, **changes}), data(attributes))


def generator_stage(method: InfoSCCGAN) -> GeneratorStage:
    stage = list(method.stages(data(COLOURS if method.classes else MARKS)))[-1]
    assert isinstance(stage, GeneratorStage)
    return stage


def take(stage: Stage, train: Squares, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        batch = Batch(step, Draws(7, step, 0, 1))
        if stage.batch_size:
            indices = data_order(5, step * stage.batch_size, stage.batch_size, len(train))
            batch.images, batch.attributes = train.batch(indices)
        reports.append(stage.step(batch))
        for average in stage.averages:
            average.update(step)
    return reports


@pytest.mark.parametrize(
    "name",
    [
        "adversarial_losses",
        "diffaugment",
        "discriminator_global",
        "discriminator_multiclass",
        "discriminator_patch_actnorm_init",
        "discriminator_patch_bn",
        "ema",
        "generator_multi_label",
        "parameter_counts",
        "training_loop_one_hot",
    ],
)
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / f"infoscc_{name}"))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_samples_learn_to_follow_their_labels() -> None:
    method = make(
        encoder_iterations=10,
        classifier_iterations=150,
        classifier_rate=0.03,
        iterations=60,
        batch_size=16,
        epsilon_dim=2,
        n_basis=1,
        learning_rate=5e-3,
        classification_interval=1,
        classification_weight=10.0,
        average_half_life=50,
    ).train()
    reports = [take(stage, Squares(), range(stage.steps)) for stage in method.stages(data())]
    assert reports[1][-1]["accuracy"] > 0.9
    labels = torch.eye(3).repeat_interleave(8, dim=0)
    with torch.no_grad():
        judged = method.eval().classify(method.sample(labels, Draws(3, 0, 0, 1)))
    assert (judged.argmax(dim=1) == labels.argmax(dim=1)).float().mean() > 0.85


def test_an_image_depends_on_its_own_label_and_latents() -> None:
    method = make().eval()
    labels, latents = torch.eye(3), method.sample_latents(3, Draws(1, 0, 0, 1))
    with torch.no_grad():
        images = method.generate(labels, latents)
        alone = torch.cat(
            [method.generate(labels[i : i + 1], latents[i : i + 1]) for i in (0, 1, 2)]
        )
        other = method.generate(labels.roll(1, 0), latents)
        assert torch.equal(method.sample(labels, Draws(1, 0, 0, 1)), images)
    assert images.shape == (3, 3, 16, 16)
    assert images.abs().max() <= 1
    torch.testing.assert_close(alone, images, rtol=1e-5, atol=1e-6)
    assert (other - images).flatten(1).abs().amax(dim=1).min() > 1e-4


def test_axes_are_the_dimensions_of_the_subspaces() -> None:
    method = make().eval()
    axes = method.axes()
    assert [(axis.layer, axis.dimension) for axis in axes] == [
        (i, j) for i in (0, 1) for j in range(3)
    ]
    assert [axis.column for axis in axes] == list(range(5, 11))  # behind the noise
    assert [axis.importance for axis in axes] == [9, 6, 3] * 2
    labels, latents = torch.eye(3)[:1], method.sample_latents(1, Draws(1, 0, 0, 1))
    with torch.no_grad():
        for axis in axes:
            moved = latents.clone()
            moved[:, axis.column] += 3
            assert (method.generate(labels, moved) != method.generate(labels, latents)).any()


@pytest.mark.parametrize("attributes", [COLOURS, MARKS])
def test_classify_gives_probabilities(attributes: Attributes) -> None:
    method = make(attributes).eval()
    images = Squares().batch(torch.arange(4))[0]
    with torch.no_grad():
        found = method.classify(images)
        alone = method.classify(images[:1])
        assert method.features(images).shape == (4, method.encoder.feature_width)
    assert found.shape == (4, 3)
    torch.testing.assert_close(alone, found[:1])
    if attributes.classes:
        torch.testing.assert_close(found.sum(dim=1), torch.ones(4))
    else:
        torch.testing.assert_close(found, method.logits(images).sigmoid())


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    options = {"discriminator": "patch", "patch_norm": "actnorm"}
    whole = make(**options).train()
    take(generator_stage(whole), Squares(), range(6))
    first = make(**options).train()
    stage = generator_stage(first)
    take(stage, Squares(), range(3))
    second = make(**options).train()
    second.load_state_dict(first.state_dict())
    resumed = generator_stage(second)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, Squares(), range(3, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_each_update_comes_at_its_interval_and_leaves_the_judges_alone() -> None:
    method = make(classification_interval=3, penalty_interval=2).train()
    judges = (method.encoder, method.classifier)
    before = [value.clone() for judge in judges for value in judge.state_dict().values()]
    reports = take(generator_stage(method), Squares(), range(6))
    assert ["classification" in report for report in reports] == [True, False, False] * 2
    assert ["penalty" in report for report in reports] == [True, False] * 3
    after = [value for judge in judges for value in judge.state_dict().values()]
    assert all(map(torch.equal, before, after))
    trained = {name for name, value in method.named_parameters() if value.requires_grad}
    averaged = {name for name, _ in method.named_parameters() if name.startswith("average.")}
    assert trained == {name for name, _ in method.named_parameters()} - averaged


@pytest.mark.parametrize("loss", ["hinge", "non-saturating", "lsgan"])
@pytest.mark.parametrize("discriminator", ["global", "multiclass", "patch"])
def test_every_pair_of_discriminator_and_loss_trains(discriminator: str, loss: str) -> None:
    method = make(discriminator=discriminator, loss=loss).train()
    before = [value.clone() for value in method.discriminator.parameters()]
    (report,) = take(generator_stage(method), Squares(), range(1))
    assert torch.isfinite(torch.stack(list(report.values()))).all()
    assert not all(map(torch.equal, before, method.discriminator.parameters()))


def test_training_works_in_bfloat16() -> None:
    method = make().train()
    with torch.autocast("cpu", torch.bfloat16):
        (report,) = take(generator_stage(method), Squares(), range(1))
    assert torch.isfinite(torch.stack(list(report.values()))).all()


def test_classes_are_drawn_and_other_labels_are_those_of_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for attributes in (COLOURS, MARKS):
        stage = generator_stage(make(attributes, batch_size=90))
        found: list[Any] = []
        monkeypatch.setattr(stage, "iterate", lambda *given, found=found: found.append(given) or {})
        take(stage, Squares(), range(1))
        _, _, labels, chances = found[0]
        asked = list(chances.labels.values())
        if attributes.classes:
            assert not torch.equal(asked[0], asked[1])
            assert all((one.sum(dim=1) == 1).all() and (one.sum(dim=0) > 15).all() for one in asked)
        else:
            assert all(torch.equal(one, labels) for one in asked)
        latents = list(chances.latents.values())
        assert len(latents) == 3
        assert not torch.equal(latents[0], latents[1])


def test_the_discriminator_sees_images_as_they_are_without_augmentation() -> None:
    stage = generator_stage(make(augmentation=0))
    images, labels = Squares().batch(torch.arange(8))
    chances = stage._chances(Batch(0, Draws(7, 0, 0, 1), images, labels))
    assert len(chances.views) == 4
    assert all(torch.equal(view(images), images) for view in chances.views.values())


def test_labels_and_noise_reach_the_images_of_scaled_weights_from_the_start() -> None:
    spreads: dict[str, Tensor] = {}
    for name in ("uniform", "scaled"):
        method = make(initialization=name, discriminator="multiclass").eval()
        assert (method.discriminator.classifier[0].bias == 0).all() == (name == "scaled")  # type: ignore[index,union-attr]
        latents = method.sample_latents(3, Draws(1, 0, 0, 1))
        noise = torch.cat([latents[:, :5], latents[:1, 5:].expand(3, -1)], dim=1)
        with torch.no_grad():
            by_label = method.generate(torch.eye(3), latents[:1].expand(3, -1))
            by_noise = method.generate(torch.eye(3)[:1].expand(3, -1), noise)
        spreads[name] = torch.stack([one.std(dim=0).mean() for one in (by_label, by_noise)])
    assert (spreads["uniform"] < 0.005).all()
    assert (spreads["scaled"] > 0.02).all()


def test_lsgan_counts_errors_by_their_fourth_power_or_as_published() -> None:
    real, fake = torch.randn(5, 1), torch.randn(5, 1, 2, 2)
    for power in (4, 2):
        expected = (1 - real).pow(power).mean() + fake.pow(power).mean()
        torch.testing.assert_close(discriminator_loss("lsgan", real, fake, power), expected)
        torch.testing.assert_close(
            generator_loss("lsgan", fake, power), (1 - fake).pow(power).mean()
        )
    released, published = (
        take(generator_stage(make(loss="lsgan", lsgan_power=power).train()), Squares(), range(1))[0]
        for power in (4, 2)
    )
    assert released["classification"] == published["classification"]
    assert released["discriminator"] != published["discriminator"]


def test_class_losses_follow_their_formulas() -> None:
    logits, labels = torch.randn(4, 5), F.one_hot(torch.tensor([0, 3, 3, 4]), 5).float()
    softmax = F.cross_entropy(logits, torch.tensor([0, 3, 3, 4]))
    torch.testing.assert_close(classification_loss(logits, labels, classes=True), softmax)
    mean = F.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(classification_loss(logits, labels, classes=False), mean)


def test_encoder_and_classifier_are_shared_by_generators_of_any_settings() -> None:
    def artefacts(**changes: Any) -> list[Any]:
        stages = list(make(**changes).stages(data()))
        assert [stage.name for stage in stages] == ["encoder", "classifier", "generator"]
        return [stage.artefact and dict(stage.artefact.settings) for stage in stages]

    plain = artefacts()
    assert plain[2] is None
    changed = {"discriminator": "patch", "loss": "lsgan", "iterations": 9, "learning_rate": 1e-3}
    assert artefacts(**changed, batch_size=4, epsilon_dim=3) == plain
    classifier = artefacts(classifier_rate=1e-3)
    assert classifier[0] == plain[0]
    assert classifier[1] != plain[1]
    encoder = artefacts(temperature=0.1)
    assert encoder[0] != plain[0]
    assert encoder[1] != plain[1]


def test_a_generator_of_one_picture_has_collapsed() -> None:
    method = make()
    stage = generator_stage(method)
    assert stage.collapsed() is None
    torch.nn.init.zeros_(method.average.out[0][1].weight)  # type: ignore[index,union-attr]
    assert "become the same picture" in str(stage.collapsed())


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("discriminator", ["global", "multiclass", "patch"])
def test_presets_fit_small_images(preset: str, discriminator: str) -> None:
    config = InfoSCCGAN.configure(preset, {"discriminator": discriminator})
    assert isinstance(config, InfoSCCConfig)
    plain = TrainingData(Squares(), COLOURS, 32, 1)
    method = InfoSCCGAN(config, plain).eval()
    with torch.no_grad():
        images = method.sample(torch.eye(3), Draws(1, 0, 0, 1))
        predictions = method.discriminator(images, torch.eye(3))
    assert len(predictions) == 3


@settings(max_examples=20)
@given(size=st.sampled_from([16, 32, 64, 128]), layers=st.integers(1, 6))
def test_a_patch_map_has_the_size_that_is_checked(size: int, layers: int) -> None:
    with torch.device("meta"):
        network = PatchDiscriminator(1, 1, layers).eval()
        if (expected := patch_map_size(size, layers)) >= 1:
            assert network(torch.zeros(1, 1, size, size)).shape == (1, 1, expected, expected)
        else:
            with pytest.raises(RuntimeError):
                network(torch.zeros(1, 1, size, size))


@pytest.mark.parametrize(
    ("given_data", "changes", "message"),
    [
        (TrainingData(Squares(), Attributes(()), 16, 3), {}, "has none"),
        (TrainingData(Squares(), COLOURS, 24, 3), {}, "power of two"),
        (
            TrainingData(Squares(), COLOURS, 16, 3),
            {"discriminator": "patch", "patch_layers": 4},
            "4 layers leaves nothing of images of 16 px: choose --set patch_layers=2",
        ),
        (
            TrainingData(Squares(), MARKS, 16, 3),
            {"discriminator": "multiclass"},
            "exactly one is set.*discriminator=global",
        ),
        (
            TrainingData(Squares((0.5, 0.5, 0.0)), COLOURS, 16, 3),
            {},
            "class blue has no training image",
        ),
        (
            TrainingData(Squares((0.5, 0.45, 0.05), 100), COLOURS, 16, 3),
            {"discriminator": "multiclass"},
            "batch of 8 holds 0.* class blue on average.*batch_size=",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused(
    given_data: TrainingData, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        InfoSCCGAN(InfoSCCConfig(**{**TINY, **changes}), given_data)


def states(method: InfoSCCGAN) -> dict[str, dict[str, Tensor]]:
    names = ("encoder", "classifier", "generator", "average", "discriminator")
    return {name: getattr(method, name).state_dict() for name in names}


def test_a_reference_stands_for_the_stages_that_made_it() -> None:
    trained = make().train()
    take(generator_stage(trained), Squares(), range(2))
    found, method = states(trained), make().eval()
    method.load_reference(found)
    assert list(method.stages(data())) == []
    labels, images = torch.eye(3), Squares().batch(torch.arange(3))[0]
    with torch.no_grad():
        drawn = [one.eval().sample(labels, Draws(2, 0, 0, 1)) for one in (trained, method)]
        assert torch.equal(*drawn)
        assert torch.equal(trained.classify(images), method.classify(images))
    for names, left in (
        ({"encoder"}, ["classifier", "generator"]),
        ({"encoder", "classifier"}, ["generator"]),
        ({"average", "discriminator"}, ["encoder", "classifier"]),
    ):
        part = make()
        part.load_reference({name: found[name] for name in names})
        assert [stage.name for stage in part.stages(data())] == left


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder_base": "resnet18"},
            "encoder base resnet18, this run's resnet10.*encoder_base=resnet18",
        ),
        ({"encoder_width": 8}, "encoder width 8, this run's 4"),
        (
            {"encoder_stem": "imagenet"},
            "stem imagenet, this run's strided or dense: .* encoder_stem=imagenet",
        ),
        ({"projection_width": 9}, "--set projection_width=9"),
        ({"n_basis": 2}, "n basis 2, this run's 3: choose --set n_basis=2"),
        ({"epsilon_dim": 7}, "--set epsilon_dim=7"),
        ({"mapped_dim": 7}, "--set mapped_dim=7"),
        ({"base_channels": 2}, "--set base_channels=2"),
        ({"max_channels": 16}, "--set max_channels=16"),
    ],
)
def test_a_reference_of_other_settings_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().load_reference(states(make(**changes)))


def test_a_reference_of_other_data_is_refused() -> None:
    names = ("red", "green", "blue", "bright")
    other = TrainingData(Squares(), Attributes(names), 32, 1)
    found = states(InfoSCCGAN(InfoSCCConfig(**TINY), other))
    generator = {"average": found["average"]}
    four = InfoSCCGAN(InfoSCCConfig(**TINY), TrainingData(Squares(), Attributes(names), 16, 3))
    for method, given_states, message in (
        (make(), found, "encoder has channels 1, this run's 3"),
        (make(), generator, "has attributes 4, this run's 3: choose the dataset"),
        (four, generator, "has channels 1, this run's 3"),
        (make(), {"classifier": found["classifier"]}, "means nothing without the encoder"),
        (make(), {"average": {"x": torch.zeros(1)}}, "generator is none of InfoSCC-GAN"),
    ):
        with pytest.raises(ValueError, match=message):
            method.load_reference(given_states)
