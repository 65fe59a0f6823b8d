"""Training steps of StarGAN and AttGAN, against plain ones, and the wait for images.

    python benchmarks/editing.py
    python benchmarks/editing.py --rounds 20 --batch 16 --device cuda

``stargan`` and ``attgan`` take the networks at the reference's sizes (128 px, 5 and 13 attributes)
through one whole round of their alternation, five discriminator updates and one of the generator,
several times. The peer is the round as the references write it: every network is run anew wherever
its output is used, gradients flow into everything, plain Adam. Both sides have the same numbers of
updates, images and attributes. Prints one JSON object:

- ``seconds_per_round`` of both, the medians, and ``ratio``: peer over ours; to stay at 1 or above;
- ``wait``: the share of a training on a folder of CelebA's format that steps wait for images, to
  stay below 0.05, with the ``small`` preset of StarGAN at 64 px.

Set ``OMP_NUM_THREADS`` to fix the number of threads.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.attgan import AttGAN, AttGANConfig
from baselines.base import Attributes, Batch, Stage, TrainingData
from baselines.randomness import Draws
from baselines.stargan import StarGAN, StarGANConfig
from bench.data.celeba import CelebA
from bench.data.celeba_synth_folder import make_folder
from bench.data.subset import Subset
from bench.files import read_json_lines
from bench.trainer import TrainingOptions, train

SIZE = 128
ROUND = 5  # discriminator updates for one of the generator


class Noise:
    """Images that cost nothing to read."""

    def __init__(self, attributes: int, batch: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(batch, 3, SIZE, SIZE, generator=generator) * 2 - 1
        self.labels = torch.randint(0, 2, (batch, attributes), generator=generator).float()

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices], self.labels[indices]


def make_data(attributes: int, batch: int) -> TrainingData:
    """One batch of noise with random attributes."""
    names = Attributes(tuple(f"attribute_{number}" for number in range(attributes)))
    return TrainingData(Noise(attributes, batch), names, SIZE, 3)


def penalty(realness: Callable[[Tensor], Tensor], images: Tensor, fake: Tensor) -> Tensor:
    """The gradient penalty of WGAN-GP between images and edited ones."""
    share = torch.rand(len(images), 1, 1, 1, device=images.device)
    mixed = (share * images + (1 - share) * fake).requires_grad_(True)
    scores = realness(mixed)
    (gradient,) = torch.autograd.grad(
        scores, mixed, torch.ones_like(scores), create_graph=True, retain_graph=True
    )
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def optimizers(generator: nn.Module, discriminator: nn.Module) -> list[torch.optim.Adam]:
    """PyTorch's default form of Adam for both."""
    return [
        torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    ]


def plain_stargan(method: StarGAN, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """A round as StarGAN's solver has it: the edited images are made twice."""
    generator, discriminator = method.generator, method.discriminator
    adam_g, adam_d = optimizers(generator, discriminator)

    def classify(logits: Tensor, wanted: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / len(logits)

    def take_round() -> None:
        for _ in range(ROUND):
            target = labels[torch.randperm(len(labels))]
            realness, logits = discriminator(images)
            fake = generator(images, target)
            of_fake, _ = discriminator(fake.detach())
            loss = of_fake.mean() - realness.mean() + classify(logits, labels)
            loss = loss + 10 * penalty(lambda x: discriminator(x)[0], images, fake.detach())
            adam_g.zero_grad()
            adam_d.zero_grad()
            loss.backward()
            adam_d.step()
        fake = generator(images, target)
        realness, logits = discriminator(fake)
        cycle = (images - generator(fake, labels)).abs().mean()
        loss = classify(logits, target) + 10 * cycle - realness.mean()
        adam_g.zero_grad()
        adam_d.zero_grad()
        loss.backward()
        adam_g.step()

    return take_round


def plain_attgan(method: AttGAN, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """A round as AttGAN-PyTorch has it; the generator's round has gradients of both networks."""
    generator, discriminators = method.generator, method.discriminators
    adam_g, adam_d = optimizers(generator, discriminators)
    classify = F.binary_cross_entropy_with_logits

    def take_round() -> None:
        for _ in range(ROUND):
            target = labels[torch.randperm(len(labels))]
            fake = generator(images, target - 0.5).detach()
            realness, logits = discriminators(images)
            of_fake, _ = discriminators(fake)
            loss = of_fake.mean() - realness.mean() + classify(logits, labels)
            loss = loss + 10 * penalty(lambda x: discriminators(x)[0], images, fake)
            adam_d.zero_grad()
            loss.backward()
            adam_d.step()
        maps = generator.encode(images)
        fake = generator.decode(maps, target - 0.5)
        restored = generator.decode(maps, labels - 0.5)
        realness, logits = discriminators(fake)
        loss = 10 * classify(logits, target) + 100 * (images - restored).abs().mean()
        adam_g.zero_grad()
        (loss - realness.mean()).backward()
        adam_g.step()

    return take_round


def our_round(stage: Stage, images: Tensor, labels: Tensor, steps: int) -> Callable[[], None]:
    """The stage's own steps, as many as make a round."""
    taken = 0

    def take_round() -> None:
        nonlocal taken
        for _ in range(steps):
            draws = Draws(0, taken, 0, 1, images.device)
            stage.step(Batch(taken, draws, images=images, attributes=labels))
            taken += 1

    return take_round


def compare(name: str, batch: int, rounds: int, device: str) -> dict[str, object]:
    """Median seconds of both rounds, taken in turns so that both meet the same disturbances."""
    attributes = {"stargan": 5, "attgan": 13}[name]
    data = make_data(attributes, batch)
    images, labels = (some.to(device) for some in data.train.batch(torch.arange(batch)))
    torch.manual_seed(0)
    ours: StarGAN | AttGAN
    peer: StarGAN | AttGAN
    if name == "stargan":
        config = StarGANConfig.model_validate({"batch_size": batch})
        ours, peer = (StarGAN(config, data).to(device).train() for _ in range(2))
        other = plain_stargan(peer, images, labels)
        steps = ROUND
    else:
        settings = AttGANConfig.model_validate({"batch_size": batch, "iterations": 1000})
        ours, peer = (AttGAN(settings, data).to(device).train() for _ in range(2))
        other = plain_attgan(peer, images, labels)
        steps = ROUND + 1
    (stage,) = ours.stages(data)
    sides = {"ours": our_round(stage, images, labels, steps), "peer": other}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, take_round in sides.items():
            start = time.perf_counter()
            take_round()
            if device == "cuda":
                torch.cuda.synchronize()
            if number:  # the first round warms up
                seconds[side].append(time.perf_counter() - start)
    ours_s, peer_s = median(seconds["ours"]), median(seconds["peer"])
    return {"seconds_per_round": {"ours": ours_s, "peer": peer_s}, "ratio": peer_s / ours_s}


def waiting_share(iterations: int, device: str) -> float:
    """The share of StarGAN's training on a folder of JPEGs that its steps wait for images."""
    with tempfile.TemporaryDirectory() as folder:
        make_folder(Path(folder, "celeba"), 640)
        dataset = CelebA(Path(folder, "celeba"), size=64, split="official")
        images = Subset(dataset, dataset.split("train"))
        data = TrainingData(images, dataset.attributes, dataset.size, dataset.channels)
        settings = {**StarGAN.presets["small"], "iterations": iterations}
        method = StarGAN(StarGANConfig.model_validate(settings), data)
        how = TrainingOptions(device=device, quiet=True)
        train(method, data, seed=0, folder=Path(folder, "run"), options=how)
        last = read_json_lines(Path(folder, "run", "log.jsonl"))[-1]
    return float(last["waited"] / last["seconds"])


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds on each side.")
@click.option(
    "--batch", type=click.IntRange(min=2), default=2, show_default=True, help="Images of a step."
)
@click.option("--iterations", default=100, show_default=True, help="Of the training that waits.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def main(rounds: int, batch: int, iterations: int, device: str) -> None:
    """Time both sides, print JSON."""
    report = {
        "batch": batch,
        "device": device,
        **{name: compare(name, batch, rounds, device) for name in ("stargan", "attgan")},
        "wait": waiting_share(iterations, device),
    }
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
