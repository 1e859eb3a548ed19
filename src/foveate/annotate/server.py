"""The server: routes, pages and named errors in one FastAPI app, and the process that serves it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException as StarletteHTTPException

from foveate.annotate import accounts
from foveate.annotate.desk import Desk
from foveate.annotate.guards import LOOPBACK, Guards
from foveate.annotate.pictures import Pictures
from foveate.annotate.refusal import Refusal, of_database
from foveate.annotate.room import Room
from foveate.annotate.routes import entrance, judging, people, reading, showing

PAGES = Path(__file__).parent / "pages"
SHOWN = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".json": "application/json",
}
VIEWS = ("read", "consensus", "agreement", "people", "invite", "login")
SAID = {
    400: ("bad request", "The body is no JSON."),
    404: ("unknown", "There is nothing of that name here."),
    405: ("method", "That cannot be done here."),
    413: ("too large", "The body is too large."),
}


def make_app(room: Room, *, hosts: Collection[str] | None = LOOPBACK, secure: bool = False) -> FastAPI:
    """The app of an open room.

    Args:
        room: whose images, protocol and store.
        hosts: names that it answers to; None = any.
        secure: the session's cookie travels over https alone.
    """
    app = FastAPI(title="foveate annotation room", version="1", docs_url=None, redoc_url=None, redirect_slashes=False)
    desk = Desk(room, Pictures(room.manifest.root), secure)
    for part in (entrance, reading, showing, judging, people):
        app.include_router(part.routes(desk))
    _pages(app)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_middleware(Guards, hosts=hosts)
    return app


def serve(
    room: Room,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    names: Collection[str] = (),
    secure: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Serve a room until it is stopped.

    Args:
        room: open; held alone while it is served (SQLite).
        host: address to listen on; another than this machine's own needs an account first.
        port: 0 = any that is free.
        names: further host names that browsers reach it by.
        secure: behind https.
        say: told where it is, and the first coordinator's invite link where there is no account yet.

    Raises:
        ValueError: another server holds the room, no accounts for an address that others reach, or the port is taken.
    """
    import uvicorn

    local = host in ("127.0.0.1", "localhost", "::1")
    with room.held():
        with room.store.write() as db:
            people_there = accounts.count(db)
            if not people_there and not local:
                raise ValueError(
                    f"host={host!r}: others can reach this address, and the room has no account yet; make one first: "
                    f"foveate annotate user {room.folder} NAME --role coordinator"
                )
            token = None if people_there else accounts.invite(db, roles=accounts.ROLES, by="the server")[1]
        listener = _listen(host, port)
        shown = f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        say(f"{room.name}: {shown}")
        if token is not None:
            say(f"no account yet; make the first one at {shown}/invite#{token}")
        known = {*LOOPBACK, *names, f"[{host}]" if ":" in host else host}
        any_name = host in ("0.0.0.0", "::") and not names
        app = make_app(room, hosts=None if any_name else known, secure=secure)
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=5)
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # from now on nobody is turned away; who comes early waits
    except OSError as error:
        listener.close()
        raise ValueError(f"host={host!r}, port={port}: cannot listen there ({error.strerror}); give another") from None
    return listener


def _pages(app: FastAPI) -> None:
    """Pages and what they load, from the folder beside this file and from nowhere else."""

    def file(name: str) -> FileResponse:
        path = (PAGES / name).resolve()
        if not path.is_relative_to(PAGES) or path.suffix not in SHOWN or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type=SHOWN[path.suffix], headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    def index() -> FileResponse:
        return file("index.html")

    @app.get("/pages/{name:path}", include_in_schema=False)
    def page(name: str) -> FileResponse:
        if "\x00" in name:
            raise HTTPException(404)
        return file(name)

    @app.get("/{view}", include_in_schema=False)
    def view(view: str) -> FileResponse:
        if view not in VIEWS:
            raise HTTPException(404)
        return file(f"{view}.html" if (PAGES / f"{view}.html").is_file() else "index.html")


# -- errors ----------------------------------------------------------------------------------------------------------


def _answer(found: Refusal) -> JSONResponse:
    headers = {} if found.wait is None else {"retry-after": str(found.wait)}
    body: dict[str, Any] = {"error": found.code, "message": found.message, **found.details}
    return JSONResponse(body, status_code=found.status, headers=headers)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return _answer(error)


def _database(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    found = of_database(error)
    if found is None:
        raise error
    return _answer(found)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    """The first thing wrong with a request, by its place; the value itself is not sent back."""
    assert isinstance(error, RequestValidationError)
    first = max(error.errors(), key=lambda e: len(e["loc"]))
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    words = str(first["msg"]).removeprefix("Value error, ").encode("ascii", "replace").decode()
    return _answer(Refusal(422, "invalid", f"{place.encode('ascii', 'replace').decode() or 'body'}: {words}"))


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    code, words = SAID.get(error.status_code, ("refused", "This was not understood."))
    return JSONResponse({"error": code, "message": words}, error.status_code, headers=error.headers)
