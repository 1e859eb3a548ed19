"""Numbers beside every mean over images: images with a label that were found, and those without it falsely marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from foveate.metrics import listing
from foveate.metrics.counts import Counts
from foveate.metrics.found import found_of, total
from foveate.metrics.interval import Estimate
from foveate.metrics.never_given import never_given, unmarked
from foveate.report.table import Column, Table
from foveate.report.table_cells import Cell, Share

FOUND = (
    "Found: images with the label in which at least one of its true pixels was marked. False alarms: images without "
    "the label in which any pixel was marked."
)
SUMMED = "Over labels, found and false alarms are sums; a mean leaves out labels that lack the metric."
OVERLAP = ("pixel/dice", "pixel/dice_all", "pixel/dice_present", "pixel/dice_pooled", "pixel/iou")
"""Metrics of masks beside which found and false alarms are shown."""
DICE = ("pixel/dice_present", "pixel/dice")


def found_cells(counts: Counts, label: str = "") -> tuple[Share, Share]:
    """Found and false alarms of a label, or the sums over all labels; undefined for a label that was not counted."""
    if label and label not in counts.labels:
        return Share(0, 0), Share(0, 0)
    one = found_of(counts.labels[label]) if label else total(counts)
    return Share(one.found, one.present), Share(one.alarms, one.absent)


def mean_heading(absent: str) -> str:
    """Heading of the Dice that has a policy; empty if it is Dice where present."""
    return {"exclude": "", "nan": "Dice (absent=nan)"}.get(absent, f"Dice, all images (absent={absent})")


def warnings(rows: Mapping[str, Counts], *, never: Callable[[Counts], Sequence[str]] = never_given) -> list[str]:
    """Warnings about labels and answers that methods never give: one line per sentence, with the methods concerned.

    Args:
        rows: method -> counts; a method without a name is not named.
        never: `metrics.never_given`, or its part of labels or answers alone.
    """
    found: dict[str, list[str]] = {}
    for method, counts in rows.items():
        for line in never(counts):
            found.setdefault(line, []).append(method)
    return [line + (f" ({'; '.join(methods)})." if any(methods) else ".") for line, methods in found.items()]


def flattered(metric: str, counts: Counts, *, absent: str) -> bool:
    """Whether a method is not ranked by a metric of masks, because it never marks a label that images have.

    Such a method is not ranked by the metrics of that label, nor by the means over labels that such a label raises
    (`Metric.silent`, and the policy "one"). If it never marks any label, it is not ranked by any mean over labels.

    Args:
        metric: "pixel/dice", "pixel/dice_all/cup", ...
        counts: of the method.
        absent: policy of the table.
    """
    entry, silent = listing.entry(metric), unmarked(counts)
    if not silent or entry is None or entry.of != "label" or entry.name != _base(metric):
        return False
    if label := "/".join(metric.split("/")[2:]):
        return label in silent
    if entry.silent or (entry.per_image and (entry.absent or absent) == "one"):
        return True
    return silent == {label for label, part in counts.labels.items() if part.truth.any()}


def _base(metric: str) -> str:
    """Level and name, without label or question."""
    return "/".join(metric.split("/")[:2])


def parts(names: Sequence[str]) -> list[str]:
    """Of which masks metrics are asked for: "/cup" of a label, "" of the mean over labels; each once."""
    return list(dict.fromkeys(name.removeprefix(kind) for name in names if (kind := _base(name)) in OVERLAP))


def first(names: Sequence[str], part: str) -> str:
    """The first metric of masks that is asked for of a part: found and false alarms are beside it."""
    return next(name for name in names if name in {f"{kind}{part}" for kind in OVERLAP})


def labels_of(parts: Sequence[str], rows: Mapping[str, Counts]) -> list[str]:
    """Labels of these parts, in the order of the schemas; all of them if the mean over labels is among the parts."""
    every = dict.fromkeys(label for counts in rows.values() for label in counts.labels)
    return [label for label in every if "" in parts or f"/{label}" in parts]


def columns(
    part: str,
    rows: Mapping[str, Counts],
    found: Mapping[str, Mapping[str, Estimate]],
    *,
    asked: Sequence[str],
    absent: str,
) -> list[tuple[str, str, dict[str, dict[str, Cell]]]]:
    """The columns beside the Dice of one part, as heading, metric, and method -> metric -> cell.

    Args:
        part: one of `parts`.
        rows: method -> counts.
        found: method -> metric -> estimate.
        asked: metrics that the table has anyway: they get no second column.
        absent: policy of the table.
    """
    label = part.removeprefix("/")
    tail = f", {label}" if label else ""
    shares = {method: found_cells(counts, label) for method, counts in rows.items()}
    out: list[tuple[str, str, dict[str, dict[str, Cell]]]] = []
    name = f"{DICE[0]}{part}"
    if name not in asked and not (absent == "exclude" and f"{DICE[1]}{part}" in asked):
        present: dict[str, dict[str, Cell]] = {m: {name: v[name]} for m, v in found.items() if name in v}
        out.append((f"Dice where present{tail}", name, {m: present.get(m, {}) for m in rows}))
    for at, (heading, kind) in enumerate((("found", "image/found"), ("false alarms", "image/false_alarms"))):
        name = f"{kind}{part}"
        if name not in asked:
            out.append((f"{heading}{tail}", name, {m: {name: cells[at]} for m, cells in shares.items()}))
    return out


def below(
    title: str,
    rows: Mapping[str, Counts],
    *,
    labels: Sequence[str],
    found: Mapping[str, Mapping[str, Estimate]],
    absent: str,
) -> Table:
    """A line per method and label: found, false alarms, Dice where present, and Dice over all images with its policy.

    Args:
        title: of the table that it belongs to.
        rows: method -> counts.
        labels: those that it shows; a method has no line for one that it does not know.
        found: method -> metric -> estimate.
        absent: policy of the metric "pixel/dice".
    """
    mean = mean_heading(absent)
    heads = ["method", "label", "found", "false alarms", "Dice where present", *([mean] if mean else [])]
    lines: list[tuple[Cell, ...]] = []
    for method, counts in rows.items():
        for label in labels:
            if label in counts.labels and len(counts.labels[label].image):
                kinds = DICE if mean else DICE[:1]
                cells = (found[method][f"{kind}/{label}"] for kind in kinds)
                lines.append((method, label, *found_cells(counts, label), *cells))
    return Table(f"{title}: found and false alarms", tuple(map(Column, heads)), tuple(lines), (FOUND,))
