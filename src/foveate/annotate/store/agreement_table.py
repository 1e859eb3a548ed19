"""Agreement of the annotators of a project, from its store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.domain.agreement import Compared, agreement_of, compare_marks
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Item
from foveate.annotate.store.records import annotations_of
from foveate.data.agreement import Drawn
from foveate.web.timestamps import iso_time


@dataclass
class AgreementTable:
    """Agreement in a project; pixels are counted once per version of each annotation.

    Args:
        project: open.
    """

    project: Project
    counted: dict[int, tuple[tuple[Any, ...], list[Drawn]]] = field(default_factory=dict)

    def __call__(self, db: Session) -> dict[str, Any]:
        """Return everything that the page of agreement shows."""
        found = agreement_of(self._compared(db), protocol=self.project.protocol, schema=self.project.schema)
        for part in found["over_time"]:
            part["until"] = iso_time(part["until"])
        return found

    def _compared(self, db: Session) -> list[Compared]:
        """Images that at least two annotators have done, in the order in which they were completed."""
        found = []
        for item in db.scalars(select(Item).order_by(Item.id)):
            done = annotations_of(db, item)
            given = {name: marks for name, _, marks in done if marks.ungradable is None}
            if len(given) < 2:
                continue
            state = tuple((one.id, one.version) for _, one, _ in done)
            if item.id not in self.counted or self.counted[item.id][0] != state:
                shape = (item.rows, item.cols)
                drawn = compare_marks(item.image, shape, given, protocol=self.project.protocol)
                self.counted[item.id] = (state, drawn)
            saved = max(one.saved or 0.0 for _, one, _ in done)
            found.append(Compared(saved, given, self.counted[item.id][1]))
        return sorted(found, key=lambda one: one.at or 0.0)
