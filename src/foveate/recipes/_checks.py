"""One message for a keyword whose value is not one of the names that there are."""

from __future__ import annotations

from collections.abc import Collection


def one_of(name: str, value: object, values: Collection[object]) -> None:
    """ValueError if a keyword has another value than these."""
    if value not in values:
        raise ValueError(f"{name} must be one of {list(values)}, got {value!r}")
