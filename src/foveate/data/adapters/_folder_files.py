"""Find files of a folder by the names that a user gives: case of the ending, accents and ``%20`` do not matter."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")


def written_alike(path: str) -> str:
    """Return the form in which two paths name the same file: accents composed, ``%20`` a blank, the ending lower case.

    >>> written_alike("masks/a%20b.PNG") == written_alike("masks/a b.png")
    True
    """
    pure = normalize("NFC", unquote(path.replace("\\", "/")))
    return ENDING.sub(lambda match: match[0].lower(), pure)


@dataclass
class FolderFiles:
    """Files of a data set; what macOS writes beside each file (``._a.png``) is left out.

    Args:
        root: its folder.
        found: files that `find` gave.
    """

    root: Path
    found: set[str] = field(default_factory=set)

    def glob(self, pattern: str) -> Iterator[Path]:
        """Yield the files that fit a pattern, whatever the case of their ending."""
        seen: set[Path] = set()
        for one in dict.fromkeys((pattern, ENDING.sub(_any_case, pattern))):
            for path in self.root.glob(one):
                if path not in seen and path.is_file() and not path.name.startswith("._"):
                    seen.add(path)
                    yield path

    def find(self, path: str) -> str | None:
        """Return the file at a path, or the only one whose path is written alike; None if there is none."""
        if (self.root / path).is_file():
            self.found.add(PurePosixPath(path).as_posix())
            return path
        alike = self._alike.get(written_alike(PurePosixPath(path.replace("\\", "/")).as_posix()), [])
        if len(alike) != 1:
            return None
        self.found.add(alike[0])
        return alike[0]

    def other_ending(self, path: str) -> str | None:
        """Return a file of the same folder and name with another ending; None if there is none."""
        key = ENDING.sub("", written_alike(path))
        return next(iter(self._stems.get(key, [])), None)

    def beside(self, templates: Iterable[str], images: Collection[str]) -> list[str]:
        """Return the files in the folders that templates name, images of the set left out; ``{...}`` fits anything."""
        folders = {written_alike(PurePosixPath(t).parent.as_posix()) for t in templates}
        shapes = [re.compile(re.sub(r"\\\{\w*\\\}", ".*", re.escape(folder))) for folder in folders if folder != "."]
        held = set(images)
        return [
            path
            for path in self._all
            if path not in held
            and any(s.fullmatch(written_alike(PurePosixPath(path).parent.as_posix())) for s in shapes)
        ]

    @cached_property
    def _all(self) -> list[str]:
        paths = (p for p in sorted(self.root.rglob("*")) if not p.name.startswith(".") and p.is_file())
        return [path.relative_to(self.root).as_posix() for path in paths]

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        out: dict[str, list[str]] = {}
        for path in self._all:
            out.setdefault(written_alike(path), []).append(path)
        return out

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        out: dict[str, list[str]] = {}
        for path in self._all:
            out.setdefault(ENDING.sub("", written_alike(path)), []).append(path)
        return out


def _any_case(match: re.Match[str]) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in match[0])
