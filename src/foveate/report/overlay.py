"""Masks, errors and activation maps laid over the image they belong to, as PIL images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from foveate.report import colours
from foveate.report.colours import RGB
from foveate.report.legend import ramp_of, with_legend, with_scale

Picture = UInt8[np.ndarray, "h w 3"]
Masks = UInt8[np.ndarray, "l h w"] | Bool[np.ndarray, "l h w"]


def overlay(
    image: Picture,
    *,
    masks: Masks,
    labels: Sequence[str],
    known: Masks | None = None,
    width: int | None = None,
    alpha: float = 0.28,
    legend: bool = True,
) -> Image.Image:
    """An image with each label's pixels tinted and outlined in that label's colour.

    A lesion smaller than one pixel of the picture is still shown.

    Args:
        image: RGB, ``(row, col, 3)``.
        masks: ``(label, row, col)`` 0/1 on the image's grid.
        labels: names along the first axis; their order gives the colours.
        known: ``(label, row, col)``, 1 where the truth of that label is known; only for the legend. None = everywhere.
        width: columns of the picture; None = those of the image.
        alpha: strength of the tint in [0, 1]; the outline is always opaque.
        legend: write the labels below, with "none" where nothing is marked and "unknown" where nothing is known.

    Raises:
        ValueError: masks and image differ in size, or masks and labels in number.
    """
    _check(image, masks, labels)
    picture = resized(image, width)
    for mask, colour in zip(masks, colours.marks(labels).values(), strict=True):
        _paint(picture, mask, colour, alpha)
    seen = [True if known is None else bool(known[i].any()) for i in range(len(labels))]
    entries = [
        (label if mask.any() else f"{label}: none" if here else f"{label}: unknown", colour)
        for (label, colour), mask, here in zip(colours.marks(labels).items(), masks, seen, strict=True)
    ]
    return with_legend(picture, entries) if legend else Image.fromarray(picture)


def errors(
    image: Picture,
    *,
    truth: Masks,
    predicted: Masks,
    labels: Sequence[str],
    known: Masks | None = None,
    width: int | None = None,
    alpha: float = 0.75,
    legend: bool = True,
) -> Image.Image:
    """Where prediction and truth agree and differ: found yellow, missed red, false alarm green, another label violet.

    Only what is known is judged. Pixels of which no label is known are hatched grey.

    Args:
        image: RGB, ``(row, col, 3)``.
        truth: ``(label, row, col)`` 0/1.
        predicted: ``(label, row, col)`` 0/1.
        labels: names along the first axis.
        known: ``(label, row, col)``, 1 where the truth of that label is known; None = everywhere.
        width: columns of the picture; None = those of the image.
        alpha: strength of the tint in [0, 1].
        legend: write the meaning of the colours below.

    Raises:
        ValueError: an array differs from the image in size, or from labels in number.
    """
    seen = np.ones(truth.shape, bool) if known is None else known.astype(bool)
    for masks in (truth, predicted, seen):
        _check(image, masks, labels)
    yes, given = truth.astype(bool) & seen, predicted.astype(bool) & seen
    missed, false = (yes & ~given).any(0), (given & ~yes).any(0)
    confused, found = missed & false, (yes & given).any(0)
    picture = resized(image, width)
    somewhere: Bool[np.ndarray, "h w"] = np.any(seen, axis=0)
    if labels and not somewhere.all():
        _hatch(picture, ~somewhere)
    layers = {
        "found": (found & ~missed & ~false, colours.FOUND),
        "missed": (missed & ~confused, colours.MISSED),
        "false alarm": (false & ~confused, colours.FALSE),
        "another label": (confused, colours.CONFUSED),
    }
    for (
        mask,
        colour,
    ) in layers.values():  # without outlines: those of a thin rim of errors would cover the pixels beside it
        _tint(picture, _fitted(mask, picture), colour, alpha)
    entries = [(name, colour) for name, (mask, colour) in layers.items() if name != "another label" or mask.any()]
    if unmarked := [label for label, where in zip(labels, seen, strict=True) if not where.any()]:
        entries.append((f"truth unknown: {', '.join(unmarked)}", colours.UNKNOWN))
    elif not somewhere.all():
        entries.append(("truth unknown", colours.UNKNOWN))
    return with_legend(picture, entries) if legend else Image.fromarray(picture)


def activation(
    image: Picture, *, cam: Float[np.ndarray, "r c"], width: int | None = None, alpha: float = 0.6, legend: bool = True
) -> Image.Image:
    """A class activation map over its image: the stronger, the more of the colour (inferno) covers the image.

    Args:
        image: RGB, ``(row, col, 3)``.
        cam: values in [0, 1], at any resolution; it is enlarged to the image (bilinear). Others are cut off.
        width: columns of the picture; None = those of the image.
        alpha: share of the colour where the map is 1.
        legend: draw the colour scale below.
    """
    picture = resized(image, width)
    size = (picture.shape[1], picture.shape[0])
    value = np.clip(cv2.resize(np.nan_to_num(cam).astype(np.float32), size, interpolation=cv2.INTER_LINEAR), 0, 1)
    colour = ramp_of(value) * 255
    weight = (
        alpha * np.minimum(1, 2 * value)[..., None]
    )  # half the map's range fades in, so that the retina stays visible
    mixed = Image.fromarray((picture * (1 - weight) + colour * weight).round().astype(np.uint8))
    return with_scale(mixed) if legend else mixed


def resized(image: Picture, width: int | None) -> Picture:
    """A copy of the image with that many columns (None = its own): averaged when shrunk, sharp pixels when enlarged."""
    if width is None or width == image.shape[1]:
        return image.copy()
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    how = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC if image.shape[1] >= 128 else cv2.INTER_NEAREST
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)


def _check(image: Picture, masks: Masks, labels: Sequence[str]) -> None:
    if masks.shape != (len(labels), *image.shape[:2]):
        raise ValueError(
            f"masks of shape {masks.shape} do not fit {len(labels)} labels on an image of {image.shape[:2]}; "
            "give one mask per label, on the image's own grid (core.shapes.Geometry.undo)"
        )


def _paint(picture: Picture, mask: np.ndarray, colour: RGB, alpha: float) -> None:
    if not mask.any():
        return
    grown = _fitted(mask, picture)
    _tint(picture, grown, colour, alpha)
    outlines, _ = cv2.findContours(grown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    edge = cv2.drawContours(np.zeros_like(grown), outlines, -1, 1, max(1, round(picture.shape[1] / 160)))
    picture[(edge & grown) > 0] = colour  # inwards only: no pixel is coloured that is not marked


def _tint(picture: Picture, mask: np.ndarray, colour: RGB, alpha: float) -> None:
    inside = mask > 0
    picture[inside] = np.round(picture[inside] * (1 - alpha) + np.array(colour) * alpha)


def _hatch(picture: Picture, where: np.ndarray) -> None:
    inside = _fitted(where, picture) > 0
    step = max(4, picture.shape[1] // 60)
    rows, cols = np.indices(inside.shape)
    picture[inside] = (picture[inside] * 0.6 + np.array(colours.UNKNOWN) * 0.4).astype(np.uint8)
    picture[inside & ((rows + cols) % (2 * step) < max(1, step // 3))] = colours.UNKNOWN


def _fitted(mask: np.ndarray, picture: Picture) -> UInt8[np.ndarray, "h w"]:
    size = (picture.shape[1], picture.shape[0])
    if size[0] >= mask.shape[1]:
        return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)
    # Area average, then "any share": nearest would drop a microaneurysm of 3 pixels in a picture a quarter the size.
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0, np.uint8)
