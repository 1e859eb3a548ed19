"""Times as pages get them."""

from __future__ import annotations

import time


def iso_time(seconds: float | None) -> str | None:
    """Write seconds since 1970 as ISO 8601 in UTC, to the millisecond; None stays None.

    >>> iso_time(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
