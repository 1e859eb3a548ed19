"""What is marked against the grade that was given, where the protocol wants the guideline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foveate.annotate.room import Room
from foveate.annotate.truth import Told
from foveate.core.guideline import Contradiction
from foveate.core.types import Row
from foveate.data.cleaning import against


def contradictions(room: Room, row: Row, said: Mapping[str, Told]) -> list[Contradiction]:
    """What does not go together; nothing where the guideline is off or no grade is given.

    Args:
        room: its protocol.
        row: its grade (``answers``), disc and fovea.
        said: what is known of every finding.
    """
    guide = room.protocol.guideline
    if not guide.on or guide.question not in row.answers:
        return []
    masks = np.stack([said[label].marked for label in room.schema.labels]).astype(np.uint8)
    known = np.stack([said[label].known for label in room.schema.labels]).astype(np.uint8)
    named = room.protocol.guide(room.schema)
    return against(row, masks, known, schema=room.schema, guideline=named, indirect=guide.indirect)
