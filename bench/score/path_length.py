"""Perceptual path length of a generator: how fast its images change along paths between codes."""

from __future__ import annotations

from bench.extractors import metric_name
from bench.extractors.fidelity import COMPARED_SIZE, Interpolation, perceptual_path_length
from bench.extractors.lpips import Net, load_lpips
from bench.generators import load_generator
from bench.processes import process_state
from bench.progress import counting
from bench.score.report import Identity, Report
from leaderboard.schema import Measurement


def score_ppl(
    generator: str,
    *,
    net: Net,
    samples: int,
    epsilon: float,
    interpolation: Interpolation,
    batch_size: int,
    device: str | None,
    seed: int,
) -> Report:
    """Perceptual path length in Z, and its spread over paths.

    Args:
        generator: A name of ``bench list generators``, or the file of one.
        net: The network of LPIPS.
        samples: Paths, at least 2.
        epsilon: The step's share of a path.
        interpolation: See ``bench.extractors.fidelity.perceptual_path_length``.
        batch_size: Paths at a time.
        device: ``cpu``, ``cuda``, or None for the best one present.
        seed: Seeds the codes.

    Raises:
        BenchError: The generator, torch-fidelity or the network's weights are missing or of no
            use, or the generator is conditional.
    """
    where = process_state(device).device
    loaded = load_generator(generator, where)
    network = load_lpips(net, str(where))
    with counting("images", 2 * samples) as count_more:
        found = perceptual_path_length(
            loaded,
            net,
            samples=samples,
            epsilon=epsilon,
            interpolation=interpolation,
            batch_size=batch_size,
            seed=seed,
            progress=count_more,
        )
    identity: Identity = {
        "generator": loaded.sha256,
        "weights": network.sha256,
        "compared_size": COMPARED_SIZE,
        "samples": samples,
        "epsilon": epsilon,
        "interpolation": interpolation,
        "seed": seed,
    }
    name = metric_name("ppl", network.name)
    scores = [
        Measurement(name=name, value=found.mean, higher_is_better=False, identity=dict(identity)),
        Measurement(name=f"{name}.std", value=found.standard_deviation, identity=dict(identity)),
    ]
    return Report(scores, {"generator": generator})
