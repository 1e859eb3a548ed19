"""Frames and masks as bytes, and back: a magic word, a checksum, a short JSON header, then the data.

Of a frame the part inside the padding is kept as it is: compressed without loss a photograph would be a third smaller
and take ten times as long to read. A plane of a mask, or of what is known of it, is the box about its marked pixels and
either their places in the plane, if they are few, or the box as bits, both deflated; equal planes are kept
once, and a filled box is a box alone. What is known is mostly such a box. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import UInt8

from foveate.core.shapes import Box, Geometry

HEAD = struct.Struct("<8sII")  # magic word, crc32 of what follows, length of the JSON header
IMAGE, MASKS = b"fovimage", b"fovmasks"
FILLED, PLACES, BITS = "filled", "places", "bits"
FEW = 32
"""From so many times more pixels than marked ones on the places of those are kept: they are faster to read."""


def pack_image(image: UInt8[np.ndarray, "r c k"], geometry: Geometry) -> bytes:
    """A frame as bytes; inverse of `unpack_image`.

    Args:
        image: 0 outside ``geometry.inner``.
        geometry: its position in the original.
    """
    header = {"channels": image.shape[2], "geometry": asdict(geometry)}
    return _framed(IMAGE, header, np.ascontiguousarray(_part(image, geometry.inner)).tobytes())


def unpack_image(data: UInt8[np.ndarray, " n"]) -> tuple[UInt8[np.ndarray, "r c k"], Geometry] | None:
    """The frame and its geometry, or None if the data are damaged."""
    opened = _opened(IMAGE, data)
    if opened is None:
        return None
    header, body = opened
    geometry = Geometry(**{name: tuple(value) for name, value in header["geometry"].items()})
    inner = body.reshape(*geometry.inner[2:], header["channels"])
    if geometry.inner[2:] == geometry.size:
        return inner, geometry
    image = np.zeros((*geometry.size, header["channels"]), np.uint8)
    _part(image, geometry.inner)[:] = inner
    return image, geometry


def pack_masks(masks: UInt8[np.ndarray, "l r c"], known: UInt8[np.ndarray, "l r c"]) -> bytes:
    """Masks and what is known of them as bytes; inverse of `unpack_masks`.

    Args:
        masks: 0/1.
        known: 0/1.
    """
    planes: dict[tuple[Box, str, bytes], int] = {}
    which = [planes.setdefault(_packed(plane), len(planes)) for plane in (*masks, *known)]
    header = {"shape": masks.shape, "which": which, "planes": [[box, way, len(data)] for box, way, data in planes]}
    return _framed(MASKS, header, b"".join(data for _, _, data in planes))


def unpack_masks(
    data: UInt8[np.ndarray, " n"], shape: tuple[int, int, int]
) -> tuple[UInt8[np.ndarray, "l r c"], UInt8[np.ndarray, "l r c"]] | None:
    """Masks and what is known of them, or None if the data are damaged or of another shape."""
    opened = _opened(MASKS, data)
    if opened is None or tuple(opened[0]["shape"]) != shape:
        return None
    header, body = opened
    out = np.zeros((2 * shape[0], *shape[1:]), np.uint8)
    at = 0
    for number, (box, way, length) in enumerate(header["planes"]):
        packed, at = body[at : at + length], at + length
        data_of = b"" if way == FILLED else zlib.decompress(packed.data)
        mine = [out[place] for place, plane in enumerate(header["which"]) if plane == number]
        if way == PLACES:
            places = np.cumsum(np.frombuffer(data_of, "<u4"), dtype=np.int64)
            for plane in mine:
                plane.reshape(-1)[places] = 1
            continue
        bits = np.frombuffer(data_of, np.uint8)
        marked = 1 if way == FILLED else np.unpackbits(bits, count=box[2] * box[3]).reshape(box[2:])
        for plane in mine:
            _part(plane, box)[:] = marked
    return out[: shape[0]], out[shape[0] :]


def _packed(plane: UInt8[np.ndarray, "r c"]) -> tuple[Box, str, bytes]:
    """The box about the marked pixels of a plane, how they are kept, and the data."""
    flags = plane.view(bool)
    rows = np.flatnonzero(flags.any(1))
    if not len(rows):
        return (0, 0, 0, 0), FILLED, b""
    band = flags[rows[0] : rows[-1] + 1]
    cols = np.flatnonzero(band.any(0))
    part = np.ascontiguousarray(band[:, cols[0] : cols[-1] + 1])
    box = int(rows[0]), int(cols[0]), part.shape[0], part.shape[1]
    count = np.count_nonzero(part)
    if count == part.size:
        return box, FILLED, b""
    if count * FEW <= part.size:
        steps = np.diff(np.flatnonzero(flags), prepend=0).astype("<u4")  # small numbers, which deflate well
        return box, PLACES, zlib.compress(steps.tobytes(), 1)
    return box, BITS, zlib.compress(np.packbits(part).tobytes(), 1)


def _framed(magic: bytes, header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return HEAD.pack(magic, zlib.crc32(body, zlib.crc32(text)), len(text)) + text + body


def _opened(magic: bytes, data: UInt8[np.ndarray, " n"]) -> tuple[dict[str, Any], UInt8[np.ndarray, " n"]] | None:
    """Header and body, or None if the magic word or the checksum is another."""
    if len(data) < HEAD.size:
        return None
    found, check, length = HEAD.unpack_from(data.data)
    if found != magic or zlib.crc32(data.data[HEAD.size :]) != check:
        return None
    at = HEAD.size + length
    header: dict[str, Any] = json.loads(data[HEAD.size : at].tobytes())
    return header, data[at:]


def _part(image: np.ndarray, box: Sequence[int]) -> np.ndarray:
    top, left, height, width = box
    return image[top : top + height, left : left + width]
