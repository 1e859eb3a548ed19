"""Pictures: whole images, tiles, volumes from above, the regions of disc and fovea."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from foveate.annotate.domain.landmarks import landmarks
from foveate.annotate.domain.marks import Marks
from foveate.annotate.store.project_tables import Draft
from foveate.annotate.store.records import item_of, marks_of, set_of, slot
from foveate.annotate.web.about_image import scans_of
from foveate.annotate.web.pictures import Look, Picture, levels
from foveate.annotate.web.request_context import RequestContext
from foveate.core.regions import located
from foveate.core.types import Row
from foveate.data.read import Unreadable
from foveate.web.access import Number
from foveate.web.passwords import digest
from foveate.web.refusal import Refusal

Level = Annotated[int, Query(ge=0, le=20)]
LevelPath = Annotated[int, Path(ge=0, le=20)]
At = Annotated[int, Path(ge=0, le=2**20)]
Coordinate = Annotated[float | None, Query(ge=-1e6, le=1e6, allow_inf_nan=False)]
CACHE = "private, no-store"
"""Nobody reads an image after its annotator has logged out, neither by the back button nor from the browser's files."""


def routes(context: RequestContext) -> APIRouter:
    """Make the routes of the images."""
    api = APIRouter(prefix="/api/items/{item}", tags=["pictures"])
    project, pictures, access = context.project, context.pictures, context.access

    def row_of(request: Request, item: int, level: int) -> Row:
        with access.reading(request) as (db, _):
            found = item_of(db, item)
            if level >= levels((found.rows, found.cols)):
                raise Refusal(404, "unknown", f"There is no level {level}.")
            return project.row(found)

    @api.get("/image")
    def image(request: Request, item: Number, level: Level = 0, look: Look = "plain") -> Response:
        """The whole image."""
        row = row_of(request, item, level)
        tag = _tag(row, "image", level, look)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag, "cache-control": CACHE})
        try:
            return _answer(pictures.whole(row, level=level, look=look), tag)
        except Unreadable:
            raise _broken(item) from None

    @api.get("/tiles/{level}/{down}/{across}")
    def tile(request: Request, item: Number, level: LevelPath, down: At, across: At, look: Look = "plain") -> Response:
        """A tile of it."""
        row = row_of(request, item, level)
        tag = _tag(row, "tile", level, look, down, across)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag, "cache-control": CACHE})
        try:
            found = pictures.tile(row, level=level, at=(down, across), look=look)
        except Unreadable:
            raise _broken(item) from None
        if found is None:
            raise Refusal(404, "unknown", "There is no such tile.")
        return _answer(found, tag)

    @api.get("/enface")
    def enface(request: Request, item: Number) -> Response:
        """The volume that the image is part of, from above."""
        row = row_of(request, item, 0)
        scans = scans_of(project, row)
        if len(scans) < 2:
            raise Refusal(404, "unknown", "This image is part of no volume.")
        try:
            return _answer(pictures.enface(scans), _tag(row, "enface", len(scans)))
        except Unreadable:
            raise _broken(item) from None

    @api.get("/regions")
    def regions(
        request: Request,
        item: Number,
        disc_row: Coordinate = None,
        disc_col: Coordinate = None,
        fovea_row: Coordinate = None,
        fovea_col: Coordinate = None,
    ) -> dict[str, Any]:
        """Outlines of the eight regions."""
        with access.reading(request) as (db, who):
            found = item_of(db, item)
            own = set_of(db, found, slot(who.id))
            draft = db.get(Draft, item)
            given = [None if own is None else marks_of(db, own), None if draft is None else Marks.unpack(draft.marks)]
            disc, fovea = landmarks(project.row(found), *given)
        if disc_row is not None and disc_col is not None:
            disc, fovea = (disc_row, disc_col), None
        if fovea_row is not None and fovea_col is not None:
            fovea = (fovea_row, fovea_col)
        shape = (found.rows, found.cols)
        try:
            there = located(shape=shape, disc=disc, fovea=fovea, laterality=project.row(found).laterality)
        except ValueError:
            raise Refusal(422, "invalid", "disc and fovea: give two different positions") from None
        if there is None:
            return {"disc": disc, "fovea": fovea, "assumed": [], "outlines": {}}
        return {
            "disc": there.disc,
            "fovea": there.fovea,
            "assumed": list(there.assumed),
            "outlines": there.outlines(shape),
        }

    return api


def _answer(picture: Picture, tag: str) -> Response:
    return Response(picture.data, media_type=picture.kind, headers={"etag": tag, "cache-control": CACHE})


def _tag(row: Row, *what: object) -> str:
    return '"' + digest("/".join(map(str, (row.id, row.sha256, row.image, *what))))[:32] + '"'


def _broken(item: int) -> Refusal:
    return Refusal(404, "unreadable", f"The file of image {item} cannot be read. Please inform the coordinator.")
