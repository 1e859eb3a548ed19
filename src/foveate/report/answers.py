"""Charts of image-level answers: confusion matrix, ROC curve, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure

from foveate.report import canvas, colours

Curve = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def confusion(matrix: Int[np.ndarray, "k k"], *, answers: Sequence[str], title: str = "") -> Figure:
    """Counts of truth (rows) against answer given (columns), and each as a share of its row.

    Args:
        matrix: images, ``(truth, given)``; a row without images is left blank.
        answers: names of both axes.
        title: usually the question.

    Raises:
        ValueError: the matrix is not square in the number of answers.
    """
    count = len(answers)
    if matrix.shape != (count, count):
        raise ValueError(f"matrix of shape {matrix.shape} does not fit {count} answers; give (truth, given) counts")
    side = max(3.5, 0.62 * count + 1.4)
    figure, (axes,) = canvas.panels(1, width=side, height=side)
    totals = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    small = 8 if count < 8 else 6
    for row in range(count):
        for col in range(count):
            if totals[row, 0]:
                text = f"{matrix[row, col]}\n{share[row, col]:.0%}"
                axes.text(
                    col,
                    row,
                    text,
                    ha="center",
                    va="center",
                    fontsize=small,
                    color="white" if share[row, col] > 0.55 else canvas.INK,
                )
    turned = max(map(len, answers)) * count > 24
    axes.set_xticks(range(count), answers, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(range(count), [f"{a}\n(n = {n})" for a, n in zip(answers, totals[:, 0], strict=True)])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    canvas.name(axes, title, x="given", y="truth")
    return figure


def roc(curves: Mapping[str, Curve], *, title: str = "") -> Figure:
    """Sensitivity against 1 - specificity, one curve a name; the chance line is dotted.

    Args:
        curves: legend text (the place for AUC and interval) -> false and true positive rates, ascending.
        title: usually the question.
    """
    figure, (axes,) = canvas.panels(1, width=3.5, height=3.5)
    if not curves:
        canvas.empty(axes, f"{title}\nno ROC: the truth holds one answer only".strip())
        return figure
    axes.plot((0, 1), (0, 1), color=canvas.FAINT, linewidth=1, linestyle=(0, (1, 2)))
    for number, (name, (false, true)) in enumerate(curves.items()):
        colour, dash = colours.line(number)
        axes.plot(false, true, color=colour, linestyle=dash, linewidth=1.7, label=name)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.grid(True, color="#e4e6ea")
    canvas.name(axes, title, x="1 − specificity", y="sensitivity")
    axes.legend(frameon=False, fontsize=7.5, labelcolor=canvas.INK, loc="lower right")
    return figure


def reliability(
    probability: Float[np.ndarray, " n"], *, truth: Bool[np.ndarray, " n"], bins: int = 10, title: str = ""
) -> Figure:
    """How often "likely 80 %" is true: observed share against mean probability in equal bins, and their sizes.

    The expected calibration error (Naeini et al. 2015) is written in the plot: sum of ``n_b / n * |observed - mean|``.

    Args:
        probability: of one answer in each image, in [0, 1].
        truth: whether it is the true one; leave out images whose truth is unknown.
        bins: equal parts of [0, 1]; an empty one shows no point.
        title: usually question and answer.
    """
    figure, (axes,) = canvas.panels(1, width=3.5, height=3.5)
    if not len(probability):
        canvas.empty(axes, f"{title}\nno image with a known truth".strip())
        return figure
    place = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    mean = np.bincount(place, probability, minlength=bins)[filled] / count[filled]
    observed = np.bincount(place, truth.astype(float), minlength=bins)[filled] / count[filled]
    off = float((count[filled] / count.sum() * np.abs(observed - mean)).sum())
    middles = (np.arange(bins) + 0.5) / bins
    axes.bar(
        middles,
        0.25 * count / count.max(),
        width=0.9 / bins,
        color=matplotlib.colormaps["Blues"](0.25),
        label="images (relative)",
    )
    axes.plot((0, 1), (0, 1), color=canvas.FAINT, linewidth=1, linestyle=(0, (1, 2)))
    axes.plot(
        mean,
        observed,
        color=colours.LINES[0],
        linewidth=1.5,
        marker="o",
        markersize=4,
        label=f"observed, ECE {off:.3f}",
    )
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    canvas.name(axes, title, x="probability given", y="share that was true")
    axes.legend(frameon=False, fontsize=7.5, labelcolor=canvas.INK, loc="upper left")
    return figure
