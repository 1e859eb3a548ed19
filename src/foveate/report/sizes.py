"""Metrics against the size of lesions, with their intervals: one line per method or label (Wei et al. 2020, Fig. 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from foveate.metrics.interval import Estimate
from foveate.report import canvas, colours


def against_size(
    series: Mapping[str, Mapping[str, Estimate]],
    *,
    order: Sequence[str],
    title: str = "",
    x: str = "lesions, from small to large",
    y: str = "F1",
) -> Figure:
    """A line for each name over classes of size, or over labels sorted by their mean size; whiskers are the intervals.

    Args:
        series: name (a method, a label) -> class of size, or label -> the metric; a class that is left out or
            undefined is a gap.
        order: classes from small to large, such as ``lesions.sizes()`` or the keys of ``lesions.mean_share(...)``.
        title: of the chart.
        x: name of the axis.
        y: name of the metric.

    Raises:
        ValueError: ``order`` lacks a class of the series.
    """
    if strange := {key for points in series.values() for key in points} - set(order):
        raise ValueError(f"order={list(order)} lacks {sorted(strange)}; name every class of the series once")
    width = max(4.2, 0.85 * len(order) + 1.6, 0.12 * len(order) * len(series))
    long = max(map(len, order)) * len(order) > 60
    lines = -(-len(series) // round(width / 1.3))
    figure, (axes,) = canvas.panels(1, width=width, height=3.1 + 0.5 * long + 0.17 * lines)
    shown = {name: points for name, points in series.items() if any(not math.isnan(e.value) for e in points.values())}
    if not shown:
        canvas.empty(axes, f"{title or y}: no lesion")
        return figure
    canvas.name(axes, title, x=x, y=y)
    for number, (name, points) in enumerate(shown.items()):
        colour, dash = colours.line(number)
        # Side by side, so that whiskers do not hide one another.
        at = [i + 0.5 * ((number + 0.5) / len(shown) - 0.5) for i in range(len(order))]
        found = [points.get(key) for key in order]
        heights = [math.nan if e is None else e.value for e in found]
        axes.plot(at, heights, color=colour, linestyle=dash, linewidth=1.3, marker="o", markersize=4, label=name)
        for place, e in zip(at, found, strict=True):
            if e is not None and not math.isnan(e.low):
                axes.plot([place, place], [e.low, e.high], color=colour, linewidth=1, alpha=0.7)
    axes.set_xticks(range(len(order)), order, rotation=30 if long else 0, ha="right" if long else "center")
    axes.set_ylim(0, 1)
    axes.grid(True, axis="y", color="#e4e6ea")
    canvas.legend_below(figure, axes, columns=round(width / 1.3))
    return figure
