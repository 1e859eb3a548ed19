"""Marked lesions that contradict the grade, if the protocol applies the guideline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.domain.truth import FindingTruth
from foveate.core.guideline import Contradiction
from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.cleaning import against


def contradictions(
    row: Row, findings: Mapping[str, FindingTruth], *, protocol: Protocol, schema: LabelSchema
) -> list[Contradiction]:
    """List lesions that contradict the grade; none if the guideline is off or no grade is given.

    Args:
        row: its grade (``answers``), disc and fovea.
        findings: every finding of the image.
        protocol: its ``guideline``.
        schema: of the project.
    """
    guide = protocol.guideline
    if not guide.on or guide.question not in row.answers:
        return []
    masks = np.stack([findings[label].marked for label in schema.labels]).astype(np.uint8)
    known = np.stack([findings[label].known for label in schema.labels]).astype(np.uint8)
    return against(row, masks, known, schema=schema, guideline=protocol.guide(schema), indirect=guide.indirect)
