"""Refusals: errors that reach a page, with a status, a short code and a sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

FULL = ("disk is full", "53100", "no space left", "could not extend file")


class Refusal(ValueError):  # noqa: N818
    """A request that is refused.

    Args:
        status: of HTTP.
        code: short name for pages and tests.
        message: for a human; names no path of the server.
        details: more of the answer's body.
        wait: seconds after which it may be tried again.
    """

    def __init__(
        self, status: int, code: str, message: str, *, details: Mapping[str, Any] | None = None, wait: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details: Mapping[str, Any] = details or {}
        self.wait = wait


def of_database(error: DBAPIError) -> Refusal | None:
    """Return what a database's error means to someone who saves; None for an error of our own."""
    said = str(error.orig).lower()
    if any(mark in said for mark in FULL):
        return Refusal(
            507,
            "disk full",
            "The server's disk is full, nothing was saved. Inform the coordinator and keep this page open.",
        )
    if isinstance(error, OperationalError | InterfaceError):
        return Refusal(
            503, "store away", "The server's database does not answer: nothing was saved. Try again soon.", wait=2
        )
    return None
