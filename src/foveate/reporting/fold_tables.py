"""Of an ensemble's report: the folds side by side, and cases read by the members that have not seen them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from foveate.core.types import Case, Row
from foveate.data.manifest import Manifest
from foveate.engine.ensemble import Ensemble
from foveate.engine.run import Run
from foveate.inference.case_choice import make_cases
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.report.study import comparison, measured
from foveate.report.table import Column, Table


def fold_tables(run: Ensemble, counts: Counts, *, absent: str) -> list[Table]:
    """A row per part of the evaluated images: who read them and how well; none if all members read every image.

    Args:
        run: the ensemble.
        counts: of its evaluation, in which each image was read by the members that have not seen it.
        absent: what an image free of a label scores.
    """
    images: dict[tuple[int, ...], list[str]] = {}
    for image, group in counts.groups.items():
        images.setdefault(run.free_of(Row(image, "", patient=group)), []).append(image)
    if len(images) < 2 or () in images:  # () = read by members that have seen them
        return []
    names = [member.folder.name for member in run.members]
    parts = {", ".join(names[i] for i in free): counts.take(found) for free, found in sorted(images.items())}
    parts["all images"] = counts
    schema = counts.schema
    wanted = [f"pixel/dice_present/{label}" for label in schema.labels]
    wanted += [f"image/{'qkappa' if q.ordered else 'auc'}/{q.name}" for q in schema.questions]
    table = comparison("Folds", parts, measured(wanted, parts, absent=absent), absent=absent)
    sizes = Column("images", digits=0)
    rows = tuple((row[0], len(part), *row[1:]) for row, part in zip(table.rows, parts.values(), strict=True))
    columns = (replace(table.columns[0], name="read by"), sizes, *(replace(c, better=None) for c in table.columns[1:]))
    said = "Each image was read by the members that were neither trained nor validated on it or its patient."
    # the page warns of the whole and draws the whole; of six images every other label is never given
    left_out = ("Warning:", *(f"{name}:" for name in list(parts)[:-1]))
    return [
        replace(table, columns=columns, rows=rows, note=(said, *(n for n in table.note if not n.startswith(left_out))))
    ]


def held_out_cases(
    run: Run, rows: Manifest, ids: Sequence[str], *, scores: Mapping[str, float], seen: bool, device: str
) -> list[Case]:
    """These images read again as they were evaluated, in their order.

    Args:
        run: or ensemble.
        rows: a manifest that holds them.
        ids: of the images.
        scores: of all images.
        seen: whether all members of an ensemble read every image.
        device: where the networks run.
    """
    wanted = {image: place for place, image in enumerate(ids)}
    found: list[Case] = []
    for part, some in run.held_out(rows.where(lambda row: row.id in wanted), seen=seen):
        found += make_cases(Predictor(part, device=device), some, [row.id for row in some], scores=dict(scores))
    return sorted(found, key=lambda case: wanted[case.prediction.id])
