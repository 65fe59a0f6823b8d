from __future__ import annotations

import torch

from bench.reading import reading_thread


def test_the_reading_thread_keeps_to_one_core_and_leaves_the_others_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with reading_thread("test") as reader:
            assert reader.submit(torch.get_num_threads).result() == 1
            assert torch.get_num_threads() == 2
            assert reader.submit(lambda: torch.ones(1 << 20).add_(1).sum().item()).result() > 0
            assert reader.submit(torch.get_num_threads).result() == 1
    finally:
        torch.set_num_threads(before)
