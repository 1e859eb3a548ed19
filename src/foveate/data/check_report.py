"""Results of a check, and their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foveate.data.agreement import Agreement
from foveate.data.duplicates import Near
from foveate.data.shortcuts import Shortcut
from foveate.data.split import Leak

SHOWN = 10  # lines of a list in the text; the report holds all


@dataclass(frozen=True)
class LabelCount:
    """How much is known of one label: images, those with a known pixel, those with a marked one, marked pixels."""

    images: int = 0
    known: int = 0
    positive: int = 0
    pixels: int = 0


@dataclass(frozen=True)
class Report:
    """Results of `check`.

    Args:
        images: number of rows.
        groups: number of groups that must stay together.
        labels: part -> label -> counts; the parts are the splits and "all".
        answers: part -> question -> answer -> images; "unknown" counts those without.
        unreadable: files that are missing or cannot be decoded, with the reason.
        mismatching: masks of another size than their image.
        changed: images that are not those that were scanned (`Row.sha256`).
        silent: labels that have mask files and no marked pixel in any: a network would learn that they never occur.
        duplicates: ids that show the same pixels.
        near: pairs that show the same picture in other pixels.
        contradictions: answers that the masks refute, and duplicates that are answered differently.
        leaks: groups, duplicates and near duplicates in more than one split or fold.
        agreement: of the annotators, where a label has several.
        shortcuts: answers that can be guessed without looking at the retina, the surest first.
        notes: what is worth knowing and not wrong.
        about: line of ``mismatching`` or ``contradictions`` that speaks of one image -> its id.
    """

    images: int
    groups: int
    labels: Mapping[str, Mapping[str, LabelCount]]
    answers: Mapping[str, Mapping[str, Mapping[str, int]]]
    unreadable: tuple[str, ...] = ()
    mismatching: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    near: tuple[Near, ...] = ()
    contradictions: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether training on it is sound: every file read as what it should be, and nothing leaks."""
        return not (self.unreadable or self.mismatching or self.changed or self.leaks or self.silent)

    @property
    def lists(self) -> dict[str, tuple[str, ...]]:
        """Title -> lines of every list, the gravest first; empty ones too."""
        return {
            "unreadable": self.unreadable,
            "masks of another size": self.mismatching,
            "changed since the scan": self.changed,
            "labels without a marked pixel": self.silent,
            "leaks": tuple(map(str, self.leaks)),
            "same pixels": tuple(" = ".join(ids) for ids in self.duplicates),
            "same picture in other pixels": tuple(map(str, self.near)),
            "contradictions": self.contradictions,
            "warning, answers that need no look at the retina": tuple(map(str, self.shortcuts)),
            "notes": self.notes,
        }

    def __str__(self) -> str:
        parts = list(self.labels)
        lines = [f"{self.images} images in {self.groups} groups (patient, else eye, volume, image)", ""]
        if questions := self.answers[parts[0]]:
            table = [["question", "answer", *parts]]
            for question, answers in questions.items():
                table += [
                    [question, answer, *(str(self.answers[p][question][answer]) for p in parts)] for answer in answers
                ]
            lines += [*_table(table, text=2), ""]
        if labels := self.labels[parts[0]]:
            table = [["label", "part", "images", "known", "positive", "pixels"]]
            for label in labels:
                for part in parts:
                    c = self.labels[part][label]
                    table.append([label, part, *map(str, (c.images, c.known, c.positive, c.pixels))])
            lines += [*_table(table, text=2), ""]
        if self.agreement:
            table = [["label", "annotators", "images", "marked", "Dice mean", "median", "kappa"]]
            for a in self.agreement:
                figures = [f"{v:.3f}" for v in (a.mean, a.middle, a.kappa)]
                table.append([a.label, ", ".join(a.annotators), str(a.images), str(a.either), *figures])
            lines += [*_table(table, text=2), ""]
        for title, items in self.lists.items():
            if items:
                lines += [f"{title}: {len(items)}", *(f"  {item}" for item in items[:SHOWN])]
                lines += [f"  ... and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
        return "\n".join([*lines, "ok" if self.ok else "NOT OK"])


def _table(rows: Sequence[Sequence[str]], *, text: int) -> list[str]:
    """Columns side by side: the first ones ragged right, the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i < text else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
