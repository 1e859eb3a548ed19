"""The one error of all file formats."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foveate.core.text import printable, shortened

SYSTEM = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EISDIR: "is a folder; give a file",
    errno.EACCES: "may not be read; ask for permission to read it",
    errno.EPERM: "may not be read; ask for permission to read it",
    errno.ELOOP: "is a link that leads back to itself; link it to the file",
    errno.ENAMETOOLONG: "the name is too long for this system",
}


class Unreadable(ValueError):  # noqa: N818 - reads well: `except Unreadable`
    """A file that cannot be read as what it should be.

    Args:
        path: the file.
        reason: what is wrong with it and, where there is one, the remedy; bytes of the file in it are escaped.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path, self.reason = Path(path), shortened(printable(reason))

    def __str__(self) -> str:
        return f"{printable(str(self.path))}: {self.reason}"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside with this file becomes `Unreadable`.

    A damaged file makes decoders raise almost anything (struct.error, KeyError, AssertionError ...), so all is caught
    but what is not the file's fault: too little memory, an interruption.
    """
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    except OSError as error:
        if error.errno in SYSTEM:
            raise Unreadable(path, SYSTEM[error.errno]) from None
        raise Unreadable(path, f"cannot be decoded ({type(error).__name__}: {error})") from error
    except Exception as error:
        raise Unreadable(path, f"cannot be decoded ({type(error).__name__}: {error})") from error
