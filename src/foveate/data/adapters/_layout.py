"""Finding things in an unpacked data set, however it was unpacked: case, `%20` for blanks, folders inside folders."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from foveate.data.adapters import _sheet, _table

Warn = Callable[[str], None]
Name = str | tuple[str, ...]
"""A folder's name, or several possible names; ``*`` matches any characters."""

IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
NOT_DATA = ("__macosx", "thumbs.db", "desktop.ini")


def tell(text: str) -> None:
    """Issue a Python warning: the default of `scan`, if its caller gives no other function."""
    warnings.warn(text, stacklevel=3)


def plain(name: str) -> str:
    """A name as it is compared: ``A.%20Segmentation``, ``a_segmentation`` and ``A. Segmentation`` are the same."""
    return re.sub(r"[^0-9a-z*?]+", "", unquote(name).casefold())


@dataclass(frozen=True)
class Line:
    """One line of a csv file.

    Args:
        values: the column as the adapter calls it -> text; an empty field or an absent column is left out.
        where: file and line number, for messages.
    """

    values: Mapping[str, str]
    where: str

    def number(self, column: str, *, warn: Warn) -> float | None:
        """A number; None where there is none, and a warning where there is something else."""
        text = self.values.get(column)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if value != value or abs(value) == float("inf"):
            warn(f"{self.where}: {column} must be a number, got {text!r}; left unknown")
            return None
        return value

    def choice(self, column: str, values: Mapping[str, str], *, warn: Warn) -> str | None:
        """The answer that a code means (``"2.0"`` is ``"2"``); None for an empty field or an unknown code."""
        text = self.values.get(column)
        if text is None:
            return None
        code = re.sub(r"\.0+$", "", text).casefold()
        if code not in values:
            warn(f"{self.where}: {column} must be one of {list(values)}, got {text!r}; left unknown")
        return values.get(code)


@dataclass(frozen=True)
class Tree:
    """The files below a folder, found by the names of the folders that contain them.

    Args:
        root: folder of the data set; all paths are relative to it, with forward slashes.
        warn: called with a message for each unexpected file or value.
    """

    root: Path
    warn: Warn = field(default=tell)

    @cached_property
    def all(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(path, plain names of its folders) of every file, sorted; linked folders are entered, each folder once.

        What operating systems leave behind is not data.
        """
        found = []
        seen = {os.path.realpath(self.root)}
        for folder, folders, files in os.walk(self.root, followlinks=True):
            folders[:] = [f for f in sorted(folders) if not f.startswith(".") and f.casefold() not in NOT_DATA]
            for name in list(folders):
                real = os.path.realpath(os.path.join(folder, name))
                if real in seen:  # a link back up, or a second one to the same folder
                    folders.remove(name)
                seen.add(real)
            base = PurePosixPath(Path(folder).relative_to(self.root).as_posix())
            names = tuple(plain(part) for part in base.parts)
            found += [
                ((base / f).as_posix(), names) for f in files if not f.startswith(".") and f.casefold() not in NOT_DATA
            ]
        return tuple(sorted(found))

    def files(self, *folders: Name, suffixes: Iterable[str] = IMAGES) -> list[str]:
        """Files at any depth inside folders of these names, the outer first.

        Args:
            folders: names (compared as `plain`); other folders may be before, between and after them. If no file
                fits, the root's own name is taken as the outermost.
            suffixes: endings, lower case.
        """
        wanted = [tuple(plain(n) for n in ((name,) if isinstance(name, str) else name)) for name in folders]
        ends = tuple(suffixes)
        files = [(path, names) for path, names in self.all if path.casefold().endswith(ends)]
        found = [path for path, names in files if _inside(names, wanted)]
        if not found and wanted and plain(self.root.resolve().name) in wanted[0]:
            found = [path for path, names in files if _inside(names, wanted[1:])]
        return found

    def stems(self, *folders: Name, suffixes: Iterable[str] = IMAGES) -> dict[str, str]:
        """`by_stem` of `files`."""
        return self.by_stem(self.files(*folders, suffixes=suffixes))

    def by_stem(self, paths: Iterable[str]) -> dict[str, str]:
        """File name without ending, in lower case -> path; of two equal names the first is taken, with a warning."""
        found: dict[str, str] = {}
        for path in paths:
            key = stem(path).casefold()
            if key in found:
                self.warn(f"{path}: {found[key]} has the same name and is taken; remove one of them")
            found.setdefault(key, path)
        return found

    def named(self, pattern: Name, *folders: Name) -> list[str]:
        """Files whose `plain` name, ending included, fits a pattern like ``"*Training Labels.csv"``."""
        patterns = [plain(p) for p in ((pattern,) if isinstance(pattern, str) else pattern)]
        return [
            path
            for path in self.files(*folders, suffixes=("",))
            if any(fnmatchcase(plain(PurePosixPath(path).name), p) for p in patterns)
        ]

    def cells(self, path: str, delimiter: str | None = None) -> list[tuple[int, list[str]]]:
        """(line number, fields) of a csv file or an .xlsx workbook's first sheet; if it is neither, a warning."""
        file = self.root / path
        found: list[tuple[int, list[str]]] = []
        try:
            rows = _sheet.cells(file) if path.casefold().endswith(".xlsx") else _table.cells(file, delimiter)
            for row in rows:
                found.append(row)
        except ValueError as error:
            self.warn(str(error))
        return found

    def lines(
        self, path: str, columns: Mapping[str, Name], *, header: list[str] | None = None, delimiter: str | None = None
    ) -> Iterator[Line]:
        """Lines of a csv file or a workbook's first sheet; an unusable line is left out, with a warning.

        Args:
            path: relative to the root.
            columns: the adapter's name of a column -> the header, or several possible headers (compared as `plain`); a
                line without the first of these columns is unusable.
            header: the header of a file that has none.
            delimiter: of a csv file, where the likeliest in its first line is not the right one.
        """
        rows = self.cells(path, delimiter)
        accepted = {name: {plain(n) for n in ((n,) if isinstance(n, str) else n)} for name, n in columns.items()}
        key = next(iter(columns))
        if header is None:
            if not rows:
                return
            header = rows.pop(0)[1]
        if not any(plain(head) in accepted[key] for head in header):
            self.warn(f"{path}, line 1: no column {columns[key]!r} in {header[:8]}; the file was not used")
            return
        for number, fields in rows:
            where = f"{path}, line {number}"
            if any(fields[len(header) :]):
                self.warn(f"{where}: {len(fields)} fields, but the header has {len(header)}; the line was not used")
                continue
            values = {
                name: text
                for head, text in zip(header, fields, strict=False)
                for name, heads in accepted.items()
                if text and plain(head) in heads
            }
            if key in values:
                yield Line(values, where)
            else:
                self.warn(f"{where}: {columns[key]!r} is empty; the line was not used")

    def joined(self, lines: Iterable[Line], images: Collection[str], column: str) -> dict[str, Line]:
        """Image -> its line, found by the file name in a column, with or without its ending, in any case.

        Args:
            lines: of one table or several; the first that speaks of an image counts.
            images: file names without ending, in lower case, as `stems` has them.
            column: as the adapter calls it.
        """
        found: dict[str, Line] = {}
        strange: list[Line] = []
        for line in lines:
            name = PurePosixPath(line.values[column].replace("\\", "/")).name.casefold()
            key = name if name in images else stem(name)
            if key not in images:
                strange.append(line)
            elif key in found:
                self.warn(f"{line.where}: {line.values[column]!r} is that of {found[key].where} too, which is taken")
            else:
                found[key] = line
        if strange:
            first = f"{strange[0].where}: {strange[0].values[column]!r}"
            self.warn(f"{len(strange)} lines are about images that are not there, first {first}")
        return found

    def leftover(self, used: Iterable[str], *folders: Name, suffixes: Iterable[str] = IMAGES) -> None:
        """Warn of files in a folder that belong to no image, with their number and the first three."""
        if odd := sorted(set(self.files(*folders, suffixes=suffixes)) - set(used)):
            self.warn(f"{len(odd)} files belong to no image and were not used: {', '.join(odd[:3])}")


def stem(path: str) -> str:
    """File name without its ending."""
    return PurePosixPath(path).stem


def _inside(names: tuple[str, ...], wanted: list[tuple[str, ...]]) -> bool:
    """Whether the folders hold the wanted ones, in their order."""
    at = 0
    for name in names:
        if at < len(wanted) and any(fnmatchcase(name, pattern) for pattern in wanted[at]):
            at += 1
    return at == len(wanted)
