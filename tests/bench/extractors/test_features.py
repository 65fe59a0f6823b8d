"""Features of many images: what is kept and in which order, and what is refused."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from bench.errors import BenchError
from bench.extractors import features_of, metric_name, statistics_of
from bench.extractors.features import read_batches
from tests.bench.extractors.toy import Noise, Quarters


def test_vectors_and_logits_come_in_one_pass_and_in_order() -> None:
    extractor, dataset, done = Quarters(), Noise(11), list[int]()
    seen = statistics_of(dataset, extractor, ("pooled", "logits"), 4, done.append)
    assert extractor.passes == done == [4, 4, 3]
    assert seen.pooled is not None
    assert seen.logits is not None
    torch.testing.assert_close(seen.pooled, extractor.pooled(dataset.images))
    torch.testing.assert_close(seen.logits, extractor.logits(dataset.images))
    torch.testing.assert_close(seen.mean, seen.pooled.double().mean(0))
    torch.testing.assert_close(seen.covariance, seen.pooled.double().T.cov())
    assert (seen.count, seen.extractor, seen.weights) == (11, "quarters", "d" * 64)
    assert not seen.mean.is_inference()
    assert not seen.pooled.is_inference()


def test_only_what_is_asked_for_is_kept_whatever_the_batches() -> None:
    dataset = Noise(11)
    whole = statistics_of(dataset, Quarters(), ("logits",))
    parts = statistics_of(iter(dataset.images.split(3)), Quarters(), ("logits",))
    assert whole.pooled is None
    torch.testing.assert_close(whole.logits, parts.logits)
    torch.testing.assert_close(whole.covariance, parts.covariance)


def test_moments_of_parts_merge() -> None:
    dataset = Noise(11)
    first, second = (features_of([part], Quarters()) for part in dataset.images.split([4, 7]))
    whole = features_of(dataset, Quarters())
    torch.testing.assert_close(first.merge(second).covariance(), whole.covariance())


def test_images_count_as_saved() -> None:
    dataset = Noise(6)
    off = dataset.images + 0.4 / 127.5
    seen = statistics_of([off], Quarters(), ("pooled",))
    torch.testing.assert_close(seen.pooled, Quarters().pooled(dataset.images))
    beyond = statistics_of([dataset.images * 2], Quarters(), ("pooled",))
    clipped = Quarters().pooled((dataset.images * 2).clamp(-1, 1))
    torch.testing.assert_close(beyond.pooled, clipped, atol=0.01, rtol=0)


def test_a_dataset_is_read_in_another_thread_and_its_errors_arrive() -> None:
    readers: list[str] = []

    class Watched(Noise):
        def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
            readers.append(threading.current_thread().name)
            if len(readers) == 3:
                raise BenchError("a.png is damaged")
            return super().batch(indices)

    batches = read_batches(Watched(11), torch.tensor([5, 1, 1, 8, 0]), 2)
    assert torch.equal(next(batches), Noise(11).images[[5, 1]])
    assert torch.equal(next(batches), Noise(11).images[[1, 8]])
    with pytest.raises(BenchError, match=r"a\.png"):
        next(batches)
    assert threading.current_thread().name not in readers


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_have_no_statistics(count: int) -> None:
    with pytest.raises(ValueError, match=r"no rows|at least 2 rows"):
        statistics_of(Noise(count), Quarters())


def test_other_numbers_are_refused() -> None:
    with pytest.raises(BenchError, match=r"Float images N x 3 x H x W"):
        statistics_of([torch.zeros(2, 3, 8, 8, dtype=torch.uint8)], Quarters())
    with pytest.raises(BenchError, match=r"reach 255 where \[-1, 1\]"):
        statistics_of([torch.full((2, 3, 8, 8), 255.0)], Quarters())
    with pytest.raises(BenchError, match="have NaN"):
        statistics_of([torch.full((2, 3, 8, 8), torch.nan)], Quarters())


@pytest.mark.parametrize(
    ("kind", "extractor", "name"),
    [
        ("fd", "inception-v3-tf", "fid"),
        ("kd", "inception-v3-tf", "kid"),
        ("is", "inception-v3-tf", "is"),
        ("fd", "inception-v3-tf:clean", "fd:inception-v3-tf:clean"),
        ("kd", "efficientnet-lite0", "kd:efficientnet-lite0"),
        ("is", "efficientnet-lite0:bf16", "is:efficientnet-lite0:bf16"),
        ("precision", "inception-v3-tf", "precision:inception-v3-tf"),
    ],
)
def test_only_the_original_network_gives_the_original_names(
    kind: str, extractor: str, name: str
) -> None:
    assert metric_name(kind, extractor) == name
