"""Runs whose training was interrupted: found, and refused unless somebody asks for them."""

from __future__ import annotations

from foveate.engine.run import Run


def unfinished_stages(run: Run) -> list[str]:
    """Describe each stage that is not trained to its end, with its last validation; of all members of an ensemble.

    Such a stage has the state of an interrupted training, or no weights; a finished one has a note (``done.json``).
    """
    out = []
    for member in run.members:
        for stage in member.recipe.stages:
            folder = member.stage_folder(stage.name)
            begun = (folder / "state.pt").is_file() or not (folder / "weights.safetensors").is_file()
            if (folder / "done.json").is_file() or not begun:
                continue
            log = member.log(stage.name)
            reached = f"reached epoch {log[-1]['epoch']}, step {log[-1]['step']}" if log else "has no validation yet"
            out.append(f"{member.folder}: stage {stage.name!r} {reached}")
    return out


def refuse_unfinished(run: Run, *, allow: bool = False) -> str | None:
    """Refuse a run that is not trained to its end.

    Args:
        run: or an ensemble.
        allow: take the weights that are kept so far.

    Returns:
        a warning that describes the state of a run that is allowed; None for a finished run.

    Raises:
        ValueError: the run is not finished, and that is not allowed.
    """
    found = unfinished_stages(run)
    if not found:
        return None
    state = "; ".join(found)
    if not allow:
        raise ValueError(
            f"the training was interrupted ({state}); continue it with `foveate fit ... --resume`, or add --unfinished "
            "to take the weights kept so far"
        )
    return f"the training was interrupted, and the weights kept so far are taken: {state}"
