"""Who may do what: every request passes here, in one transaction with what it does."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Path, Request, Response
from sqlalchemy.orm import Session

from foveate.web import sessions
from foveate.web.passwords import Hashing
from foveate.web.refusal import Refusal
from foveate.web.sessions import Who

HEADER = "x-csrf-token"
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Sessions(Protocol):
    """A database: sessions that read, and sessions that write."""

    def read(self) -> AbstractContextManager[Session]:
        """A session that changes nothing."""

    def write(self) -> AbstractContextManager[Session]:
        """A session that is on disk when the block is left, or has changed nothing if it raises."""


@dataclass(frozen=True)
class Access:
    """The entrance of one server.

    Args:
        store: its database.
        cookie: name of the session's cookie. Each server needs its own: a browser sends the cookies of all ports of a
            machine.
        secure: the cookie travels over https alone.
        hashing: of passwords; a few at a time in one server.
    """

    store: Sessions
    cookie: str
    secure: bool = False
    hashing: Hashing = field(default_factory=Hashing)

    @contextmanager
    def reading(self, request: Request, *roles: str) -> Iterator[tuple[Session, Who]]:
        """Open a session that reads, for an account with one of these roles (without roles: any account).

        Raises:
            Refusal: not logged in, or without such a role.
        """
        with self.store.read() as db:
            yield db, self._who(db, request, roles)

    @contextmanager
    def writing(self, request: Request, *roles: str) -> Iterator[tuple[Session, Who]]:
        """Open a session that writes: on disk when the block is left. Also refuses a request without CSRF token."""
        with self.store.write() as db:
            who = self._who(db, request, roles)
            if not secrets.compare_digest(request.headers.get(HEADER, "").encode(), who.csrf.encode()):
                raise Refusal(403, "csrf", "The page is out of date; load it again.")
            yield db, who

    def set_cookie(self, response: Response, token: str) -> None:
        """Give a browser its session's cookie."""
        self._set(response, self.cookie, token, seconds=sessions.LASTS)

    def browser(self, request: Request, user: int) -> str | None:
        """The secret by which a browser shows that it has logged in to an account before; each account has its own."""
        return request.cookies.get(f"{self.cookie}-{user}")

    def set_browser(self, response: Response, user: int, token: str) -> None:
        """Give a browser this secret."""
        self._set(response, f"{self.cookie}-{user}", token, seconds=sessions.REMEMBERED)

    def _set(self, response: Response, name: str, value: str, *, seconds: float) -> None:
        response.set_cookie(
            name, value, httponly=True, samesite="strict", secure=self.secure, path="/", max_age=int(seconds)
        )

    def delete_cookie(self, response: Response) -> None:
        """Take the cookie back."""
        response.delete_cookie(self.cookie, path="/", httponly=True, samesite="strict", secure=self.secure)

    def _who(self, db: Session, request: Request, roles: tuple[str, ...]) -> Who:
        found = sessions.who(db, request.cookies.get(self.cookie))
        if found is None:
            raise Refusal(401, "login", "Please log in.")
        if roles and not found.may(*roles):
            raise Refusal(403, "forbidden", f"This needs the role {' or '.join(roles)}.")
        return found


def address(request: Request) -> str:
    """The network address that a request comes from."""
    return request.client.host if request.client else ""
