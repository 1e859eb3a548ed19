"""Counts, of which every metric is made: pixels per image and label, and scores per image and answer.

Only what is known is counted. A metric never sees an image again, so a run's metrics, intervals and tables can be
made from two small CSV files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from foveate.core.labels import LabelSchema
from foveate.metrics import table
from foveate.metrics.tally import ANSWERS, LOOKS, PIXELS, answer_rows, pixel_rows


class LabelCounts(NamedTuple):
    """One label in the m images where something is known of it; ``image`` holds positions in `Counts.images`."""

    image: Int[np.ndarray, " m"]
    tp: Int[np.ndarray, " m"]
    fp: Int[np.ndarray, " m"]
    fn: Int[np.ndarray, " m"]
    tn: Int[np.ndarray, " m"]
    probability: Float[np.ndarray, " m"]
    truth: Int[np.ndarray, " m"]
    more: Mapping[str, np.ndarray] = MappingProxyType({})


class QuestionScores(NamedTuple):
    """One question in the m images whose answer is known; truth and given are positions of its k answers."""

    image: Int[np.ndarray, " m"]
    probability: Float[np.ndarray, "m k"]
    truth: Int[np.ndarray, " m"]
    given: Int[np.ndarray, " m"]


@dataclass(frozen=True, eq=False)
class Counts:
    """Pixel counts and answer scores of a set of images.

    Args:
        schema: names the labels and questions.
        pixels: a row for each image and label of which at least one pixel is known: image, group (patient), label,
            tp, fp, fn, tn (known pixels), probability (highest in a known pixel: the score of presence), truth (1 if
                        a known pixel has the label); then any columns of numbers (float), which a metric may ask for.
                    answers: a row for each answer of each image and question whose truth is known: image, group,
                        question, answer, probability, truth (1 = it is true), given (1 = it was given).
                    looks: a row for each image and finding that is present and has a known cue or mask: image, group,
                        question, cue (AIR: the share of the activation inside the cue), share (of the image that the
                        cue takes), mask (AIR of the mask), hit (the highest activation is inside the mask), dice (of
                        the mask and the activation from 0.5 on); nan without a cue or without a mask. Without rows if
                        no activation map was evaluated.

    Raises:
        ValueError: columns are missing or of the wrong type, a name is not in the schema, a probability is nan or
            outside [0, 1], a row is doubled, an image is in two groups.
    """

    schema: LabelSchema
    pixels: table.Table
    answers: table.Table
    looks: table.Table = field(default_factory=lambda: table.build(LOOKS, dict.fromkeys(LOOKS, ())))

    def __post_init__(self) -> None:
        table.check(self.pixels, table.extended(self.pixels, PIXELS), name="pixels")
        table.check(self.answers, ANSWERS, name="answers")
        table.check(self.looks, LOOKS, name="looks")
        for name, rows in (("pixels", self.pixels), ("answers", self.answers)):
            low, high = rows["probability"].min(initial=0.0), rows["probability"].max(initial=1.0)
            if not (low >= 0.0 and high <= 1.0 + 1e-3):  # softmax and averages of probabilities may round above 1
                raise ValueError(
                    f"{name}: probability reaches from {low} to {high}; "
                    "give probabilities, not logits (nan: the network diverged)"
                )
        named = {(label,) for label in self.schema.labels} | {
            (q.name, a) for q in self.schema.questions for a in q.answers
        }
        if strange := {*_keys(self.pixels, "label"), *_keys(self.answers, "question", "answer")} - named:
            raise ValueError(
                f"{_some(strange)} are not labels or answers of the schema; read the counts with their own schema"
            )
        if lost := set(_groups(self.looks)) - {*_groups(self.pixels), *_groups(self.answers)}:
            raise ValueError(f"looks: {_some(lost)} have no row in pixels or answers; count them too")
        keys = (("image", "label"), ("image", "question", "answer"), ("image", "question"))
        for rows, key in zip((self.pixels, self.answers, self.looks), keys, strict=True):
            _refuse_doubles(_keys(rows, *key))
        _refuse_doubles(image for image, _ in dict.fromkeys([*_groups(self.pixels), *_groups(self.answers)]))

    # -- made --------------------------------------------------------------------------------------------------------

    @classmethod
    def of(
        cls,
        schema: LabelSchema,
        *,
        images: Sequence[str],
        groups: Sequence[str],
        probability: Float[np.ndarray, "b p h w"],
        predicted: Bool[np.ndarray, "b p h w"],
        masks: Bool[np.ndarray, "b l h w"],
        known: Bool[np.ndarray, "b l h w"],
        answer_probability: Mapping[str, np.ndarray],
        given: Mapping[str, np.ndarray],
        answers: Int[np.ndarray, "b q"],
        looks: Sequence[table.Table] = (),
    ) -> Counts:
        """Count a batch. The rows come image by image, so batches of any size join to the same tables.

        Args:
            schema: gives the order of labels and questions.
            images: names of the b images, all different.
            groups: what is resampled as a whole (the patient), for each image.
            probability: of each label in each pixel; ``(b, 0, h, w)`` from a network that marks nothing.
            predicted: pixels given each label; same shape as ``probability``.
            masks: true pixels of each label.
            known: pixels where that truth is known; a label unknown in a whole image gets no row.
            answer_probability: question -> ``(b, k)``; questions that the network does not answer are left out.
            given: question -> ``(b,)`` position of the answer given, for the same questions.
            answers: positions of the true answers by schema order, -1 unknown: those get no row.
            looks: activation inside cues and masks (`localisation.look_rows`), one table per finding.

        Raises:
            ValueError: shapes do not fit, an image is doubled, a probability is not one.
        """
        _refuse_doubles(images)
        pixels = pixel_rows(
            schema, images=images, groups=groups, probability=probability, predicted=predicted, masks=masks, known=known
        )
        scored = answer_rows(
            schema, images=images, groups=groups, answer_probability=answer_probability, given=given, answers=answers
        )
        empty = table.build(LOOKS, dict.fromkeys(LOOKS, ()))
        return cls(schema, pixels, scored, table.stack([empty, *looks]))

    @classmethod
    def join(cls, parts: Sequence[Counts]) -> Counts:
        """The images of several batches or folds together, each once.

        Raises:
            ValueError: there is no part, their schemas differ, or an image is in two of them.
        """
        if not parts:
            raise ValueError("parts is empty; give at least one Counts")
        if any(part.schema != parts[0].schema for part in parts):
            raise ValueError("parts have different schemas; evaluate them under one schema")
        _refuse_doubles(image for part in parts for image in part.images)
        tables = ([part.pixels for part in parts], [part.answers for part in parts], [part.looks for part in parts])
        return cls(parts[0].schema, *map(table.stack, tables))

    def take(self, images: Sequence[str]) -> Counts:
        """These images only, in this order.

        Raises:
            ValueError: an image is not there or is named twice.
        """
        _refuse_doubles(images)
        if strange := set(images) - set(self.images):
            raise ValueError(f"images={_some(strange)} are not among the {len(self)} counted")
        wanted = np.full(len(self), len(self))
        wanted[[self._position[image] for image in images]] = np.arange(len(images))
        parts = []
        look_image = np.array([self._position[image] for image in self.looks["image"].tolist()], np.int64)
        every = (self._pixel_image, self._answer_image, look_image)
        for rows, image in zip((self.pixels, self.answers, self.looks), every, strict=True):
            order = np.argsort(wanted[image], kind="stable")
            parts.append(table.rows(rows, order[wanted[image][order] < len(self)]))
        return Counts(self.schema, *parts)

    # -- read --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.images)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        tables = ((self.pixels, other.pixels), (self.answers, other.answers), (self.looks, other.looks))
        return self.schema == other.schema and all(table.equal(ours, theirs) for ours, theirs in tables)

    @cached_property
    def groups(self) -> dict[str, str]:
        """Image -> group, in order of first appearance (in ``pixels``, then in ``answers``)."""
        return dict([*_groups(self.pixels), *_groups(self.answers)])

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Names of the images of which anything was counted, each once, in the order of weights."""
        return tuple(self.groups)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {image: position for position, image in enumerate(self.images)}

    @cached_property
    def _pixel_image(self) -> np.ndarray:
        return np.array([self._position[image] for image in self.pixels["image"].tolist()], np.int64)

    @cached_property
    def _answer_image(self) -> np.ndarray:
        return np.array([self._position[image] for image in self.answers["image"].tolist()], np.int64)

    @cached_property
    def labels(self) -> dict[str, LabelCounts]:
        """The counts of each label of the schema; of no image where nothing is known."""
        out = {}
        for label in self.schema.labels:
            at = np.flatnonzero(self.pixels["label"] == label)
            more = {name: values[at] for name, values in self.pixels.items() if name not in PIXELS}
            tp, fp, fn, tn, probability, truth = (self.pixels[name][at] for name in LabelCounts._fields[1:-1])
            out[label] = LabelCounts(self._pixel_image[at], tp, fp, fn, tn, probability, truth, more)
        return out

    @cached_property
    def questions(self) -> dict[str, QuestionScores]:
        """The scores of each question of the schema; of no image where nothing is known."""
        out = {}
        for q in self.schema.questions:
            at = [
                np.flatnonzero((self.answers["question"] == q.name) & (self.answers["answer"] == a)) for a in q.answers
            ]
            at = [rows[np.argsort(self._answer_image[rows])] for rows in at]
            image = self._answer_image[at[0]]
            if any(not np.array_equal(self._answer_image[rows], image) for rows in at):
                raise ValueError(
                    f"answers: question {q.name!r} lacks rows; give all of {list(q.answers)} for each image"
                )
            columns = {
                c: np.stack([self.answers[c][rows] for rows in at], 1) for c in ("probability", "truth", "given")
            }
            for c in ("truth", "given"):
                if (columns[c].sum(1) != 1).any():
                    raise ValueError(f"answers: question {q.name!r} needs {c}=1 for exactly one answer of an image")
            out[q.name] = QuestionScores(
                image, columns["probability"], columns["truth"].argmax(1), columns["given"].argmax(1)
            )
        return out

    # -- on paper ----------------------------------------------------------------------------------------------------

    def write(self, folder: Path) -> None:
        """Write ``counts.csv`` (image x label), ``scores.csv`` (image x answer) and ``looks.csv`` (image x finding,
        where there are any) into a folder; made if missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = {folder / "counts.csv": self.pixels, folder / "scores.csv": self.answers}
        if len(self.looks["image"]):
            files[folder / "looks.csv"] = self.looks
        else:
            (folder / "looks.csv").unlink(missing_ok=True)
        table.write(files)

    @classmethod
    def read(cls, folder: Path, schema: LabelSchema) -> Counts:
        """Inverse of `write`, equal to the last digit; ValueError where a file is damaged or of another schema."""
        looks = [table.read(path, LOOKS) for path in [folder / "looks.csv"] if path.is_file()]
        empty = table.build(LOOKS, dict.fromkeys(LOOKS, ()))
        pixels = table.read(folder / "counts.csv", PIXELS, more=True)
        answers = table.read(folder / "scores.csv", ANSWERS)
        return cls(schema, pixels, answers, table.stack([empty, *looks]))


def _keys(rows: table.Table, *columns: str) -> list[tuple[str, ...]]:
    return list(zip(*(rows[column].tolist() for column in columns), strict=True))


def _groups(rows: table.Table) -> list[tuple[str, str]]:
    return list(zip(rows["image"].tolist(), rows["group"].tolist(), strict=True))


def _refuse_doubles(names: Iterable[object]) -> None:
    seen: set[object] = set()
    if doubled := {name for name in names if name in seen or seen.add(name)}:  # type: ignore[func-returns-value]
        raise ValueError(
            f"{_some(doubled)} twice; an image counts once and belongs to one group: leave the doubles out"
        )


def _some(names: Iterable[object]) -> list[object]:
    return sorted(names, key=str)[:10]
