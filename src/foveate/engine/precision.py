"""Which number format trains faster here: decided by measured steps, once, at the start of a training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from foveate.core.types import Batch
from foveate.engine.recipe import Recipe, Stage, at
from foveate.engine.run import autocast_forward, cast_up, place

Step = Callable[[], None]

CLEARLY = 1.2
"""How much faster bf16 must be: less is within what repeated measurements differ by, and fp32 is the safer one."""

NO_UNITS = "this processor has no units for bf16 and would emulate it"


class Measured(NamedTuple):
    """A precision and the times that it was chosen by.

    Args:
        precision: "fp32" or "bf16".
        fp32, bf16: seconds of one training step; nan = not measured.
        why_not: the reason if bf16 was not measured; empty if it was.
    """

    precision: str
    fp32: float = float("nan")
    bf16: float = float("nan")
    why_not: str = ""

    @property
    def reason(self) -> str:
        """The rule, and how it decides here."""
        if self.why_not:
            return self.why_not
        return f"bf16 is used if a training step in it is at least {CLEARLY} times as fast as in fp32"

    @property
    def times(self) -> str:
        """Both times and their ratio; empty if nothing was measured."""
        if self.why_not:
            return ""
        ratio = self.fp32 / self.bf16
        return f"a step takes {self.fp32:.3g} s in fp32 and {self.bf16:.3g} s in bf16: {ratio:.2f} times as fast"

    def __str__(self) -> str:
        return f"precision {self.precision}: {self.reason}" + (f" ({self.times})" if self.times else "")


def has_bf16_units(device: torch.device) -> bool:
    """Whether a device computes bf16 by itself: accelerators; processors with AMX or AVX512-BF16, ARM with BF16.

    Others emulate it and lose, so that nothing need be measured.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return True
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16"))


def measured_precision(make_step: Callable[[str], Step], *, repeats: int = 3) -> Measured:
    """The precision that a few training steps find faster.

    Args:
        make_step: "fp32" or "bf16" -> a function that takes one training step, and waits for its end.
        repeats: steps of each that are timed, in turn; the fastest counts.

    Returns:
        "bf16" if it is faster by `CLEARLY`, else "fp32"; and the times.
    """
    fp32 = make_step("fp32")
    first = _seconds(fp32)
    try:
        bf16 = make_step("bf16")
        _seconds(bf16)
    except (RuntimeError, NotImplementedError):  # a kernel has no bf16 here
        return Measured("fp32", why_not="an operation of the network does not run in bf16 here")
    best = {"fp32": first, "bf16": float("inf")}
    for _ in range(repeats):
        best["bf16"] = min(best["bf16"], _seconds(bf16))
        best["fp32"] = min(best["fp32"], _seconds(fp32))
        if best["bf16"] > 2 * best["fp32"]:  # emulated: more steps would change nothing
            break
    return Measured("bf16" if best["fp32"] >= CLEARLY * best["bf16"] else "fp32", best["fp32"], best["bf16"])


def training_steps(recipe: Recipe, stage: Stage, batch: Batch, device: torch.device) -> Callable[[str], Step]:
    """Precision -> one training step of a new network on a batch: forward, loss, backward, optimizer.

    Args:
        recipe: as the stage trains by it (`Recipe.seen_by`).
        stage: one of its stages.
        batch: a piece of a step, on the device.
        device: that it runs on.
    """
    network = place(stage.network(), device).train()
    for part in stage.frozen:
        network.get_submodule(part).requires_grad_(False)
    loss = at(stage.loss, progress=0.5)  # while terms that fade and terms that come are both there
    optimizer = (stage.optimizer or recipe.optimizer)(p for p in network.parameters() if p.requires_grad)

    def make(precision: str) -> Step:
        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            for _ in range(recipe.accumulate):
                terms = loss(cast_up(autocast_forward(network, batch, precision=precision)), batch)
                torch.autograd.backward(torch.stack(list(terms.values())).sum())
            optimizer.step()
            if device.type != "cpu":
                torch.accelerator.synchronize(device)

        return step

    return make


def _seconds(step: Step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began
