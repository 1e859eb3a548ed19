"""Cells of an .xlsx workbook's first sheet as text: the tables that come with some public data sets."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(row number, fields) of the first sheet, without empty rows; numbers are written as the workbook stores them.

    Raises:
        ValueError: no such file, or it is not an .xlsx workbook.
    """
    try:
        with zipfile.ZipFile(path) as book:
            names = book.namelist()
            shared = _shared(book.read("xl/sharedStrings.xml")) if "xl/sharedStrings.xml" in names else []
            sheets = sorted(n for n in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", n))
            sheet = ElementTree.fromstring(book.read(sheets[0]))
        found = list(_rows(sheet, shared))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path}: is no .xlsx workbook ({error}); save the table as csv beside it") from None
    yield from found


def _shared(data: bytes) -> list[str]:
    return ["".join(t.text or "" for t in item.iter(f"{MAIN}t")) for item in ElementTree.fromstring(data)]


def _rows(sheet: ElementTree.Element, shared: list[str]) -> Iterator[tuple[int, list[str]]]:
    for count, row in enumerate(sheet.iter(f"{MAIN}row"), 1):
        fields: list[str] = []
        for cell in row.iter(f"{MAIN}c"):
            place = _column(cell.get("r", "")) if cell.get("r") else len(fields)
            fields += [""] * (place + 1 - len(fields))
            fields[place] = _text(cell, shared).strip()
        if any(fields):
            yield int(row.get("r", count)), fields


def _text(cell: ElementTree.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(t.text or "" for t in cell.iter(f"{MAIN}t"))
    value = cell.findtext(f"{MAIN}v") or ""
    return shared[int(value)] if cell.get("t") == "s" and value else value


def _column(reference: str) -> int:
    """Column, from 0, of a cell like ``AB12``."""
    place = 0
    for letter in re.sub(r"[^A-Z]", "", reference.upper()):
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1
