"""All lesions of each method on the same images, and below each picture the names of the lesions that it found.

As Figure 4 of Wei et al. 2020: colours show the place of lesions that a method found, names show which ones it found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from PIL import Image

from foveate.core.reading import presence_only
from foveate.core.shapes import Box
from foveate.core.types import Case
from foveate.report import colours
from foveate.report.grid import GAP, Grid, Tile
from foveate.report.overlay import overlay
from foveate.report.panels import WIDTH, Marked, answers_given, answers_true, blank, methods_of
from foveate.report.verdicts import TRUE, UNSURE, Name, card, fitting, judged, key_of
from foveate.report.zoom import framed, region


def lesion_panel(
    images: Sequence[Mapping[str, Case]],
    *,
    labels: Sequence[str] | None = None,
    questions: Sequence[str] | None = None,
    width: int = WIDTH,
) -> Image.Image:
    """All lesions that each method marks or names: one row per image, one column per method.

    The first column shows the whole image and a frame around the part in the other columns. The second shows the ground
    truth. Below each picture there is one line for every lesion that is present or that any method names, in the same
    order in each column. The line states whether the lesion was found, missed or a false alarm in the whole image,
    wherever it was marked. A method that predicts presence only (`core.reading.presence_only`) has names and no marks.

    Args:
        images: method -> its case, for each image; the place of a missing case is empty. Cases are taken one after
            the other, so that a lazy mapping need not keep them all in memory.
        labels: labels in the order of their colours; None = all that a method has.
        questions: questions whose answers are below the pictures; None = all.
        width: pixels across at most.

    Raises:
        ValueError: no images, or no method has any of the labels.
    """
    there = {m: next(row[m].prediction.labels for row in images if m in row) for m in methods_of(images)}
    known = list(dict.fromkeys(label for names in there.values() for label in names))
    wanted = known if labels is None else list(labels)
    methods = [m for m, names in there.items() if set(names) & set(wanted)]
    if not methods:
        raise ValueError(f"labels={wanted}: no method has any of them; known are {known}")
    grid = Grid.of(len(methods), lead=2, limit=width)
    every: list[Name] = []
    rows = []
    for row in images:
        here = [m for m in methods if m in row]
        if here:
            seen = _Seen.of(row, here, wanted)
            every += [name for names in (seen.facts, *seen.names.values()) for name in names]
            rows.append(_row(row, seen, methods, questions, grid))
    foot = key_of(every, width=grid.width - 2 * GAP, size=grid.size)
    return grid.sheet(rows, heads=["image", "truth", *methods], key=foot)


@dataclass(frozen=True)
class _Seen:
    """Common parts of the pictures of one image, and the lines below the truth and below each method's picture.

    ``otherwise`` is the text below the truth if it has no lines.
    """

    labels: Sequence[str]
    truth: Mapping[str, Bool[np.ndarray, "h w"]]
    part: Box
    facts: list[Name]
    names: Mapping[str, list[Name]]
    otherwise: str

    @classmethod
    def of(cls, row: Mapping[str, Case], here: Sequence[str], labels: Sequence[str]) -> _Seen:
        shown, hue = np.zeros(row[here[0]].image.shape[:2], bool), colours.marks(labels)
        truth: dict[str, np.ndarray] = {}
        facts: dict[str, Name] = {}
        told: dict[str, dict[str, Name]] = {}
        for method in here:
            case, told[method] = row[method], {}
            whole = presence_only(case.prediction)
            for label in (name for name in labels if name in case.prediction.labels):
                marked = Marked.of(case, label)
                given = marked.given & (label not in whole)
                there = TRUE if marked.truth.any() else None if marked.known.any() else UNSURE
                facts[label] = Name(label, hue[label] if there is TRUE else None, there)
                told[method][label] = Name(label, hue[label] if given.any() else None, judged(marked))
                truth[label] = marked.truth
                shown |= marked.truth | given
        said = {k for names in told.values() for k, name in names.items() if name.verdict}
        lines = [Name(k) for k in labels if k in said or (k in facts and facts[k].verdict is TRUE)]
        names = {method: [own.get(line.label, line) for line in lines] for method, own in told.items()}
        blind = all(fact.verdict is UNSURE for fact in facts.values())
        mine = [facts[line.label] for line in lines]
        return cls(labels, truth, region(shown), mine, names, UNSURE.words if blind else "none")


def _row(
    row: Mapping[str, Case], seen: _Seen, methods: Sequence[str], questions: Sequence[str] | None, grid: Grid
) -> list[Tile]:
    first = row[next(m for m in methods if m in row)]
    top, left, height, width = seen.part
    cut = slice(top, top + height), slice(left, left + width)
    image = first.image[cut]
    size = fitting([Name(label) for label in seen.labels], width=grid.tile, size=grid.size)

    def drawn(masks: Mapping[str, np.ndarray], names: Sequence[Name], empty: str) -> Image.Image:
        none = np.zeros(image.shape[:2], bool)
        layers = np.stack([masks[k][cut].astype(bool) if k in masks else none for k in seen.labels])
        picture = overlay(image, masks=layers, labels=tuple(seen.labels), width=grid.tile, legend=False)
        return card(picture, names, size=size, empty=empty)

    about = (first.prediction.id, *answers_true(first, questions))
    tiles = [
        Tile(framed(first.image, box=seen.part, width=grid.tile), about),
        Tile(drawn(seen.truth, seen.facts, seen.otherwise)),
    ]
    for method in methods:
        if method not in row:
            tiles.append(Tile(blank(grid.tile, tiles[1].picture.height, "not read")))
            continue
        case = row[method]
        whole = presence_only(case.prediction)
        given = zip(case.prediction.labels, case.prediction.masks, strict=True)
        masks = {label: mask for label, mask in given if label not in whole}
        tiles.append(Tile(drawn(masks, seen.names[method], "none"), answers_given(case, questions)))
    return tiles
