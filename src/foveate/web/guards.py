"""Checks before every request (its size, the host that it names), and security headers after it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 16 * 2**20
"""Bytes of a request's body."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
HSTS = "max-age=31536000"
"""For a year a browser that came by https comes back by https only."""


class Guards:
    """ASGI middleware that refuses requests by size and host, and adds security headers.

    Args:
        app: the app behind it.
        hosts: names that the server answers to (this stops pages of other sites that point their own name at this
            machine), in any case; None = any, behind a proxy that checks.
        secure: the server is reached by https.
        largest: bytes of a body.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] | None, secure: bool = False, largest: int = LARGEST
    ) -> None:
        self.app, self.largest = app, largest
        self.hosts = None if hosts is None else {_plain(host) for host in hosts}
        self.headers = HEADERS | ({"strict-transport-security": HSTS} if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, then pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    answer.setdefault(name, value)
                answer.setdefault("cache-control", "no-store")
            await send(message)

        if self.hosts is not None and _plain(_name(headers.get("host", ""))) not in self.hosts:
            await _refuse(reply, 400, "host", "This server does not answer to that name.")
            return
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self.largest:
            await _refuse(reply, 413, "too large", f"More than {self.largest} bytes.")
            return
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self.largest:
                raise HTTPException(413)
            return message

        await self.app(scope, counted, reply)


def _name(host: str) -> str:
    """A Host header without its port."""
    return host if host.endswith("]") else host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host


def _plain(host: str) -> str:
    """A host name as it is compared: names have no case, and a last dot names the same host."""
    return host.lower().removesuffix(".")


async def _refuse(send: Any, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
