"""The desk that every request passes: who is it, may they, and one transaction for what they do."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Request, Response
from sqlalchemy.orm import Session

from foveate.annotate import accounts
from foveate.annotate.accounts import Who
from foveate.annotate.pictures import Pictures
from foveate.annotate.refusal import Refusal
from foveate.annotate.room import Room

HEADER = "x-csrf-token"
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@dataclass(frozen=True)
class Desk:
    """What all answers share.

    Args:
        room: the open room.
        pictures: its images.
        secure: the cookie travels over https alone.
    """

    room: Room
    pictures: Pictures
    secure: bool = False

    @contextmanager
    def reading(self, request: Request, *roles: str) -> Iterator[tuple[Session, Who]]:
        """A session that only reads, of someone with one of these roles (none named: any).

        Raises:
            Refusal: not logged in, or another role.
        """
        with self.room.store.read() as db:
            yield db, self._who(db, request, roles)

    @contextmanager
    def writing(self, request: Request, *roles: str) -> Iterator[tuple[Session, Who]]:
        """A session that writes: on disk when the block is left. Errors as `reading`, and a missing CSRF token."""
        with self.room.store.write() as db:
            who = self._who(db, request, roles)
            if not secrets.compare_digest(request.headers.get(HEADER, "").encode(), who.csrf.encode()):
                raise Refusal(403, "csrf", "The page is out of date; load it again.")
            yield db, who

    @property
    def cookie(self) -> str:
        """Name of the session's cookie: one a room, as browsers do not tell the ports of a machine apart."""
        return cookie_of(self.room)

    def greet(self, response: Response, token: str) -> None:
        """Hand out a session's cookie."""
        response.set_cookie(
            self.cookie,
            token,
            httponly=True,
            samesite="strict",
            secure=self.secure,
            path="/",
            max_age=int(accounts.DAY),
        )

    def _who(self, db: Session, request: Request, roles: tuple[str, ...]) -> Who:
        found = accounts.who(db, request.cookies.get(self.cookie))
        if found is None:
            raise Refusal(401, "login", "Please log in.")
        if roles and not found.may(*roles):
            raise Refusal(403, "forbidden", f"This needs the role {' or '.join(roles)}.")
        return found


def cookie_of(room: Room) -> str:
    """What the cookie of a room's sessions is called."""
    return f"foveate-{room.id}"


def address(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""
