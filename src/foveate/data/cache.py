"""Prepared samples on disk, each found by the content it was made of and by how it was made.

The frame of an image and its masks are files of their own, so that folds, rows of a study, shares of masks,
annotators and selections of labels have one frame in common. Neither splits nor augmentation count. A file is written
aside and moved into place, so that processes may share a folder; a damaged one is made again (`cache_format`). Files
that were not used for long go if the limit is reached (`cache_space`). The data's own files are looked at each time:
one that was replaced is prepared anew, one that is gone is an error (`cache_digests`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import PIL

from foveate.core.labels import LabelSchema
from foveate.core.shapes import Geometry
from foveate.core.types import MaskSource, Row, Sample
from foveate.data import read
from foveate.data.cache_digests import Digests, State, state_of
from foveate.data.cache_format import pack_image, pack_masks, unpack_image, unpack_masks
from foveate.data.cache_space import Space, bytes_of
from foveate.data.prepare import Prepare

VERSION = 4
"""Part of every key: raise it when preparing the same file the same way gives other pixels."""

HEADERS = (".mhd", ".xml", ".mha")
"""Endings of files whose pixels may be in another file; only these are opened to find it."""

ROOMY = 1_000_000
"""Bytes of a limit from which on hashes are kept too."""

SOURCE = attrgetter(*(f.name for f in fields(MaskSource)))
HOW = tuple(f.name for f in fields(Prepare) if f.name not in ("size", "annotators"))
"""Settings that the frame of an image follows from, beside its size; annotators are of masks alone."""

T = TypeVar("T")
Named = tuple[str, int | None]
"""Path as in the manifest, and which frame of it."""

Paths = tuple[str, ...]
"""A file, and those beside it that hold the pixels of a header."""


class Cache:
    """A folder of prepared samples.

    A folder that cannot be written to (read-only, disk full), or whose limit is reached, costs time and nothing else:
    samples are made anew, and a warning is given once.

    Args:
        folder: made when the first sample is stored; delete it whenever you like.
        limit: bytes that its files may take; None = 50 GB, or half of what the disk has free if that is less.
    """

    def __init__(self, folder: Path, *, limit: int | None = None) -> None:
        self.folder = folder
        self._digests, self._space = Digests(folder, keep=limit is None or limit >= ROOMY), Space(folder, limit)
        self._warned: set[str] = set()

    def __reduce__(self) -> tuple[Callable[..., Cache], tuple[Path, int | None]]:
        """Another process opens the same folder."""
        return _opened, (self.folder, self.limit)

    @property
    def limit(self) -> int | None:
        """Bytes that the files may take, as asked for."""
        return self._space.limit

    def sample(self, row: Row, root: Path, schema: LabelSchema, prepare: Prepare) -> Sample:
        """``prepare(row, root, schema)``, from disk if it is there.

        Raises:
            Unreadable: a file of the row is missing, even if its sample is there, or damaged.
        """
        files = _files(row, root, schema)
        states = {path: state_of(path) for paths in files.values() for path in paths}
        image_key, masks_key = self._keys(row, schema, prepare, files, states)
        frame = self._load(image_key, "image", unpack_image)
        if frame is None:
            framed = prepare.file(root / row.image, frame=row.frame)
            frame = framed.image, framed.geometry
            self._keep(image_key, "image", lambda: pack_image(framed.image, framed.geometry), states)
        image, geometry = frame
        masks, known = self._masks(masks_key, row, root, schema, prepare, geometry, states)
        return Sample(row, image, masks, known, schema.answer_indices(row.answers), geometry)

    def _masks(
        self,
        key: str,
        row: Row,
        root: Path,
        schema: LabelSchema,
        prepare: Prepare,
        geometry: Geometry,
        states: Mapping[str, State],
    ) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(schema.labels), *geometry.size)
        if not schema.labels:
            return np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        stored = self._load(key, "masks", lambda data: unpack_masks(data, shape))
        if stored is None:
            masks, known = stored = prepare.truth(row, root, schema, geometry)
            self._keep(key, "masks", lambda: pack_masks(masks, known), states)
        return stored

    def key(self, row: Row, root: Path, schema: LabelSchema, prepare: Prepare) -> str:
        """Hash of the files' contents, how the masks are read, the labels, the preparation and who decodes and resizes.

        Answers and questions are not stored, so they do not count; nor do splits and folds.

        Raises:
            Unreadable: a file of the row is missing.
        """
        files = _files(row, root, schema)
        states = {path: state_of(path) for paths in files.values() for path in paths}
        return self._keys(row, schema, prepare, files, states)[1]

    def _keys(
        self,
        row: Row,
        schema: LabelSchema,
        prepare: Prepare,
        files: Mapping[Named, Paths],
        states: Mapping[str, State],
    ) -> tuple[str, str]:
        """Key of the frame and key of the masks."""

        def content(named: Named) -> tuple[object, ...]:
            """Frame of a file, its hash, hashes of the files beside a header."""
            return named[1], *(self._digests.of(path, states[path]) for path in files[named])

        image = content((row.image, row.frame))
        if row.sha256 not in (None, image[1]):
            self._warn(
                "sha256",
                f"{files[row.image, row.frame][0]} is not the file that was scanned (image {row.id!r}) and is used as "
                "it is now; `foveate check` lists all such images; if the change is wanted, scan again",
            )
        how = (prepare.shape, *(getattr(prepare, name) for name in HOW))
        frame = _hash((VERSION, cv2.__version__, PIL.__version__, image, how))
        members = _members(schema)
        contents = [(named[0], content(named)) for named in _mask_files(row, members)]
        masks = [(label, [SOURCE(source) for source in row.masks.get(label, ())]) for label in members]
        read_as = (tuple(schema.labels), tuple(map(tuple, schema.united)), schema.exclusive, prepare.annotators)
        return frame, _hash((frame, contents, masks, read_as))

    def _load(self, key: str, kind: str, unpack: Callable[[np.ndarray], T | None]) -> T | None:
        """The stored value; None if there is none, if it is damaged, or if it may not be read."""
        path = self._path(key, kind)
        try:
            data = np.fromfile(path, np.uint8)
        except OSError:
            return None
        self._space.touch(path)
        return unpack(data)

    def _keep(self, key: str, kind: str, pack: Callable[[], bytes], states: Mapping[str, State]) -> None:
        """Store what was just made, unless a file has changed since its key was found."""
        if "write" in self._warned or self.limit == 0 or any(state_of(path) != state for path, state in states.items()):
            return
        data = pack()
        try:
            if self._space.fits(len(data)):
                self._space.store(self._path(key, kind), data)
            else:
                self._warn(
                    "limit",
                    "the images of this run need more than its limit; those that do not fit are prepared anew in "
                    "every epoch; raise it (--cache-limit, FOVEATE_CACHE_LIMIT)",
                )
        except OSError as error:
            self._warn(
                "write",
                f"nothing more is kept there ({error.strerror or error}), every epoch prepares its images anew; free "
                "disk space, or give another folder (FOVEATE_CACHE)",
            )

    def _path(self, key: str, kind: str) -> Path:
        return self.folder / key[:2] / f"{key}.{kind}"

    def _warn(self, kind: str, text: str) -> None:
        """Warn once of each kind."""
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f"cache {self.folder}: {text}", stacklevel=4)


def _members(schema: LabelSchema) -> list[str]:
    return [member for label in schema.labels for member in schema.members(label)]


def _mask_files(row: Row, members: list[str]) -> list[Named]:
    """Files of the masks, each once."""
    sources = [s for label in members for s in row.masks.get(label, ())]
    return sorted({(s.path, s.frame) for s in sources if s.path is not None}, key=str)


def _files(row: Row, root: Path, schema: LabelSchema) -> dict[Named, Paths]:
    """The files of a row that a sample is made of."""
    found: dict[Named, Paths] = {}
    for name, frame in ((row.image, row.frame), *_mask_files(row, _members(schema))):
        if name.lower().endswith(HEADERS):
            found[name, frame] = tuple(map(str, read.parts(root / name, frame=frame)))
        else:
            found[name, frame] = (os.path.join(root, name),)
    return found


def _hash(parts: tuple[object, ...]) -> str:
    """Of text, numbers, None, and tuples and lists of them, whose form in Python is unambiguous."""
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _opened(folder: Path, limit: int | None) -> Cache:
    return Cache(folder, limit=limit)


def cache_at(folder: str | Path | Cache | None, *, limit: str | int | None = None) -> Cache:
    """The cache in a folder.

    Args:
        folder: as of `cache_folder`; a `Cache` is returned as it is.
        limit: as of `cache_limit`.

    Raises:
        ValueError: the limit is not a size.
    """
    return folder if isinstance(folder, Cache) else Cache(cache_folder(folder), limit=cache_limit(limit))


def cache_folder(folder: str | Path | None = None) -> Path:
    """Where prepared samples are kept: None = ``$FOVEATE_CACHE``, else ``foveate`` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder or os.environ.get("FOVEATE_CACHE") or Path(home) / "foveate")


def cache_limit(limit: str | int | None = None) -> int | None:
    """How many bytes they may take: "20GB" or a number; None = ``$FOVEATE_CACHE_LIMIT``, None without it.

    Raises:
        ValueError: it is not a size.
    """
    if limit is not None:
        return bytes_of(limit)
    given = os.environ.get("FOVEATE_CACHE_LIMIT")
    return bytes_of(given, name="FOVEATE_CACHE_LIMIT") if given else None
