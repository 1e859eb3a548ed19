"""The server of an annotation project: routes, pages and named errors in one app, and the process that serves it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from foveate.annotate.domain.roles import COORDINATOR, ROLES
from foveate.annotate.store.project import Project
from foveate.annotate.web.request_context import request_context
from foveate.annotate.web.routes import adjudicating, annotating, annotator_progress, images
from foveate.web import account_routes, accounts, error_answers, login_routes
from foveate.web.guards import LOOPBACK, Guards
from foveate.web.listening import listen
from foveate.web.page_files import SHARED, add_page_files, page_file

PAGES = Path(__file__).parent.parent / "pages"
VIEWS = ("annotate", "consensus", "agreement", "people", "invite", "recover", "login")


def make_app(project: Project, *, hosts: Collection[str] | None = LOOPBACK, secure: bool = False) -> FastAPI:
    """Make the app of an open project.

    Args:
        project: whose images, protocol and store.
        hosts: names that it answers to; None = any.
        secure: the session's cookie travels over https alone.
    """
    app = FastAPI(
        title="foveate annotation project", version="1", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    context = request_context(project, secure=secure)
    about = {"project": {"id": project.id, "name": project.name}}
    app.include_router(login_routes.routes(context.access, about=about))
    app.include_router(account_routes.routes(context.access, known=ROLES, admin=COORDINATOR))
    for part in (annotating, images, adjudicating, annotator_progress):
        app.include_router(part.routes(context))
    _pages(app)
    error_answers.install(app)
    app.add_middleware(Guards, hosts=hosts, secure=secure)
    return app


def serve(
    project: Project,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    names: Collection[str] = (),
    secure: bool = False,
    proxies: Collection[str] = (),
    report: Callable[[str], object] = print,
) -> None:
    """Serve a project until it is stopped.

    Args:
        project: open; with SQLite no other server may serve it meanwhile.
        host: address to listen on; one that other machines reach needs an account first.
        port: 0 = any that is free.
        names: further host names that browsers reach it by.
        secure: behind https.
        proxies: addresses of servers in front of this one; only they are believed about the address that a request
            comes from (``X-Forwarded-For``).
        report: called with the address, and with the first coordinator's invite link if there is no account yet.

    Raises:
        ValueError: another server has the project open, no accounts for an address that others reach, or the port is
            taken.
    """
    import uvicorn

    with project.held():
        token = _first_invite(project, host)
        listener = listen(host, port)
        shown = f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        report(f"{project.name}: {shown}")
        if token is not None:
            report(f"no account yet; make the first one at {shown}/invite#{token}")
        known = {*LOOPBACK, *names, f"[{host}]" if ":" in host else host}
        any_name = host in ("0.0.0.0", "::") and not names
        app = make_app(project, hosts=None if any_name else known, secure=secure)
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
        )
        uvicorn.Server(config).run(sockets=[listener])


def _first_invite(project: Project, host: str) -> str | None:
    """The secret of the first coordinator's invite link; None if there are accounts."""
    local = host in ("127.0.0.1", "localhost", "::1")
    with project.store.write() as db:
        if accounts.count(db):
            return None
        if not local:
            raise ValueError(
                f"host={host!r}: others can reach this address, and the project has no account yet; make one first: "
                f"foveate annotate user {project.folder} NAME --role coordinator"
            )
        return accounts.invite(db, roles=ROLES, known=ROLES, by="the server")[1]


def _pages(app: FastAPI) -> None:
    """Add the pages; all views are one page, whose modules choose what to show by the address."""
    add_page_files(app, "/annotate/pages", PAGES)
    add_page_files(app, "/web/pages", SHARED)

    @app.get("/", include_in_schema=False)
    def index() -> FileResponse:
        return page_file(PAGES, "index.html", keep=False)

    @app.get("/{view}", include_in_schema=False)
    def view(view: str) -> FileResponse:
        if view not in VIEWS:
            raise HTTPException(404)
        return page_file(PAGES, "index.html", keep=False)
