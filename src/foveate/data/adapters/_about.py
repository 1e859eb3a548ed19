"""Facts on a public data set: its authors, source and terms, and the numbers that its adapter should find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from foveate.core.types import Row


@dataclass(frozen=True)
class About:
    """A public data set in words and numbers.

    Args:
        name: short name; the rows' ``source``.
        title: its full name.
        modality: of all images, unless a row has another: fundus, oct, enface.
        source: where a user gets it.
        terms: licence, form or registration that a user needs.
        citation: authors, title, where, year.
        layout: the folders and files that the adapter looks for; part of the error for another folder.
        expects: name of a count (see `counts`) -> its published number; another number found is a warning.
        missing: meaning of a missing mask file.
        notes: other facts for users: identities, polarity, overlaps with other data sets.

    Raises:
        ValueError: one of the needed texts is empty.
    """

    name: str
    title: str
    modality: str
    source: str
    terms: str
    citation: str
    layout: str
    expects: Mapping[str, int] = field(default_factory=dict)
    missing: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "title", "modality", "source", "terms", "citation", "layout"):
            if not getattr(self, key).strip():
                raise ValueError(f"About {self.name!r}: {key} is empty; a user of the set needs to know it")

    @property
    def info(self) -> dict[str, Any]:
        """The facts that a manifest keeps."""
        return {"name": self.name, "title": self.title, "licence": self.terms, "citation": self.citation}

    def differences(self, rows: Iterable[Row]) -> list[str]:
        """Counts that differ from the published ones, with both numbers; empty if all agree."""
        found = counts(rows)
        return [
            f"{what}: {found[what]} found, {number} expected"
            for what, number in self.expects.items()
            if found[what] != number
        ]


def counts(rows: Iterable[Row]) -> Counter[str]:
    """Counts by name: ``images``, ``patients``, ``train images`` (split), ``seg images`` (ids ``seg/...``),
    ``grade 3`` (question and answer), ``masks of fluid`` (images with a file), ``fluid absent`` (images stated free of
    it)."""
    found: Counter[str] = Counter()
    patients, eyes, volumes = set(), set(), set()
    for row in rows:
        found["images"] += 1
        part, slash, _ = row.id.partition("/")
        for name in {part if slash else None, row.split} - {None}:
            found[f"{name} images"] += 1
        for question, answer in row.answers.items():
            found[f"{question} {answer}"] += 1
        for label, sources in row.masks.items():
            given = any(source.path is not None for source in sources)
            found[f"masks of {label}" if given else f"{label} absent"] += 1
        patients.add(row.patient)
        eyes.add(row.eye)
        volumes.add(row.volume)
    found |= Counter(
        {k: len(v - {None}) for k, v in {"patients": patients, "eyes": eyes, "volumes": volumes}.items() if v - {None}}
    )
    return found
