"""Prepared samples on disk, each found by the content it was made of and by how it was made.

A file holds a magic word, a checksum, a short JSON header and the raw bytes: the image as it is, masks and known as
one bit a pixel. It is written aside and moved into place, so that processes may share a folder; a damaged one is made
again. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import struct
import warnings
import zlib
from dataclasses import asdict, dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from threading import get_ident

import cv2
import numpy as np
import PIL

from foveate.core.labels import LabelSchema
from foveate.core.shapes import Geometry
from foveate.core.types import Row, Sample
from foveate.data import read
from foveate.data.prepare import Prepare

VERSION = 2
"""Part of every key: raise it when preparing the same file the same way gives other pixels."""

HEADERS = (".mhd", ".xml", ".mha")
"""Endings of files whose pixels may lie in another one; only these are opened to find it."""

HEAD = struct.Struct("<8sII")  # magic word, crc32 of what follows, length of the JSON header
MAGIC = b"fovcache"


@dataclass(frozen=True)
class Cache:
    """A folder of prepared samples.

    A folder that cannot be written to (read-only, disk full) costs time and nothing else: samples are made anew, and a
    warning says so once.

    Args:
        folder: made when the first sample is stored; delete it whenever you like.
    """

    folder: Path
    _digests: dict[Path, tuple[int, int, str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _refused: list[OSError] = field(default_factory=list, init=False, repr=False, compare=False)

    def sample(self, row: Row, root: Path, schema: LabelSchema, prepare: Prepare) -> Sample:
        """``prepare(row, root, schema)``, from disk where it is there.

        Raises:
            Unreadable: a file of the row is missing or damaged.
        """
        key = self.key(row, root, schema, prepare)
        path = self.folder / key[:2] / key
        stored = _load(path, len(schema.labels))
        if stored is None:
            made = prepare(row, root, schema)
            self._keep(path, made)
            return made
        image, masks, known, geometry = stored
        return Sample(row, image, masks, known, schema.answer_indices(row.answers), geometry)

    def _keep(self, path: Path, sample: Sample) -> None:
        if self._refused:
            return
        try:
            _store(path, sample)
        except OSError as error:
            self._refused.append(error)
            warnings.warn(
                f"cache {self.folder}: nothing more is kept there ({error.strerror or error}), every epoch prepares "
                "its images anew; make room, or give another folder (FOVEATE_CACHE)",
                stacklevel=3,
            )

    def key(self, row: Row, root: Path, schema: LabelSchema, prepare: Prepare) -> str:
        """Hash of the files' contents, how the masks are read, the labels, the preparation and who decodes and resizes.

        The image counts by ``row.sha256`` where the manifest gives it. Answers and questions are not stored, so they
        do not count.
        """
        members = [member for label in schema.labels for member in schema.members(label)]
        sources = [s for label in members for s in row.masks.get(label, ())]
        named = sorted({(s.path, s.frame) for s in sources if s.path is not None}, key=str)
        parts = {
            "version": [VERSION, cv2.__version__, PIL.__version__],
            "image": [
                row.sha256 or self._digest(root / row.image),
                row.frame,
                *self._beside(row.image, row.frame, root),
            ],
            "files": {
                f"{path}#{frame}": [self._digest(root / path), *self._beside(path, frame, root)]
                for path, frame in named
            },
            "masks": {label: [asdict(s) for s in row.masks.get(label, ())] for label in members},
            "labels": schema.labels,
            "united": schema.united,
            "exclusive": schema.exclusive,
            "prepare": {**asdict(prepare), "size": prepare.shape},
        }
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _beside(self, name: str, frame: int | None, root: Path) -> list[str]:
        """Hashes of the files that hold the pixels of a header (.mhd, .xml)."""
        if not name.lower().endswith(HEADERS):
            return []
        return [self._digest(path) for path in read.parts(root / name, frame=frame)[1:]]

    def _digest(self, path: Path) -> str:
        """Hash of a file, computed again only when its size or time of change is another."""
        with read.reading(path):
            state = path.stat()
            seen = self._digests.get(path)
            if seen is not None and seen[:2] == (state.st_mtime_ns, state.st_size):
                return seen[2]
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
        self._digests[path] = (state.st_mtime_ns, state.st_size, digest)
        return digest


def _store(path: Path, sample: Sample) -> None:
    header = json.dumps({"image": sample.image.shape, "geometry": asdict(sample.geometry)}).encode()
    bits = np.packbits(np.stack([sample.masks, sample.known]))
    body = header + sample.image.tobytes() + bits.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    try:
        aside.write_bytes(HEAD.pack(MAGIC, zlib.crc32(body), len(header)) + body)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _load(path: Path, labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Geometry] | None:
    """What is stored, or None where nothing is, it is damaged, or it may not be read."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    if len(data) < HEAD.size:
        return None
    magic, check, length = HEAD.unpack_from(data.data)
    if magic != MAGIC or zlib.crc32(data.data[HEAD.size :]) != check:
        return None
    at = HEAD.size + length
    header = json.loads(data[HEAD.size : at].tobytes())
    rows, cols, channels = header["image"]
    plane = rows * cols
    image = data[at : at + plane * channels].reshape(rows, cols, channels)
    bits = np.unpackbits(data[at + plane * channels :], count=2 * labels * plane)
    masks, known = bits.reshape(2, labels, rows, cols)
    return image, masks, known, Geometry(**{name: tuple(value) for name, value in header["geometry"].items()})


def cache_at(folder: str | Path | None) -> Cache:
    """The cache in a folder; None = ``$FOVEATE_CACHE``, else ``foveate`` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Cache(Path(folder or os.environ.get("FOVEATE_CACHE") or Path(home) / "foveate"))
