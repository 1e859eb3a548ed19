"""Which number format trains faster here: decided by measured steps."""

from __future__ import annotations

import time
from collections.abc import Callable

Step = Callable[[], None]

CLEARLY = 1.2
"""How much faster bf16 must be: less is within what repeated measurements differ by, and fp32 is the safer one."""


def measured_precision(make_step: Callable[[str], Step], *, repeats: int = 3) -> tuple[str, float]:
    """The precision of a recipe that a few steps find faster, and time of fp32 / time of bf16.

    Processors with matrix units (AMX, tensor cores) gain; others emulate bf16 and lose.

    Args:
        make_step: "fp32" or "bf16" -> a function that takes one training step, and waits for its end.
        repeats: steps of each that are timed, in turn; the fastest counts.

    Returns:
        "bf16" if it is faster by `CLEARLY`, else "fp32"; and the ratio (0.0 if bf16 cannot run).
    """
    fp32 = make_step("fp32")
    first = _seconds(fp32)
    try:
        bf16 = make_step("bf16")
        _seconds(bf16)
    except (RuntimeError, NotImplementedError):  # a kernel has no bf16 here
        return "fp32", 0.0
    best = {"fp32": first, "bf16": float("inf")}
    for _ in range(repeats):
        best["bf16"] = min(best["bf16"], _seconds(bf16))
        best["fp32"] = min(best["fp32"], _seconds(fp32))
        if best["bf16"] > 2 * best["fp32"]:  # emulated: more steps would change nothing
            break
    ratio = best["fp32"] / best["bf16"]
    return ("bf16" if ratio >= CLEARLY else "fp32"), round(ratio, 2)


def _seconds(step: Step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began
