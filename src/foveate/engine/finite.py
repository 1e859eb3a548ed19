"""`Finite`: notice a loss that is not finite at the step at which it happens, without waiting for the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from foveate.engine.run import CALMER, DivergedError


class _Waiting(NamedTuple):
    step: int
    names: tuple[str, ...]
    flags: Tensor
    event: Any


class Finite:
    """Checks the terms of each step.

    On a CPU each step is checked at once. On an accelerator the flags are copied beside its work, and looked at as soon
    as they are there, mostly one step later: reading a number would hold up the queue of the device at each step.

    Args:
        stage: its name, for the message.
        device: of the terms.
    """

    def __init__(self, stage: str, device: torch.device) -> None:
        self.stage, self.device = stage, device
        self.waiting: deque[_Waiting] = deque()

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Check the terms of a step, and those of earlier steps that have arrived.

        Raises:
            DivergedError: a term is not finite; names the term and its step.
        """
        flags = torch.stack([value.detach() for value in terms.values()]).isfinite()
        event = None
        if self.device.type != "cpu":
            flags = flags.to("cpu", non_blocking=True)
            event = torch.Event(self.device)
            event.record()
        self.waiting.append(_Waiting(step, tuple(terms), flags, event))
        while self.waiting and (self.waiting[0].event is None or self.waiting[0].event.query()):
            self._look(self.waiting.popleft())

    def finish(self) -> None:
        """Check the steps that are left, and wait for them.

        Raises:
            DivergedError: a term is not finite.
        """
        while self.waiting:
            one = self.waiting.popleft()
            if one.event is not None:
                one.event.synchronize()
            self._look(one)

    def _look(self, one: _Waiting) -> None:
        if bad := [name for name, good in zip(one.names, one.flags.tolist(), strict=True) if not good]:
            raise DivergedError(
                f"stage {self.stage!r}: loss {', '.join(bad)} is not finite at step {one.step + 1}; {CALMER}"
            )
