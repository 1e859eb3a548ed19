"""Errors as answers: a status, a short code, and a sentence."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException as StarletteHTTPException

from foveate.web.refusal import Refusal, of_database

BY_STATUS = {
    400: ("bad request", "The body of the request must be JSON."),
    404: ("unknown", "There is nothing at this address."),
    405: ("method", "This address does not take such a request."),
    413: ("too large", "The body of the request is too large."),
}


def install(app: FastAPI) -> None:
    """Let an app answer with named errors."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http)


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
    """Name the first wrong field of a request; the value itself is not sent back."""
    assert isinstance(error, RequestValidationError)
    first = max(error.errors(), key=lambda e: len(e["loc"]))
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    words = str(first["msg"]).removeprefix("Value error, ").encode("ascii", "replace").decode()
    return _answer(Refusal(422, "invalid", f"{place.encode('ascii', 'replace').decode() or 'body'}: {words}"))


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    code, words = BY_STATUS.get(error.status_code, ("refused", "The server did not understand this request."))
    return JSONResponse({"error": code, "message": words}, error.status_code, headers=error.headers)
