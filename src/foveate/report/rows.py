"""Content of a data set, counted from its rows: images and patients per split, known answers, known masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from foveate.core.labels import LabelSchema
from foveate.core.types import Row

Counted = Mapping[str, Mapping[str, int]]
"""Row of a table -> column -> number."""

NO_SPLIT = "no split"


def describe(rows: Iterable[Row], *, schema: LabelSchema) -> dict[str, int | Counted]:
    """Numbers of a data set: totals under plain names, and a table under each name whose value is a mapping.

    A patient is `Row.group`: the patient if it is named, else the eye, the volume or the image itself. The total is
    called "groups" if a row does not name its patient. A patient in several splits is a leak. For each label an image
    has "a mask" (maybe an empty one), or the label is "stated absent", or it is unknown.

    Args:
        rows: the rows of all splits.
        schema: the questions and labels to count; others in the rows are not counted.
    """
    every = list(rows)
    there = {row.split or NO_SPLIT for row in every}
    order = [name for name in ("train", "val", "test") if name in there]
    parts: dict[str, list[Row]] = {name: [] for name in (*order, *sorted(there - set(order)))}
    for row in every:
        parts[row.split or NO_SPLIT].append(row)
    patients = "patients" if every and all(row.patient for row in every) else "groups"
    out: dict[str, int | Counted] = {"images": len(every), patients: _groups(every)}
    if len(parts) > 1:
        homes = Counter(group for part in parts.values() for group in {row.group for row in part})
        out[f"{patients} in several splits"] = sum(times > 1 for times in homes.values())
    out["splits"] = {name: {"images": len(part), patients: _groups(part)} for name, part in parts.items()}
    for question in schema.questions:
        given = {
            name: [question.answers[question.index(a)] for r in part if (a := r.answers.get(question.name)) is not None]
            for name, part in parts.items()
        }
        lines = {a: {name: answers.count(a) for name, answers in given.items()} for a in question.answers}
        lines["unknown"] = {name: len(parts[name]) - len(answers) for name, answers in given.items()}
        out[f"answers: {question.name}"] = lines
    if schema.labels:
        out["labels"] = {label: _label(every, label) for label in schema.labels}
    return out


def _label(rows: Sequence[Row], label: str) -> dict[str, int]:
    sources = [row.masks[label] for row in rows if row.masks.get(label)]
    drawn = sum(any(source.path is not None for source in mask) for mask in sources)
    annotators = max((len(mask) for mask in sources), default=0)
    return {
        "a mask": drawn,
        "stated absent": len(sources) - drawn,
        "unknown": len(rows) - len(sources),
        "annotators at most": annotators,
    }


def _groups(rows: Sequence[Row]) -> int:
    return len({row.group for row in rows})
