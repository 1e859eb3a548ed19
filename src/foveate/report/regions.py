"""The eight regions over their image, and activation maps as Son et al. 2018 show them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import cv2
import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from scipy import ndimage

from foveate.core.regions import NAMES, Regions
from foveate.report import colours
from foveate.report.cases import Panel
from foveate.report.legend import font
from foveate.report.overlay import Picture, activation, overlay, resized

LINE = (255, 255, 255)


def region_overlay(
    image: Picture, regions: Regions, *, marked: Collection[str] = (), width: int | None = None, names: bool = True
) -> Image.Image:
    """An image with the outlines of its eight regions and their names; marked ones are tinted.

    What was assumed (``Regions.assumed``) stands in the lower left corner.

    Args:
        image: RGB, ``(row, col, 3)``.
        regions: in the image's own pixels.
        marked: names of regions.
        width: columns of the picture; None = those of the image.
        names: write the names.

    Raises:
        ValueError: a marked region is none.
    """
    picture = resized(image, width)
    factor = picture.shape[1] / image.shape[1]
    masks = regions.masks((image.shape[0], image.shape[1]))
    if marked:
        tint = _fitted(regions.cover(marked, (image.shape[0], image.shape[1])), picture)
        picture[tint] = np.round(picture[tint] * 0.65 + np.array(colours.MARKS[1]) * 0.35)
    out = Image.fromarray(picture)
    draw = ImageDraw.Draw(out)
    thick = max(1, round(picture.shape[1] / 320))
    for corners in regions.outlines((image.shape[0], image.shape[1])).values():
        line = [((c + 0.5) * factor, (r + 0.5) * factor) for r, c in corners]
        draw.line([*line, line[0]], fill=LINE, width=thick)
    letters = font(picture.shape[1])
    for name, mask in zip(NAMES, masks, strict=True):
        if names and mask.any():
            row, col = _inmost(mask)
            at = ((col + 0.5) * factor, (row + 0.5) * factor)
            draw.multiline_text(
                at, name.replace(" ", "\n"), font=letters, fill=LINE, anchor="mm", align="center",
                stroke_width=thick, stroke_fill=(0, 0, 0),
            )  # fmt: skip
    if regions.assumed:
        words = "assumed: " + ", ".join(regions.assumed)
        draw.text((thick * 4, out.height - thick * 4), words, font=letters, fill=LINE, anchor="lb",
                  stroke_width=thick, stroke_fill=(0, 0, 0))  # fmt: skip
    return out


def softened(cam: Float[np.ndarray, "r c"], size: tuple[int, int], *, kernel: int = 32) -> Float[np.ndarray, "h w"]:
    """A map for showing: enlarged bilinearly, blurred by a Gaussian, scaled to [0, 1] (Son et al. 2018, Figure 3).

    Args:
        cam: at the network's resolution.
        size: (rows, cols) of the picture.
        kernel: side of the Gaussian for a picture 512 pixels wide, in proportion for others; its sigma is what OpenCV
            takes for such a kernel, 0.3 ((kernel - 1) / 2 - 1) + 0.8.
    """
    large = cv2.resize(cam.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    sigma = (0.3 * ((kernel - 1) / 2 - 1) + 0.8) * size[1] / 512
    soft = cv2.GaussianBlur(large, (0, 0), sigma)
    low, high = float(soft.min()), float(soft.max())
    return np.asarray((soft - low) / (high - low) if high > low else np.zeros_like(soft))


def guidance_panels(
    image: Picture,
    *,
    finding: str,
    mask: Bool[np.ndarray, "h w"],
    maps: Mapping[str, Float[np.ndarray, "r c"]],
    width: int = 320,
) -> tuple[Panel, ...]:
    """A row of the paper's Figure 3: the image, the mask or cue, and the activation maps, softened.

    Args:
        image: RGB.
        finding: name.
        mask: where it is, on the image's grid.
        maps: title ("with guidance") -> map over the whole image at any resolution.
        width: of each picture.
    """
    size = (image.shape[0], image.shape[1])
    shown = [Panel("image", Image.fromarray(resized(image, width)))]
    shown.append(Panel("mask", overlay(image, masks=mask[None], labels=[finding], width=width, legend=False)))
    for title, cam in maps.items():
        soft = softened(cam, size)
        shown.append(Panel(title, activation(image, cam=soft, width=width, legend=False)))
    return tuple(shown)


def _inmost(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    """The pixel of a region that is farthest from its edge."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(row), float(col)


def _fitted(mask: Bool[np.ndarray, "h w"], picture: Picture) -> Bool[np.ndarray, "h w"]:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)
