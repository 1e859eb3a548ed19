"""Passwords as argon2 hashes, other secrets as SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from foveate.web.refusal import Refusal

SHORTEST, LONGEST = 10, 256
HASHER = PasswordHasher()


def hashed(password: str) -> str:
    """Return the argon2 hash of a password; Refusal if it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refusal(422, "invalid", f"password: give {SHORTEST} to {LONGEST} characters")
    return HASHER.hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether a password has this hash; without a hash it takes as long, and the answer is no."""
    try:
        return HASHER.verify(kept or _nobody(), password[:LONGEST]) and kept is not None
    except (Argon2Error, InvalidHashError):
        return False


def digest(token: str) -> str:
    """Return what is kept of a secret that is random and long: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


@cache
def _nobody() -> str:
    """A hash that is checked if there is no such account, so that nobody learns names from the time it takes."""
    return HASHER.hash(secrets.token_hex())
