"""Files and folders that are written whole or not at all, and safe file names: the only place for both.

Content is written to a hidden name beside the target, flushed to the disk, and then renamed onto the target. A process
that is killed, or a disk that is full, leaves the old file as it was. A hidden ``*.part`` file may be left behind.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import get_ident
from typing import Any
from unicodedata import normalize
from urllib.parse import quote, unquote

SAFE = " ()+,=@~!&'"
"""Characters beside letters, digits and ``_.-`` that every file system takes."""

LONGEST = 60
"""Characters of a target's name that its hidden neighbour repeats: file systems end names at 255 bytes."""

LONGEST_STEM = 120
"""Characters of a stem; a label, an answer and an ending follow, and file systems end names at 255 bytes."""

DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{kind}{n}" for kind in ("COM", "LPT") for n in range(1, 10))}
"""Stems that Windows opens as devices, whatever the ending."""

FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""Errors of a disk, a file or a quota that is full."""

_NUMBERS = count()


@contextmanager
def whole_file(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Give a hidden path to write a file to, which becomes ``path`` at the end, or vanishes if something is raised.

    Args:
        path: of the file; its folder is made if it is not there.
        flush: wait until file and folder are on the disk; without it a file may be empty or cut off after a power
            failure, so the code that reads it must notice that.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "a.txt")) as aside:
    ...         _ = aside.write_text("whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = hidden(path)
    try:
        yield aside
        if flush:
            _flush(aside)
        os.replace(aside, path)
        if flush:
            _flush_folder(path.parent)
    except OSError as error:
        if error.errno not in FULL:
            raise
        words = f"{error.strerror}; free some space and go on from the last whole file"
        raise OSError(error.errno, words, str(path)) from None
    finally:
        aside.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes | Callable[[Path], None], *, flush: bool = True) -> None:
    r"""Write a file whole or not at all.

    Args:
        path: of the file.
        content: text (written as UTF-8, line ends as they are), bytes, or a function that writes to a path.
        flush: as of `whole_file`.
    """
    with whole_file(path, flush=flush) as aside:
        if callable(content):
            content(aside)
        else:
            aside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(path: Path, data: Any) -> None:
    """Write JSON, indented, whole or not at all."""
    write_file(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=True) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that `write_json` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, cut off or not text; the message names it.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise ValueError(f"{path}: damaged, not JSON ({error}); copy it again from where it was whole") from None


@contextmanager
def whole_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a hidden folder to fill, which becomes ``out`` at the end, or vanishes if something is raised.

    Args:
        out: the folder; its parent is made if it is not there.
        replace: a folder that is there is removed once the new one is complete.

    Raises:
        ValueError: ``out`` is there already and not empty, and is not to be replaced.
    """
    if not replace and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out={str(out)!r} is there already; give a new folder, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = hidden(out)
    try:
        aside.mkdir()
        yield aside
        put_folder(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def put_folder(source: Path, out: Path) -> None:
    """Flush a complete folder to the disk and rename it; a folder that is there is removed after that, not before.

    Args:
        source: on the same file system as ``out``.
        out: its new path.
    """
    for place, _, names in os.walk(source):
        for name in names:
            _flush(Path(place, name))
        _flush_folder(Path(place))
    old = hidden(out) if out.exists() else None
    if old is not None:
        os.replace(out, old)
    os.replace(source, out)
    _flush_folder(out.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder on one disk, at once and for good: both folders are flushed.

    Raises:
        OSError: the source is missing, or the target is a folder that is not empty.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.txt").write_text("kept")
    ...     move(Path(folder, "a.txt"), Path(folder, "b.txt"))
    ...     Path(folder, "b.txt").read_text()
    'kept'
    """
    os.replace(source, target)
    for folder in {source.parent, target.parent}:
        _flush_folder(folder)


def hidden(path: Path) -> Path:
    """A hidden name beside a path that no other process, thread or call uses."""
    return path.with_name(f".{path.name[:LONGEST]}.{os.getpid()}.{get_ident()}.{next(_NUMBERS)}.part")


def file_name(name: str, *, safe: str = SAFE) -> str:
    """An id as a file name without ending; what a file name cannot hold is percent-encoded.

    Args:
        name: the id.
        safe: characters that stay as they are, beside letters, digits and ``_.-~``.

    >>> file_name("patient 3/left eye")
    'patient 3%2Fleft eye'
    """
    encoded = quote(name, safe=safe)
    return f"%2E{encoded[1:]}" if encoded in (".", "..") else encoded


def name_key(name: str) -> str:
    """Return the form in which two file names are compared: some file systems ignore case and the kind of accents.

    >>> name_key("E\u0301l.PNG") == name_key("\u00e9l.png")
    True
    """
    return normalize("NFC", normalize("NFC", name).casefold())


class FreeNames:
    """Names of files that are written to one folder: safe, inside the folder, short enough, and each used once.

    Args:
        taken: names in the folder that must not be overwritten.

    >>> free = FreeNames()
    >>> free.stem("001"), free.stem("001"), free.stem("../x"), free.stem("001_2")
    ('001', '001_2', '..%2Fx', '001_2_2')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name_key(name) for name in taken}

    def stem(self, name: str, *, files: Sequence[str] = ("",)) -> str:
        """Return a stem for which none of its files is taken, and take them.

        Args:
            name: any text.
            files: what follows the stem in the name of each file, already safe.
        """
        safe = safe_stem(name)
        for number in count(1):
            stem = safe if number == 1 else f"{safe}_{number}"
            keys = {name_key(stem + end) for end in files}
            if not keys & self._taken:
                self._taken |= keys
                return stem
        raise AssertionError("count() does not end")


def safe_stem(name: str) -> str:
    """Return `file_name` of a text, cut to `LONGEST_STEM` characters with a digest, and no device name of Windows.

    >>> safe_stem("a/b"), safe_stem("NUL"), len(safe_stem("x" * 300))
    ('a%2Fb', '%4EUL', 120)
    """
    safe = file_name(normalize("NFC", name)) or "%"
    if safe.endswith((" ", ".")):  # Windows drops both at the end of a name
        safe = safe[:-1] + f"%{ord(safe[-1]):02X}"
    if safe.startswith(".") or safe.split(".")[0].upper() in DEVICES:  # hidden files are passed over by every listing
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    if len(safe) > LONGEST_STEM:
        digest = hashlib.sha256(safe.encode()).hexdigest()[:12]
        safe = f"{safe[: LONGEST_STEM - 13]}_{digest}"
    return safe


def id_of(stem: str) -> str:
    """Inverse of `file_name`; a name that it did not make stays as it is.

    >>> id_of("patient 3%2Fleft eye")
    'patient 3/left eye'
    """
    name = unquote(stem)
    return name if file_name(name) == stem else stem


def _flush(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows flushes what may be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows, which opens no folder, needs no such step."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse it
        pass
    finally:
        os.close(handle)
