"""Colours that people with any colour vision can distinguish, on paper and on a retina.

Okabe and Ito 2008 (their universal design of colours), continued with Paul Tol's bright set (2021).
"""

from __future__ import annotations

from collections.abc import Sequence

RGB = tuple[int, int, int]

# Sky blue and yellow first: orange and vermilion are close to the colour of a fundus. Green and blue are lightened,
# or they sink in it.
MARKS: tuple[RGB, ...] = (
    (86, 180, 233),
    (240, 228, 66),
    (30, 205, 150),
    (204, 121, 167),
    (230, 159, 0),
    (60, 130, 255),
    (213, 94, 0),
    (255, 255, 255),
    (170, 51, 119),
    (34, 136, 51),
    (187, 187, 187),
)
LINES: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555", "#AA3377")
DASHES: tuple[str, ...] = ("-", "--", ":", "-.")

FOUND: RGB = (255, 225, 77)
MISSED: RGB = (224, 16, 47)
FALSE: RGB = (25, 195, 125)
CONFUSED: RGB = (94, 96, 206)
UNKNOWN: RGB = (150, 150, 150)


def marks(labels: Sequence[str]) -> dict[str, RGB]:
    """Colour of each label, by its place in the schema; after eleven they come round again."""
    return {label: MARKS[i % len(MARKS)] for i, label in enumerate(labels)}


def line(index: int) -> tuple[str, str]:
    """Colour and dash of the n-th curve of a plot: 32 differ."""
    return LINES[index % len(LINES)], DASHES[index // len(LINES) % len(DASHES)]
