"""Before a training starts: how many images choose its weights, and which of its settings cannot take effect."""

from __future__ import annotations

from foveate.engine.keep import Keep, Support
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.schedule import History


def outlook(recipe: Recipe, stage: Stage, *, steps: int, every: int, support: Support, keep: Keep | None) -> list[str]:
    """Lines to print before the first step; a line that begins with "warning:" names a setting without effect.

    Args:
        recipe: of the run.
        stage: that is about to be trained.
        steps: optimizer steps planned.
        every: steps between validations.
        support: of the validation images.
        keep: the choice of weights that these images allow (`Keep.within`).
    """
    lines = [f"{support}; {steps} steps"]
    if stage.keep.least:
        chosen = "the last weights are kept" if keep is None else f"weights are chosen by {keep.metric}"
        lines.append(f"{chosen}: a label or an answer counts from {stage.keep.least} validation images on")
    validations = -(-steps // every)
    if validations == 1:
        lines.append(
            f"warning: one validation in the whole run, after {steps} steps, so it chooses nothing; validate more "
            f"often (validate_every={max(steps // 10, 1)})"
        )
    first, last = (recipe.schedule.rate(History(step, steps, [0.0] * validations)) for step in (0, max(steps - 1, 0)))
    drops = recipe.schedule.drops(History(steps - 1, steps, [0.0] * (validations - 1)))
    adapts = recipe.schedule.drops(History(10**6, 10**6, [0.0] * 10**4)) > 0
    if adapts and not drops and first == last:
        lines.append(
            f"warning: the learning rate can not drop: {recipe.schedule} needs more than {validations} validations; "
            "validate more often (validate_every) or train longer (epochs)"
        )
    if stage.after_drop is not None and not drops:
        lines.append(
            "warning: the loss that begins at the first drop of the learning rate is never switched on: "
            f"{stage.after_drop}"
        )
    return lines
