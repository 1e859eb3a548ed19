"""``foveate check --page``: a page with the result of a check and contact sheets; each image is read again, small."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from foveate.core.types import Row
from foveate.data import read
from foveate.data.check_report import Report
from foveate.data.manifest import Manifest
from foveate.report.contact_sheets import Sheet, Thumb, check_page, shot
from foveate.report.table import Column, Table

MOST = 400  # pictures on a page
Strip = tuple[str, Sequence[Thumb]]


def write_check_page(
    path: str | Path,
    *,
    manifest: Manifest,
    report: Report,
    most: int = MOST,
    seed: int = 0,
    when: datetime | None = None,
) -> Path:
    """Write the page of a check; return its path.

    At most half of the pictures show suspicious images (duplicates side by side, contradictions, masks of another
    size). The others are drawn at random from each split.

    Args:
        path: the page.
        manifest: the checked data set.
        report: the result of the check.
        most: pictures on the page.
        seed: of the random choice.
        when: date on the page; None = now.
    """
    rows = {row.id: row for row in manifest}
    camera = _Camera(manifest)
    sheets = _suspicious(report, rows, camera, most // 2)
    shown = sum(len(thumbs) for sheet in sheets for _, thumbs in sheet.strips)
    sheets += _sampled(manifest, camera, most - shown, seed)
    name = manifest.info.get("name") or (manifest.path.stem if manifest.path else "manifest")
    facts = [("images", str(report.images)), ("groups (patient, else eye, volume, image)", str(report.groups))]
    facts += [(title, str(len(lines))) for title, lines in report.lists.items() if lines and title != "notes"]
    return check_page(
        path,
        title=f"Check of {name}",
        ok=report.ok,
        facts=facts,
        lists=report.lists,
        tables=_tables(report),
        sheets=sheets,
        labels=manifest.schema.labels,
        when=when,
    )


class _Camera:
    """Reads rows as small pictures."""

    def __init__(self, manifest: Manifest) -> None:
        self.root, self.schema = manifest.root, manifest.schema

    def take(self, row: Row, words: Sequence[str] = ()) -> Thumb | None:
        """The row's picture with its masks where they fit; None where the image cannot be read."""
        try:
            image = read.image(self.root / row.image, frame=row.frame)
        except read.Unreadable:
            return None
        shape = (image.shape[0], image.shape[1])
        said = list(words)
        try:
            masks, known = read.masks(row, self.root, self.schema, shape=shape)
        except read.Unreadable:
            masks = known = np.zeros((len(self.schema.labels), *shape), np.uint8)
            said.append("masks not shown")
        marked = [f"{n} {int(m.sum())} px" for n, m in zip(self.schema.labels, masks, strict=True) if m.any()]
        free = [n for n, m, k in zip(self.schema.labels, masks, known, strict=True) if k.any() and not m.any()]
        said += marked + [f"no {', '.join(free)}"] * bool(free)
        alt = f"{row.id}: {', '.join(marked) or 'nothing marked'}"
        picture = shot(image, masks=masks, labels=self.schema.labels, alt=alt)
        return Thumb(picture, row.id, row.split or "", row.answers, said)

    def strip(self, words: str, rows: Iterable[Row]) -> Strip | None:
        """Pictures side by side; None where none can be read."""
        taken = [thumb for row in rows if (thumb := self.take(row)) is not None]
        return (words, taken) if taken else None


def _suspicious(report: Report, rows: dict[str, Row], camera: _Camera, most: int) -> list[Sheet]:
    leaking = {i for leak in report.leaks for i in leak.ids}
    across = [ids for ids in report.duplicates if set(ids) & leaking]
    within = [ids for ids in report.duplicates if not set(ids) & leaking]
    near = sorted(report.near, key=lambda pair: not set(pair.ids) & leaking)
    grave = any(set(pair.ids) & leaking for pair in near)
    double = {i for ids in [*report.duplicates, *(pair.ids for pair in report.near)] for i in ids}
    held = {leak.ids: str(leak) for leak in report.leaks if not set(leak.ids) & double}
    refuted = [(text, [report.about[text]]) for text in report.contradictions if text in report.about]
    misfits = [(text, [report.about[text]]) for text in report.mismatching if text in report.about]
    plans: list[tuple[str, str, bool, Sequence[tuple[str, Sequence[str]]]]] = [
        ("same", "Same pixels", bool(across), [("", ids) for ids in (*across, *within)]),
        ("near", "Same picture in other pixels", grave, [(_how(p.likeness, p.how), p.ids) for p in near]),
        ("leaks", "In two splits or folds", True, [(words, ids[:6]) for ids, words in held.items()]),
        ("contradictions", "Answers against masks", False, refuted),
        ("sizes", "Masks of another size", True, misfits),
    ]
    plans = [plan for plan in plans if plan[3]]
    sheets = []
    for left, (key, title, grave, strips) in zip(range(len(plans), 0, -1), plans, strict=True):
        taken: list[Strip] = []
        room = max(6, most // left)
        for words, ids in strips:
            if sum(len(thumbs) for _, thumbs in taken) + len(ids) > room:
                break
            taken += [strip for strip in [camera.strip(words, [rows[i] for i in ids])] if strip]
        most -= sum(len(thumbs) for _, thumbs in taken)
        sheets.append(Sheet(key, title, f"{len(taken)} of {len(strips)} are shown.", taken, grave))
    return sheets


def _sampled(manifest: Manifest, camera: _Camera, most: int, seed: int) -> list[Sheet]:
    """Make one sheet per split, with the same number of pictures if there are as many."""
    rng = np.random.default_rng(seed)
    parts = {part: [row for row in manifest if row.split == part] for part in ("train", "val", "test", None)}
    parts = {part: rows for part, rows in parts.items() if rows}
    sheets = []
    order = sorted(parts, key=lambda part: len(parts[part]))
    count: dict[str | None, int] = {}
    for left, part in zip(range(len(order), 0, -1), order, strict=True):
        count[part] = min(len(parts[part]), most // left)
        most -= count[part]
    for part, rows in parts.items():
        drawn = sorted(rng.choice(len(rows), count[part], replace=False))
        strips = [s for i in drawn if (s := camera.strip("", [rows[int(i)]])) is not None]
        words = f"{len(strips)} of {len(rows)} images, drawn by the seed {seed}. Click a picture to enlarge it."
        sheets.append(Sheet(f"part-{part or 'all'}", part or "Images in no split", words, strips))
    return sheets


def _how(likeness: float, how: str) -> str:
    return f"alike {likeness:.3f}{', the second ' * bool(how)}{how}"


def _tables(report: Report) -> list[Table]:
    parts = list(report.labels)
    out = []
    if questions := report.answers[parts[0]]:
        lines: list[tuple[str | int, ...]] = [
            (question, answer, *(report.answers[p][question][answer] for p in parts))
            for question, answers in questions.items()
            for answer in answers
        ]
        out.append(_table("Answers, images of each part", ["question", "answer", *parts], lines))
    if labels := report.labels[parts[0]]:
        counts = [(label, p, report.labels[p][label]) for label in labels for p in parts]
        heads = ["label", "part", "images", "known", "positive", "pixels"]
        out.append(_table("Labels", heads, [(n, p, c.images, c.known, c.positive, c.pixels) for n, p, c in counts]))
    if report.agreement:
        heads = ["label", "annotators", "images", "marked", "Dice mean", "Dice median", "kappa"]
        note = (
            "Dice: over images in which either marked the label. Kappa of presence: Cohen's, of more than two Fleiss'.",
        )
        rated = [
            (a.label, ", ".join(a.annotators), a.images, a.either, a.mean, a.middle, a.kappa) for a in report.agreement
        ]
        out.append(_table("Agreement of the annotators", heads, rated, note))
    return out


def _table(
    title: str, heads: Sequence[str], rows: Sequence[tuple[str | int | float, ...]], note: tuple[str, ...] = ()
) -> Table:
    return Table(title, tuple(Column(head) for head in heads), tuple(rows), note)
