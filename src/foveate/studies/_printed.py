"""A paper's table as it was printed -> the metrics that a study's table shows beside its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def printed(metrics: Sequence[str], rows: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, float]]:
    """Row -> figure -> value, as `engine.study.StudyTable` takes it for ``paper``.

    Args:
        metrics: our names of the paper's columns, in their order.
        rows: row -> its values; None = the paper does not print it.

    Raises:
        ValueError: a row has another number of values than there are metrics.
    """
    return {
        row: {name: value for name, value in zip(metrics, values, strict=True) if value is not None}
        for row, values in rows.items()
    }
