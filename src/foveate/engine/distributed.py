"""The processes of a run: one, or those that ``torchrun`` has started."""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

import torch
import torch.distributed as dist

from foveate.engine.run import pick_device

T = TypeVar("T")


class Processes:
    """This process among its peers, whose group it joins.

    The group is left when Python ends: one that is left and joined again, for example by the next run of a study, may
    hang (seen with gloo at the third).

    Args:
        device: as for `fit`; with several processes on CUDA each takes the card of its local rank.
    """

    def __init__(self, device: str | torch.device) -> None:
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.device = pick_device(device)
        if self.world > 1 and self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(self.device)
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.threads = max(1, min(8, cores // local))
        # Threads that load beside a CPU's training step hold up its parallel loops: on two cores a step took 15 % more
        # with them, and 2 % more with the same work done in between. So: only while images are not cached yet.
        self.spare = 0 if self.device.type == "cpu" else self.threads
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            atexit.register(_leave)

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()

    def share(self, value: T) -> T:
        """The first process's value, for all."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Mean over the processes of values with the same keys."""
        if self.world == 1 or not values:
            return values
        packed = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(packed)
        return dict(zip(values, (packed / self.world).tolist(), strict=True))


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
