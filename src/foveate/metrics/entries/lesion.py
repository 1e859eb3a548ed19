"""Metrics of single lesions of a size (`metrics.lesions`): they need the rows of lesions, so no log has them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from foveate.metrics import segmentation
from foveate.metrics.metric import Metric
from foveate.metrics.parts import Part, Values


def counted(score: segmentation.Score) -> Callable[[Part], Values]:
    """The score of lesions found (tp), false alarms (fp) and missed lesions (fn); no lesion is a true negative."""

    @wraps(score)
    def values(part: Part) -> Values:
        tp, fp, fn = (part.total(name) for name in ("tp", "fp", "fn"))
        return score(tp, fp, fn, 0 * tp)

    return values


METRICS = (
    Metric(
        "lesion/f1", "lesion F1", counted(segmentation.dice), of="lesions", logged="never", table=False,
        short="lesion_f1",
    ),
    Metric(
        "lesion/recall", "lesion recall", counted(segmentation.sensitivity), of="lesions", logged="never", table=False,
        short="lesion_sensitivity",
    ),
    Metric(
        "lesion/precision", "lesion precision", counted(segmentation.precision), of="lesions", logged="never",
        table=False, short="lesion_precision",
    ),
)  # fmt: skip
