"""Disk space of a cache: its files, its limit, and which files are removed if the limit is reached.

Several processes may share a folder. A file is written aside and moved into place, its time of modification is when it
was last used, and each process counts again after it has written a twentieth of the limit.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from foveate.core.files import write_file
from foveate.data.cache_digests import FOLDER as DIGESTS

DEFAULT = 50 * 10**9
"""Bytes that a cache may take if nothing else is asked for, or half of what its disk has free if that is less."""

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)

SHELF = re.compile(r"[0-9a-f]{2}")
NAME = re.compile(r"[0-9a-f]{64}(\.image|\.masks)?")  # without an ending: of versions before 3
ASIDE = re.compile(r"\.[0-9a-f]{64}(\.image|\.masks)?\.[0-9]+\.[0-9]+")
KEPT = re.compile(r"[0-9a-f]{64}\.jsonl")
BLOCK = 4096  # bytes that a file takes at least on most disks
RESERVE = 100  # a hundredth of the limit is left for hashes
TICK = 0.1  # seconds by which the clock of a file system may be behind
AGAIN = 60  # seconds after which a full folder is counted again
FORGOTTEN = 3600  # seconds after which a file that is still aside was left by a process that ended


@dataclass(frozen=True)
class Entry:
    """A file of a cache: when it was last used (seconds), the bytes that it takes, its path."""

    used: float
    size: int
    path: Path


@dataclass(frozen=True)
class Usage:
    """Content of a cache: prepared images, files and bytes."""

    images: int
    files: int
    size: int


def bytes_of(text: str | int, *, name: str = "cache limit") -> int:
    """A number of bytes: 20GB, 500 MB, 1.5TB, 16GiB, or a number alone; 0 = none.

    Args:
        text: the number and its unit; KB, MB, GB, TB are powers of 1000, KiB ... powers of 1024.
        name: of what is asked for, in the error.

    Raises:
        ValueError: it is not of that form.
    """
    found = SIZE.fullmatch(str(text))
    if found is None or found[2].lower() not in UNITS:
        raise ValueError(f"{name} must be a size such as 20GB, 500MB or 0 (nothing is kept), got {str(text)!r}")
    return int(float(found[1]) * UNITS[found[2].lower()])


def entries(folder: Path) -> Iterator[Entry]:
    """The files of a cache, without other files of its folder."""
    for shelf in _listed(folder):
        if shelf.name == DIGESTS or SHELF.fullmatch(shelf.name):
            names = (KEPT,) if shelf.name == DIGESTS else (NAME, ASIDE)
            for file in _listed(Path(shelf)):
                if any(name.fullmatch(file.name) for name in names):
                    try:
                        found = file.stat(follow_symlinks=False)
                    except OSError:  # another process has removed it
                        continue
                    yield Entry(found.st_mtime, _room(found.st_size), Path(file))


def _room(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listed:
            return list(listed)
    except OSError:
        return []


def usage(folder: Path) -> Usage:
    """Content of a cache; zeros if there is no such folder."""
    found = list(entries(folder))
    images = sum(not entry.path.name.startswith(".") and entry.path.suffix in ("", ".image") for entry in found)
    return Usage(images, len(found), sum(entry.size for entry in found))


def clear(folder: Path) -> Usage:
    """Remove the files of a cache, and those of its folders that contain nothing else.

    Returns:
        the number of removed files.

    Raises:
        OSError: a file may not be removed.
    """
    found = usage(folder)
    for entry in list(entries(folder)):
        entry.path.unlink(missing_ok=True)
    inside = [Path(one) for one in _listed(folder) if one.name == DIGESTS or SHELF.fullmatch(one.name)]
    for emptied in (*inside, folder):
        try:
            emptied.rmdir()
        except OSError:  # something else is in it
            continue
    return found


def default_limit(folder: Path, used: int) -> int:
    """`DEFAULT`, or half of what the disk of a folder has free, its own files counted as free, if that is less."""
    there = next((place for place in (folder, *folder.absolute().parents) if place.is_dir()), None)
    if there is None:
        return DEFAULT
    return min(DEFAULT, (shutil.disk_usage(there).free + used) // 2)


class Space:
    """Disk space of a cache that one process uses.

    The files that were not used for the longest time are removed first, but none that was used since this object was
    made. Otherwise, with a data set larger than the limit, each epoch would remove the files that the next one needs
    (of a data set twice the limit about 15 % would be found instead of half). A file that does not fit is not kept.

    Args:
        folder: of the cache.
        limit: bytes; None = `default_limit`.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.folder, self.limit = folder, limit
        self.opened = time.time() - TICK
        self._lock = Lock()
        self._used: int | None = None  # bytes in the folder, as far as this process knows
        self._written = 0  # of them since they were last counted
        self._most = 0
        self._entries: list[Entry] = []
        self._full: float | None = None  # time at which not enough could be removed
        if limit is not None and folder.is_dir():
            self.fits(0)

    def fits(self, size: int) -> bool:
        """Whether so many more bytes fit, after files that were not used for long are removed.

        A folder above its limit is brought below it.
        """
        size = _room(size)
        with self._lock:
            if self._full is not None and time.monotonic() - self._full < AGAIN:
                return False
            if self._used is None or self._used + size > self._most or self._written > self._most // 20:
                self._count()
            if self._now + size > self._most:
                self._make_room(self._most - size)
            room = self._now + size <= self._most
            self._full = None if room else time.monotonic()
            return room

    @property
    def _now(self) -> int:
        return self._used or 0

    def store(self, path: Path, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        write_file(path, data, flush=False)  # a file that is cut off fails its checksum, and is made again
        with self._lock:
            self._used = self._now + _room(len(data))
            self._written += _room(len(data))

    def touch(self, path: Path) -> None:
        """Note that a file was used now; nothing happens if it is gone or may not be changed."""
        try:
            os.utime(path)
        except OSError:
            return

    def _count(self) -> None:
        """Count the folder anew."""
        self._entries = sorted(entries(self.folder), key=lambda entry: entry.used)
        self._used, self._written = sum(entry.size for entry in self._entries), 0
        most = default_limit(self.folder, self._used) if self.limit is None else self.limit
        self._most = most - most // RESERVE

    def _make_room(self, most: int) -> None:
        """Remove files, those not used for longest first, until nine tenths of ``most`` are left or all are in use."""
        for entry in self._entries:
            left_behind = entry.path.name.startswith(".")
            if self._now <= most * 9 // 10 or entry.used >= self.opened:
                return
            if left_behind and entry.used > time.time() - FORGOTTEN:
                continue
            try:
                entry.path.unlink(missing_ok=True)
            except OSError:
                continue
            self._used = self._now - entry.size
