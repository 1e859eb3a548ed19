"""One style for all charts, and their way to PNG; set on each figure, so that nothing global is touched."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

INK, FAINT = "#3a3f47", "#8a8f98"
MANY = 5
"""Names that a legend within a panel may have."""


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


def legend(axes: Axes) -> None:
    """The panel's legend, without a frame: where it hides least, below the panel where many names would hide lines."""
    if len(axes.get_legend_handles_labels()[1]) > MANY:
        axes.legend(
            frameon=False, fontsize=7.5, labelcolor=INK, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3
        )
    else:
        axes.legend(frameon=False, fontsize=7.5, labelcolor=INK)


def legend_below(figure: Figure, axes: Axes, *, columns: int) -> None:
    """One legend for all panels, below them: the names of one panel's lines."""
    handles, names = axes.get_legend_handles_labels()
    columns = max(1, min(columns, len(names)))
    figure.legend(
        handles, names, loc="outside lower center", frameon=False, fontsize=7.5, labelcolor=INK, ncols=columns
    )


def log_axis(axes: Axes) -> None:
    """Columns on a logarithmic axis with a few plain numbers below it."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def empty(axes: Axes, message: str) -> None:
    """Write into an empty panel why it has no curve."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", fontsize=9, color=FAINT, wrap=True, transform=axes.transAxes)


def png(figure: Figure, *, dpi: int = 150) -> bytes:
    """The figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()
