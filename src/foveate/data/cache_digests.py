"""SHA-256 of files, computed again only for a file that has changed, and kept on disk from run to run.

A file has changed if its inode, size, time of modification or time of change of status is another. The last one cannot
be set by a program, so that a file that is replaced by one of the same size and the same time of modification, and a
link that is turned to another file, are noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from foveate.data import read

FOLDER = "digests"
YOUNG = 2_000_000_000
"""Nanoseconds within which a file may be written again without another time: such a file is hashed each time."""

State = tuple[int, int, int, int]
"""Inode, size, time of modification and time of change of status in nanoseconds."""


def state_of(path: str | Path) -> State:
    """The state of a file, of the one that it leads to if it is a link.

    Raises:
        Unreadable: there is no such file, or it may not be looked at.
    """
    try:
        return _state(os.stat(path))
    except OSError:
        with read.reading(Path(path)):
            raise


class Digests:
    """Hashes of files.

    Args:
        folder: of the cache. For each folder of data it keeps one file of JSON lines ``[name, state, digest]``, of
            which the last one of a name counts. It is only a memory: what cannot be read or written is computed again.
        keep: write them there.
    """

    def __init__(self, folder: Path, *, keep: bool = True) -> None:
        self.folder, self.keep = folder / FOLDER, keep
        self._known: dict[str, tuple[State, str]] = {}
        self._read: set[str] = set()

    def of(self, path: str, state: State) -> str:
        """SHA-256 of a file, in hex.

        Args:
            path: the file.
            state: of `state_of`, just now.

        Raises:
            Unreadable: it cannot be read.
        """
        folder = os.path.dirname(path)
        if folder not in self._read:
            self._recall(folder)
        seen = self._known.get(path)
        if seen is not None and seen[0] == state:
            return seen[1]
        with read.reading(Path(path)), open(path, "rb") as file:
            before = _state(os.fstat(file.fileno()))
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = _state(os.fstat(file.fileno()))
        if state == before == after and time.time_ns() - max(state[2:]) > YOUNG:
            self._known[path] = state, digest
            if self.keep:
                self._keep(path, state, digest)
        return digest

    def _recall(self, folder: str) -> None:
        """Read the hashes of a folder's files that earlier runs kept."""
        kept = self._file(folder)
        try:
            lines = kept.read_text(encoding="utf-8").splitlines()
            os.utime(kept)
        except (OSError, UnicodeDecodeError):
            lines = []
        for line in lines:
            try:
                name, state, digest = json.loads(line)
                inode, size, modified, changed = map(int, state)
            except (ValueError, TypeError):  # two processes may have written into one line
                continue
            if isinstance(name, str) and isinstance(digest, str) and len(digest) == 64:
                self._known[os.path.join(folder, name)] = (inode, size, modified, changed), digest
        self._read.add(folder)

    def _keep(self, path: str, state: State, digest: str) -> None:
        folder, name = os.path.split(path)
        line = json.dumps([name, state, digest]) + "\n"
        kept = self._file(folder)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("ab", buffering=0) as file:  # one write, at the end whoever else writes
                file.write(line.encode())
        except OSError:
            return

    def _file(self, folder: str) -> Path:
        name = hashlib.sha256(os.path.abspath(folder).encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / f"{name}.jsonl"


def _state(found: os.stat_result) -> State:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
