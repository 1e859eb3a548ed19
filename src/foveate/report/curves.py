"""Training curves from the records of ``log.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from foveate.metrics.listing import upgraded
from foveate.report import canvas, colours
from foveate.report.tables import heading

Record = Mapping[str, Any]

DICE = "pixel/dice_present"

HEADLINES = (
    DICE, "pixel/dice", "pixel/iou", "image/auc", "image/accuracy", "image/f1", "image/kappa", "image/qkappa",
)  # fmt: skip
"""Validation metrics that are drawn if there are too many to distinguish."""
OF_LABELS = (f"{DICE}/", "pixel/dice/")
"""How the Dice of a label begins; logs without it have it as ``pixel/dice``, for validation leaves out images
without the label."""


def stages(log: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each stage, in the order of the log."""
    out: dict[str, list[Record]] = {}
    for record in log:
        out.setdefault(str(record.get("stage", "training")), []).append(record)
    return out


def curves(log: Sequence[Record], *, stage: str | None = None) -> Figure:
    """Loss terms, validation metrics and learning rate of one stage against the epoch; the kept epoch is marked.

    Of many validation metrics the `HEADLINES` are drawn, and if the log has a Dice of single labels, a panel with the
    Dice where present of each; the log has them all.

    Args:
        log: records ``{"stage", "epoch", "step", "lr", "train": {term: value}, "val": {metric: value}, "best"}``;
            what a record lacks is left out of its curve, and a value that is not finite is a gap.
        stage: whose records; None = the first stage's.

    Raises:
        ValueError: the log has no such stage.
    """
    parts = stages(log)
    name = next(iter(parts), "") if stage is None else stage
    if log and name not in parts:
        raise ValueError(f"stage must be one of the log's {list(parts)}, got {stage!r}")
    records = parts.get(name, [])
    train, val = _series(records, "train"), dict(upgraded(_series(records, "val")))
    labels = _of_labels(val)
    # Drawn in its own panel; and "pixel/dice" is the same metric, for validation leaves out images without the label
    val = {k: v for k, v in val.items() if not k.startswith(OF_LABELS) and (k != "pixel/dice" or DICE not in val)}
    if len(val) > len(HEADLINES) + 1:
        val = {key: points for key, points in val.items() if key in ("loss", *HEADLINES)}
    # A validation metric outside [-1, 1] is a loss and would flatten the others: it belongs to the loss terms.
    like_loss = {key for key, points in val.items() if key in train or any(abs(y) > 1 for _, y in points)}
    kept = [x for x, r in zip(epochs(records), records, strict=True) if r.get("best")]
    figure, (left, middle, *more, right) = canvas.panels(4 if labels else 3, width=3.6, columns=2 if labels else 3)
    _draw(left, "Loss terms", train | {f"{key} (validation)": val[key] for key in val if key in like_loss}, kept[-1:])
    shown = {heading(k): points for k, points in val.items() if k not in like_loss}
    _draw(middle, "Validation metrics", shown, kept[-1:])
    for axes in more:
        _draw(axes, "Validation, Dice where present", labels, kept[-1:])
        axes.set_ylim(-0.02, 1.02)
    rate = [(x, float(r["lr"])) for x, r in zip(epochs(records), records, strict=True) if _finite(r.get("lr"))]
    _draw(right, "Learning rate", {"rate": rate} if rate else {}, kept[-1:])
    if rate and min(y for _, y in rate) > 0:
        right.set_yscale("log")
    return figure


def _of_labels(val: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Sequence[tuple[float, float]]]:
    """Label -> points of its Dice where present, of a log that has it."""
    start = next((start for start in OF_LABELS if any(key.startswith(start) for key in val)), None)
    return {key.removeprefix(start): points for key, points in val.items() if key.startswith(start)} if start else {}


def _series(records: Sequence[Record], part: str) -> dict[str, list[tuple[float, float]]]:
    keys, places = dict.fromkeys(key for r in records for key in (r.get(part) or {})), epochs(records)
    out = {}
    for key in keys:
        points = [
            (x, float(value) if _finite(value) else math.nan)
            for x, r in zip(places, records, strict=True)
            if (value := (r.get(part) or {}).get(key)) is not None
        ]
        if any(math.isfinite(y) for _, y in points):
            out[key] = points
    return out


def epochs(records: Sequence[Record]) -> list[float]:
    """Epochs done at each record, a part of one if an epoch has several validations.

    >>> epochs([{"epoch": 1, "step": 8}, {"epoch": 2, "step": 16}, {"epoch": 2, "step": 24}])
    [0.6666666666666666, 1.3333333333333333, 2.0]
    """
    steps = max((r["step"] / r["epoch"] for r in records if r.get("step") and r.get("epoch")), default=0.0)
    if not steps:
        return [float(r.get("epoch", i)) for i, r in enumerate(records)]
    return [r["step"] / steps if r.get("step") else float(r.get("epoch", i)) for i, r in enumerate(records)]


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _draw(axes: Axes, title: str, series: Mapping[str, Sequence[tuple[float, float]]], kept: Iterable[float]) -> None:
    if not series:
        canvas.empty(axes, f"{title}: none recorded")
        return
    canvas.name(axes, title, x="epoch")
    for number, (name, points) in enumerate(series.items()):
        colour, dash = colours.line(number)
        mark = "o" if len(points) < 3 else None
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            linestyle=dash,
            linewidth=1.5,
            label=name,
            marker=mark,
            markersize=4,
        )
    for at in kept:
        axes.axvline(at, color="#999999", linewidth=1, linestyle=(0, (2, 2)), label="kept")
    axes.grid(True, axis="y", color="#e4e6ea")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    canvas.legend(axes)
