"""One style for all charts, and their way to PNG; set on each figure, so that nothing global is touched."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FAINT = "#3a3f47", "#8a8f98"


def panels(count: int, *, width: float = 3.4, height: float = 2.9, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels side by side (inches each), at most ``columns`` in a line."""
    across = max(1, min(count, columns))
    down = max(1, -(-count // across))
    figure = Figure(figsize=(width * across, height * down), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(down, across, i + 1) for i in range(count)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(FAINT)
        one.tick_params(labelsize=8, color=FAINT, labelcolor=INK)
    return figure, axes


def name(axes: Axes, title: str, *, x: str = "", y: str = "") -> None:
    """Title and axis names of a panel."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_xlabel(x, fontsize=8.5, color=INK)
    axes.set_ylabel(y, fontsize=8.5, color=INK)


def legend(axes: Axes, *, columns: int = 1) -> None:
    """The panel's legend, without a frame, where it hides least."""
    axes.legend(frameon=False, fontsize=7.5, labelcolor=INK, ncols=columns)


def empty(axes: Axes, message: str) -> None:
    """Say in the panel why there is no curve in it."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", fontsize=9, color=FAINT, wrap=True, transform=axes.transAxes)


def png(figure: Figure, *, dpi: int = 150) -> bytes:
    """The figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()
