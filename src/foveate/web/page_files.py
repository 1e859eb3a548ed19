"""Files of pages, from given folders and from nowhere else."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

SHARED = Path(__file__).parent / "pages"
"""Modules and style that the pages of every server share; their address is ``/web/pages/``."""

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".json": "application/json",
}


def page_file(folder: Path, name: str, *, keep: bool = True) -> FileResponse:
    """Answer with a file of a folder; 404 if it is not inside, or not of a kind that pages load.

    Args:
        folder: that pages are in.
        name: path inside it.
        keep: browsers may keep it, and ask whether it has changed; False for documents, which show what people did:
            the back button must not show them after a log-out.
    """
    if "\x00" in name:
        raise HTTPException(404)
    path = (folder / name).resolve()
    if not path.is_relative_to(folder) or path.suffix not in KINDS or not path.is_file():
        raise HTTPException(404)
    return FileResponse(
        path, media_type=KINDS[path.suffix], headers={"cache-control": "no-cache" if keep else "no-store"}
    )


def add_page_files(app: FastAPI, prefix: str, folder: Path) -> None:
    """Serve the files of a folder below an address.

    The addresses repeat the folders of the source tree (``/web/pages/``, ``/annotate/pages/``), so that the relative
    imports of a module hold in a browser and in tests without one.
    """

    def page(name: str) -> FileResponse:
        return page_file(folder, name)

    app.add_api_route(f"{prefix}/{{name:path}}", page, include_in_schema=False)
