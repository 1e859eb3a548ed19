"""Csv files of a data set: lines by image, each value with the place it was read at."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os.path import splitext
from pathlib import Path, PurePosixPath

from foveate.data.adapters._description import Table

DELIMITERS = (",", ";", "\t", "|")


@dataclass
class Record:
    """All columns of one image: those of its csv lines, and the parts of its file name.

    Args:
        path: image file, relative to the data set.
        values: column -> (text, where it was read).
    """

    path: str
    values: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, column: str, text: str, where: str) -> None:
        """Note a value; an empty one, or the same again, changes nothing.

        Raises:
            ValueError: another line or table has another value.
        """
        old = self.values.get(column, ("", ""))
        if old[0] and text and old[0] != text:
            raise ValueError(
                f"{where}: {column} of {self.path} is {text!r}, but {old[0]!r} in {old[1]}; correct one of them"
            )
        if not old[0]:
            self.values[column] = (text, where)


def cells(path: Path, delimiter: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of a csv file, empty lines left out; see `lines`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; correct table.file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8; save the table as 'CSV UTF-8'") from None
    rows = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)  # str.splitlines also ends lines at vertical tabs in a cell
    stated = re.fullmatch(r"sep=(.)\s*", rows[0]) if rows else None  # Excel's own way to name the delimiter
    if stated:
        rows[0], delimiter = "\n", delimiter or stated[1]
    head = rows[1 if stated and len(rows) > 1 else 0] if rows else ""
    reader = csv.reader(rows, delimiter=delimiter or max(DELIMITERS, key=head.count))
    try:
        for fields in reader:
            plain = [field.strip() for field in fields]
            if any(plain):
                yield reader.line_num, plain
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: must be csv ({error}); save the table as 'CSV UTF-8'"
        ) from None


def lines(path: Path, delimiter: str | None) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, column -> text) of a csv file; the delimiter is the likeliest in the header if None is given.

    Raises:
        ValueError: no such file, not UTF-8, a column twice, a line with more or fewer fields than the header.
    """
    rows = cells(path, delimiter)
    _, names = next(rows, (1, []))
    while names and not names[-1]:  # Excel saves empty columns at the end
        names.pop()
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}, line 1: column {name!r} is there twice; rename one")
    for number, fields in rows:
        while len(fields) > len(names) and not fields[-1]:
            fields.pop()
        if 1 < len(fields) < len(names):  # and leaves out empty cells at the end of a line
            fields += [""] * (len(names) - len(fields))
        if len(fields) != len(names):
            raise ValueError(
                f"{path}, line {number}: {len(fields)} fields, but the header has {len(names)}; "
                "put text with a delimiter in quotes, or name the delimiter (table.delimiter)"
            )
        yield number, dict(zip(names, fields, strict=True))


def join(records: Mapping[str, Record], table: Table, root: Path) -> list[str]:
    """Put a table's lines to their images, found by relative path, file name, or name without ending.

    Args:
        records: by relative path; their values are filled.
        table: file and id column.
        root: the data set's folder.

    Returns:
        warnings: lines without an image, images without a line.

    Raises:
        ValueError: no id column, an id that several images have or several lines speak of, or no line fits any image.
    """
    path, warnings = root / table.file, []
    names: dict[str, list[str]] = {}
    for image in records:
        whole = unicodedata.normalize("NFC", image)
        name = whole.rpartition("/")[2]
        for key in dict.fromkeys((whole, name, splitext(name)[0], splitext(whole)[0])):
            names.setdefault(key, []).append(image)
    seen: dict[str, int] = {}
    number = 1
    for number, fields in lines(path, table.delimiter):
        where = f"{path}, line {number}"
        if table.id not in fields:
            raise ValueError(f"{path}, line 1: no column {table.id!r}; table.id must be one of {list(fields)}")
        key = unicodedata.normalize("NFC", fields[table.id].replace("\\", "/")).removeprefix("./")
        found = names.get(key) or names.get(PurePosixPath(key).stem, []) if key else []
        if len(found) > 1:
            raise ValueError(f"{where}: {key!r} may be {' or '.join(found[:3])}; write the path there")
        if not found:
            warnings.append(f"{where}: there is no image {key!r}")
            continue
        if found[0] in seen:
            raise ValueError(f"{where}: image {key!r} is that of line {seen[found[0]]} too; keep one line per image")
        seen[found[0]] = number
        for column, text in fields.items():
            records[found[0]].add(column, text, where)
    if records and not seen:
        raise ValueError(
            f"{path}: none of {number - 1} lines fits an image by column {table.id!r}; "
            f"it should hold names like {PurePosixPath(next(iter(records))).name!r}"
        )
    return warnings + [f"{image}: there is no line in {table.file}" for image in records if image not in seen]
