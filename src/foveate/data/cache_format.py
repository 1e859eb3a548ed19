"""Frames and masks as bytes, and back: a magic word, a checksum, a short JSON header, then the data.

Of a frame the part inside the padding is kept as it is: compressed without loss a photograph would be a third smaller
and take ten times as long to read. A plane of a mask, or of what is known of it, is the box about its marked pixels and
those pixels as packed, deflated bits; equal planes are kept once, and a filled box has no bits. What is known is
mostly such a box. Nothing is ever unpickled.
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


def pack_image(image: UInt8[np.ndarray, "r c k"], geometry: Geometry) -> bytes:
    """A frame as bytes; inverse of `unpack_image`.

    Args:
        image: 0 outside ``geometry.inner``.
        geometry: how it lies in its original.
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
    places: dict[tuple[Box, bytes], int] = {}
    which = [places.setdefault(_packed(plane), len(places)) for plane in (*masks, *known)]
    header = {"shape": masks.shape, "which": which, "planes": [[box, len(bits)] for box, bits in places]}
    return _framed(MASKS, header, b"".join(bits for _, bits in places))


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
    for number, (box, length) in enumerate(header["planes"]):
        pixels = _unpacked(box, body[at : at + length])
        at += length
        for place, plane in enumerate(header["which"]):
            if plane == number:
                _part(out[place], box)[:] = pixels
    return out[: shape[0]], out[shape[0] :]


def _packed(plane: UInt8[np.ndarray, "r c"]) -> tuple[Box, bytes]:
    """The box about the marked pixels of a plane, and its bits; no bits if all of the box is marked."""
    flags = plane.view(bool)
    rows = np.flatnonzero(flags.any(1))
    if not len(rows):
        return (0, 0, 0, 0), b""
    band = flags[rows[0] : rows[-1] + 1]
    cols = np.flatnonzero(band.any(0))
    part = band[:, cols[0] : cols[-1] + 1]
    box = int(rows[0]), int(cols[0]), part.shape[0], part.shape[1]
    return box, b"" if part.all() else zlib.compress(np.packbits(part).tobytes(), 1)


def _unpacked(box: Sequence[int], bits: UInt8[np.ndarray, " n"]) -> UInt8[np.ndarray, "h w"] | int:
    if not len(bits):
        return 1
    height, width = box[2:]
    packed = np.frombuffer(zlib.decompress(bits.data), np.uint8)
    return np.unpackbits(packed, count=height * width).reshape(height, width)


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
