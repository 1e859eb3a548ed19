"""Methods side by side on the same images: their masks, and their activation maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from foveate.core.reading import presence_only
from foveate.core.types import Case
from foveate.metrics.localisation import air
from foveate.report import colours
from foveate.report.grid import GAP, Grid, Tile
from foveate.report.legend import SOFT, font_of, key
from foveate.report.overlay import activation, errors, overlay
from foveate.report.zoom import framed, region

Mask = Bool[np.ndarray, "h w"]

WIDTH = 2400
"""Pixels across a panel at most."""

TRUTH = colours.MARKS[0]
"""Colour of the truth, whichever label: those of other labels are too near to those of the errors."""


@dataclass(frozen=True)
class Marked:
    """One label in one image: truth, where it is known, and what was marked."""

    truth: Mask
    known: Mask
    given: Mask

    @classmethod
    def of(cls, case: Case, label: str) -> Marked:
        """That label of a case."""
        at = case.prediction.labels.index(label)
        known = case.known[at].astype(bool)
        return cls(case.masks[at].astype(bool) & known, known, case.prediction.masks[at].astype(bool))

    @property
    def words(self) -> str:
        """The Dice of the known pixels in words, or another verdict if the label is absent."""
        given = self.given & self.known
        if not self.known.any():
            return "truth unknown"
        if not self.truth.any():
            return f"false alarm, {given.sum()} px" if given.any() else "rightly none"
        return f"Dice {2 * (self.truth & given).sum() / (self.truth.sum() + given.sum()):.3f}"


def mask_panel(
    images: Sequence[Mapping[str, Case]],
    *,
    label: str | None = None,
    questions: Sequence[str] | None = None,
    width: int = WIDTH,
) -> Image.Image:
    """Masks of one label by each method: one row per image, one column per method, cut to the part with the label.

    The first column shows the whole image and a frame around this part. The second shows the ground truth. Each
    further column belongs to one method: found pixels are yellow, missed pixels red, false alarms green. Below them
    are the image's Dice and the method's answers with their probability. The part contains the ground truth and the
    marks of all methods with a margin.

    Args:
        images: method -> its case, for each image. A method without the label is left out, and so is a method that
            predicts its presence only (`core.reading.presence_only`, of its first image). The place of a missing case
            is empty. Cases are taken one after the other, so that a lazy mapping need not keep them all in memory.
        label: the label; None = the only one.
        questions: questions whose answers are below the pictures; None = all.
        width: pixels across at most.

    Raises:
        ValueError: no images, no method marks the label, or there are several labels and none is named.
    """
    methods = methods_of(images)
    there = {m: marked_by(m, images) for m in methods}
    known = list(dict.fromkeys(name for names in there.values() for name in names))
    if label is None and len(known) != 1:
        raise ValueError(f"label=None: the methods mark {known}; name the one that the panel shows")
    label = known[0] if label is None else label
    if label not in known:
        raise ValueError(f"label must be one of {known}, got {label!r}")
    methods = [m for m in methods if label in there[m]]
    grid = Grid.of(len(methods), lead=2, limit=width)
    rows = [
        _mask_row(row, [m for m in methods if m in row], methods, label, questions, grid)
        for row in images
        if any(m in row for m in methods)
    ]
    entries = [
        (f"{label}, truth", TRUTH),
        ("found", colours.FOUND),
        ("missed", colours.MISSED),
        ("false alarm", colours.FALSE),
    ]
    foot = key(entries, width=grid.width - 2 * GAP, size=grid.size)
    return grid.sheet(rows, heads=["image", "truth", *methods], key=foot)


def cam_panel(
    images: Sequence[Mapping[str, Case]], *, question: str, of_truth: bool = False, width: int = WIDTH
) -> Image.Image:
    """Activation maps of the answer that each method gave: one row per image, one column per method.

    The first column shows the image with its true pixels (of all labels of the case) outlined, and below it their share
    of the image: the AIR of a map that ignores them. Each map is a heat map over the image. Below it are the answer,
    its probability and, if there are true pixels, AIR, the share of the activation in them
    (`metrics.localisation.air`). Activation at unknown pixels does not count.

    Args:
        images: method -> its case, for each image; the place of a missing map is empty. Taken one after the other, as
            by `mask_panel`.
        question: the question.
        of_truth: show the map of the true answer, if it is known, in place of the one given.
        width: pixels across at most.

    Raises:
        ValueError: no images, or no method has a map for the question.
    """
    methods = [m for m in methods_of(images) if any(m in row and row[m].prediction.cam.get(question) for row in images)]
    if not methods:
        raise ValueError(f"question={question!r}: no case has an activation map for it; ask the predictor for them")
    grid = Grid.of(len(methods), lead=1, limit=width)
    rows = [
        _cam_row(row, [m for m in methods if m in row], methods, question, of_truth, grid)
        for row in images
        if any(m in row for m in methods)
    ]
    foot = key(
        [("outline: truth", TRUTH)],
        width=grid.width - 2 * GAP,
        size=grid.size,
        scale=True,
        ends=("activation: none", "the map's highest"),
    )
    return grid.sheet(rows, heads=["image", *methods], key=foot)


def marked_by(method: str, images: Sequence[Mapping[str, Case]]) -> tuple[str, ...]:
    """The labels whose place a method predicts, according to its first image."""
    first = next(row[method] for row in images if method in row).prediction
    whole = presence_only(first)
    return tuple(label for label in first.labels if label not in whole)


def methods_of(images: Sequence[Mapping[str, Case]]) -> list[str]:
    """Every method of some images, in order of appearance; ValueError if there is none."""
    found = list(dict.fromkeys(method for row in images for method in row))
    if not found:
        raise ValueError("images: there is no case; give at least one image and method")
    return found


def _mask_row(
    row: Mapping[str, Case],
    here: Sequence[str],
    methods: Sequence[str],
    label: str,
    questions: Sequence[str] | None,
    grid: Grid,
) -> list[Tile]:
    first = row[here[0]]
    shown = np.zeros(first.image.shape[:2], bool)
    for method in here:
        marked = Marked.of(row[method], label)
        shown |= marked.truth | (marked.given & marked.known)
    box = region(shown)
    part = slice(box[0], box[0] + box[2]), slice(box[1], box[1] + box[3])
    image, truth = first.image[part], Marked.of(first, label)
    tiles = [
        Tile(framed(first.image, box=box, width=grid.tile), (first.prediction.id, *answers_true(first, questions))),
        Tile(
            overlay(image, masks=truth.truth[part][None], labels=(label,), width=grid.tile, legend=False),
            (f"{truth.truth.sum():,} px" if truth.known.any() else "truth unknown",),
        ),
    ]
    height = tiles[1].picture.height
    for method in methods:
        if method not in here:
            tiles.append(Tile(blank(grid.tile, height, "not read")))
            continue
        case = row[method]
        marked = Marked.of(case, label)
        wrong = errors(
            image,
            truth=marked.truth[part][None],
            predicted=marked.given[part][None],
            known=marked.known[part][None],
            labels=(label,),
            width=grid.tile,
            legend=False,
        )
        tiles.append(Tile(wrong, (marked.words, *answers_given(case, questions))))
    return tiles


def _cam_row(
    row: Mapping[str, Case],
    here: Sequence[str],
    methods: Sequence[str],
    question: str,
    of_truth: bool,
    grid: Grid,
) -> list[Tile]:
    first = row[here[0]]
    seen = first.known.astype(bool)
    cue: Mask = np.any(first.masks.astype(bool) & seen, axis=0)
    judged: Mask = np.any(seen, axis=0)
    outlined = overlay(first.image, masks=cue[None], labels=("truth",), width=grid.tile, alpha=0.0, legend=False)
    share = (f"truth: {cue.sum() / judged.sum():.1%} of area",) if cue.any() else ()
    tiles = [Tile(outlined, (first.prediction.id, *answers_true(first, (question,)), *share))]
    for method in methods:
        case = row[method] if method in here else None
        maps = case.prediction.cam.get(question, {}) if case else {}
        given = case.prediction.answers.get(question, "") if case else ""
        answer = case.answers.get(question, given) if case and of_truth else given
        if set(maps) == {"yes"}:  # a finding's own map, whatever is answered
            answer = "yes"
        if case is None or answer not in maps:
            tiles.append(Tile(blank(grid.tile, outlined.height, "no map")))
            continue
        cam = cv2.resize(maps[answer].astype(np.float32), cue.shape[::-1], interpolation=cv2.INTER_LINEAR)
        inside = air(np.where(judged, np.nan_to_num(cam), 0).clip(0), cue)
        words = [answer_words(case, question, answer)]
        words += [f"given: {given}"] if answer != given else []
        words += [f"AIR {inside:.2f}"] if not np.isnan(inside) else []
        words += ["nothing spoke for it"] if not cam.any() else []
        tiles.append(Tile(activation(first.image, cam=cam, width=grid.tile, legend=False), tuple(words)))
    return tiles


def answers_given(case: Case, questions: Sequence[str] | None) -> tuple[str, ...]:
    """The answers to these questions, marked right or wrong where the truth is known."""
    asked = [q for q in case.prediction.answers if questions is None or q in questions]
    return tuple(answer_words(case, q, case.prediction.answers[q]) for q in asked)


def answer_words(case: Case, question: str, answer: str) -> str:
    """An answer, its probability, and whether it is right where it was given and the truth is known."""
    probability = case.prediction.probabilities.get(question, {}).get(answer)
    bare = answer in ("yes", "no") or answer[:1].isdigit()  # means nothing without its question
    named = f"{question}: {answer}" if bare else answer
    given, truth = case.prediction.answers.get(question), case.answers.get(question)
    sign = "" if truth is None or answer != given else " ✓" if answer == truth else " ✗"
    return named + ("" if probability is None else f" {probability:.2f}") + sign


def answers_true(case: Case, questions: Sequence[str] | None) -> tuple[str, ...]:
    """The true answers to these questions (None = all), as far as they are known."""
    return tuple(f"{q}: {a}" for q, a in case.answers.items() if questions is None or q in questions)


def blank(width: int, height: int, words: str) -> Image.Image:
    """An empty place of a sheet, with the reason in words."""
    picture = Image.new("RGB", (width, height), (238, 238, 238))
    ImageDraw.Draw(picture).text((width // 2, height // 2), words, fill=SOFT, anchor="mm", font=font_of(14))
    return picture
