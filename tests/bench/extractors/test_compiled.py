"""Compiled vectors: the same numbers, one batch size, and one sentence where there is no compiler.

The code of the real networks takes minutes to compile, so a small one stands for them here.
"""

from __future__ import annotations

import shutil

import pytest
import torch

from bench.errors import BenchError
from bench.extractors import features_of, statistics_of
from bench.extractors.compiled import images_at_once
from tests.bench.extractors.toy import Noise, Quarters

AT_ONCE = images_at_once(torch.device("cpu"))


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_vectors_are_the_same_whatever_the_batches() -> None:
    dataset = Noise(AT_ONCE + 1)
    plain = statistics_of(dataset, Quarters(), ("pooled", "logits"))
    compiled = Quarters().compile_vectors()
    for batch_size in (AT_ONCE, 3, 2 * AT_ONCE):
        seen = statistics_of(dataset, compiled, ("pooled", "logits"), batch_size)
        torch.testing.assert_close(seen.pooled, plain.pooled)
        torch.testing.assert_close(seen.logits, plain.logits)


def test_code_is_made_for_one_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    extractor = Quarters().compile_vectors()
    features_of(Noise(AT_ONCE + 1), extractor, 2 * AT_ONCE)
    assert extractor.passes == [AT_ONCE, AT_ONCE]


def test_gradients_take_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: None)
    images = Noise(3).images.requires_grad_()
    Quarters().compile_vectors().pooled(images).sum().backward()
    assert images.grad is not None


def test_a_machine_without_compiler_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def fail(inputs: torch.Tensor) -> torch.Tensor:
        raise TorchDynamoException("InvalidCxxCompiler: no working compiler\nlong story")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: fail)
    with pytest.raises(BenchError, match=r"\(InvalidCxxCompiler: .*r\): go on without --compile"):
        features_of(Noise(3), Quarters().compile_vectors())
