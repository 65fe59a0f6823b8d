"""Threads that read images while the device computes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from threadpoolctl import threadpool_limits


def reading_thread(name: str) -> ThreadPoolExecutor:
    """An executor of one thread, which keeps to one core.

    Operations on tensors would else ask for all cores at the same time as the training does, and
    wait for each other many times longer than they take.
    """
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_keep_to_one_core)


def _keep_to_one_core() -> None:
    torch.get_num_threads()  # a thread's first call sets its number, and would undo the limit
    threadpool_limits(limits=1, user_api="openmp")  # of the calling thread only
