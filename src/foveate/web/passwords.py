"""Passwords as argon2 hashes, other secrets as SHA-256."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from foveate.web.refusal import Refusal

SHORTEST, LONGEST = 10, 256
HASHER = PasswordHasher()
AT_ONCE, WAITING = 2, 12
"""Passwords that are hashed at the same time, and that may wait for it. A hash takes 64 MB and a tenth of a second on
purpose; the threads that wait are those that answer requests (40), so most of them must stay free for saves."""


class Hashing:
    """Hashes passwords, a few at a time; used before a session that writes is opened, never inside one."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + WAITING)

    def hashed(self, password: str) -> str:
        """Return the argon2 hash of a password.

        Raises:
            Refusal: it is too short or too long, or too many people log in at this moment.
        """
        check_length(password)
        with self._turn():
            return HASHER.hash(password)

    def matches(self, kept: str | None, password: str) -> bool:
        """Whether a password has this hash; without a hash it takes as long, and the answer is no.

        Raises:
            Refusal: too many people log in at this moment.
        """
        with self._turn():
            try:
                return HASHER.verify(kept or _nobody(), password[:LONGEST]) and kept is not None
            except (Argon2Error, InvalidHashError):
                return False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Refusal(503, "busy", "Many people log in at this moment. Try again in a few seconds.", wait=3)
        try:
            with self._slots:
                yield
        finally:
            self._places.release()


def check_length(password: str) -> None:
    """Refuse a new password that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refusal(422, "invalid", f"password: give {SHORTEST} to {LONGEST} characters")


def digest(token: str) -> str:
    """Return what is kept of a secret that is random and long: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


@cache
def _nobody() -> str:
    """A hash that is checked if there is no such account, so that nobody learns names from the time it takes."""
    return HASHER.hash(secrets.token_hex())
