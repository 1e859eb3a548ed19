"""How long to train: epochs and validations from a time limit and measured steps, or from the number of images."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

from foveate.recipes._auto.step_cost import Cost

STEPS, PASSES = 2000, (20, 300)
"""Without a time limit: about so many steps, at least and at most so many passes over the images."""

FEWEST = 300
"""Steps below which a smaller frame with more steps is taken."""

VALIDATIONS = (10, 30)
JUDGING = 0.2
"""Share of the time that validations beyond the tenth may take."""

ANSWERING = 1 / 3
"""Share of the time for the stage that answers, beside one that marks in windows."""


class Length(NamedTuple):
    """Of a training.

    Args:
        epochs: of the (last) stage.
        answer_epochs: of the stage that answers, if there are two.
        steps: of the last stage.
        every: steps between validations.
        validations: of the last stage.
        validation: seconds of one.
        one_epoch: seconds of one epoch of every stage, a validation and the first reading of the images.
        total: seconds of all.
    """

    epochs: int
    answer_epochs: int
    steps: int
    every: int
    validations: int
    validation: float
    one_epoch: float
    total: float


def length(
    costs: Mapping[str, Cost],
    *,
    train: int,
    val: int,
    batch: int,
    prepare: float,
    seconds: float | None,
    epochs: int | None = None,
) -> Length:
    """Epochs and validations.

    Args:
        costs: of each stage, in order; the last one marks if there are two.
        train: training images.
        val: validation images.
        batch: images per step.
        prepare: seconds of the first reading of all images.
        seconds: that all may take; None = the number of images decides.
        epochs: set by the user.
    """
    an_epoch = max(train // batch, 1)
    shares = [1.0] if len(costs) == 1 else [ANSWERING, 1 - ANSWERING]
    judged = [cost.read * val for cost in costs.values()]
    epoch = [cost.step * an_epoch for cost in costs.values()]
    if epochs is not None or seconds is None:
        wanted = min(max(ceil(STEPS / an_epoch), PASSES[0]), PASSES[1]) if epochs is None else epochs
        passes = [wanted] * len(costs)
        times = [_validations(wanted * one, one_val) for one, one_val in zip(epoch, judged, strict=True)]
    else:
        left = [max(seconds - prepare, 0) * share for share in shares]
        times = [_validations(room, one_val) for room, one_val in zip(left, judged, strict=True)]
        passes = [
            int(max(room - n * one_val, 0) / one)
            for room, n, one_val, one in zip(left, times, judged, epoch, strict=True)
        ]
    steps = [n * an_epoch for n in passes]
    every = max(1, min(s // n for s, n in zip(steps, times, strict=True)))
    counts = [-(-s // every) for s in steps]
    total = prepare + sum(
        n * one + k * one_val for n, one, k, one_val in zip(passes, epoch, counts, judged, strict=True)
    )
    return Length(
        epochs=passes[-1] if min(passes) > 0 else 0,
        answer_epochs=passes[0],
        steps=steps[-1],
        every=every,
        validations=counts[-1],
        validation=judged[-1],
        one_epoch=prepare + sum(epoch) + sum(judged),
        total=total,
    )


def planned_epochs(plan: Length) -> str:
    """The rule that was used without a time limit."""
    return f"some {STEPS} steps, {PASSES[0]} to {PASSES[1]} passes; here {plan.steps} steps (give --time for a limit)"


def spoken(seconds: float) -> str:
    """A time as people write it: "45 s", "12 min", "1.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _validations(room: float, one: float) -> int:
    """Validations in so many seconds: ten at least unless they would take half of it, more while they are cheap."""
    low, high = VALIDATIONS
    if one <= 0:
        return high
    many = min(high, max(low, int(JUDGING * room / one)))
    return max(1, min(many, int(0.5 * room / one)))
