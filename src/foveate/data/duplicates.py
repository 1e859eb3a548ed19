"""Images that show the same picture though their pixels differ: resized, recompressed, brightened or mirrored copies.

An image becomes 256 bits: the signs of the lowest 16 x 16 cosine coefficients (without the constant ones) of its green
channel at 64 x 64 pixels. A mirrored image has the same bits but for a fixed pattern. On 749 photographs and B-scans
copies halved and saved as JPEG of quality 30 differ in 13 bits (median; 99 %: 31), images of different people in 125
(least of 230,000 pairs: 35). Pairs that the bits suggest are compared again before they are reported: after a high-pass
filter copies correlate with 0.94 and more (99 %), different images with 0.95 at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

SIDE, KEPT = 64, 16
BITS = KEPT * KEPT
FAR = 32  # bits in which copies differ at most
ALIKE = 0.96  # correlation from which two images are reported as the same
BANDS, WIDTH = 32, 16  # a copy 32 bits off shares a band with probability 0.98, one 20 bits off with 0.9999
FLAT = 2.0  # grey levels of standard deviation below which there is nothing to compare
BLUR = 3.0  # pixels of SIDE: what is coarser is the shape of the field of view, which all retinas share
ROOM = 1 << 21  # pairs compared at a time, 64 MiB

COSINES = np.cos(np.pi * np.outer(np.arange(1, KEPT + 1), np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
ODD = np.arange(1, KEPT + 1) % 2 == 1  # coefficients whose sign turns when their axis is mirrored
MIRRORS = {
    "": np.zeros((KEPT, KEPT), bool),
    "mirrored left to right": np.broadcast_to(ODD[None], (KEPT, KEPT)),
    "mirrored top to bottom": np.broadcast_to(ODD[:, None], (KEPT, KEPT)),
    "turned by 180 degrees": ODD[None] ^ ODD[:, None],
}
FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda a: a,
    "mirrored left to right": lambda a: a[:, ::-1],
    "mirrored top to bottom": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
}


@dataclass(frozen=True)
class Near:
    """Two images that show the same.

    Args:
        ids: the two.
        likeness: correlation of what is finer than the field of view, in [-1, 1].
        how: "" if they have the same orientation, else how the second is mirrored or turned.
    """

    ids: tuple[str, str]
    likeness: float
    how: str = ""

    def __str__(self) -> str:
        return f"{self.ids[0]} ~ {self.ids[1]} ({self.likeness:.3f}{', ' * bool(self.how)}{self.how})"


def thumb(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "64 64"]:
    """The green channel at 64 x 64 pixels, each the mean of what it covers."""
    # The whole image is shrunk: cutting out one channel first takes longer than shrinking three.
    same = image.shape[:2] == (SIDE, SIDE)
    small = image if same else cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., 1], np.uint8)


def bits(small: UInt8[np.ndarray, "64 64"]) -> bytes:
    """256 bits of a `thumb`, packed; empty where it is too flat to compare."""
    if cv2.meanStdDev(small)[1][0, 0] < FLAT:  # numpy's std takes 15 us, a twentieth of all that a small image takes
        return b""
    return np.packbits(COSINES @ small.astype(np.float32) @ COSINES.T > 0).tobytes()


def likeness(first: UInt8[np.ndarray, "64 64"], second: UInt8[np.ndarray, "64 64"]) -> float:
    """Correlation of two thumbs without what is coarser than three pixels; 0 where one is flat."""
    a, b = (_fine(t) for t in (first, second))
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _fine(small: UInt8[np.ndarray, "64 64"]) -> Float[np.ndarray, "64 64"]:
    values = small.astype(np.float32)
    values -= cv2.GaussianBlur(values, (0, 0), BLUR)
    return np.asarray(values - values.mean())


def candidates(hashes: Sequence[bytes], *, far: int = FAR) -> list[tuple[int, int, str]]:
    """Pairs of positions whose bits differ in ``far`` places at most, and how the second is mirrored.

    Images that share one of 32 bands of 16 bits (drawn once, by a fixed seed) are compared, all others not, so that
    the time grows with the number of images and not with its square.

    Args:
        hashes: `bits` of each image; empty ones are like nothing.
        far: 0 to 256.

    Returns:
        each pair once, the smaller position first; where several ways of mirroring fit, the closest.
    """
    where = np.array([i for i, h in enumerate(hashes) if h], np.int64)
    if len(where) < 2:
        return []
    plain = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(where), BITS // 8)
    words = plain.view(np.uint64)
    bands = np.random.default_rng(0).permuted(np.tile(np.arange(BITS), (BANDS, 1)), axis=1)[:, :WIDTH]
    turned = {how: plain ^ np.packbits(pattern) for how, pattern in MIRRORS.items()}
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for band in bands:
        keys = _keys(plain, band)
        for how, pattern in MIRRORS.items():
            mirror = int(_keys(np.packbits(pattern)[None], band)[0])  # a mirrored image has the key of the image ^ this
            for i, j in _sharing(keys, keys ^ mirror):
                apart = np.bitwise_count(words[i] ^ turned[how].view(np.uint64)[j]).sum(1)
                close = apart <= far
                for a, b, d in zip(where[i[close]], where[j[close]], apart[close], strict=True):
                    pair, old = (int(a), int(b)), found.get((int(a), int(b)))
                    if old is None or d < old[0]:
                        found[pair] = (int(d), how)
    return [(a, b, how) for (a, b), (_, how) in sorted(found.items())]


def near(
    ids: Sequence[str], hashes: Sequence[bytes], see: Callable[[int], UInt8[np.ndarray, "64 64"] | None]
) -> list[Near]:
    """Images that show the same, looked at again where their bits suggest it.

    Args:
        ids: names.
        hashes: `bits` of each.
        see: the `thumb` of the image at a position; None = it cannot be seen any more.
    """
    out = []
    seen: dict[int, UInt8[np.ndarray, "64 64"] | None] = {}
    for i, j, how in candidates(hashes):
        for k in (i, j):
            if k not in seen:
                seen[k] = see(k)
        first, second = seen[i], seen[j]
        if first is None or second is None:
            continue
        alike = likeness(first, FLIPS[how](second))
        if alike >= ALIKE:
            out.append(Near((ids[i], ids[j]), alike, how))
    return out


def _keys(packed: UInt8[np.ndarray, "n 32"], band: Int[np.ndarray, " w"]) -> Int[np.ndarray, " n"]:
    """The bits of a band as one number."""
    keys = np.zeros(len(packed), np.int64)
    for bit in band:
        keys = keys * 2 + (packed[:, bit // 8] >> (7 - bit % 8) & 1)
    return keys


def _sharing(
    plain: Int[np.ndarray, " n"], turned: Int[np.ndarray, " n"]
) -> Iterator[tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]]:
    """Positions i < j with ``plain[i] == turned[j]``, a portion at a time."""
    order = np.argsort(plain, kind="stable")
    inside = plain[order]
    low, high = np.searchsorted(inside, turned, "left"), np.searchsorted(inside, turned, "right")
    total = np.cumsum(high - low)
    start = 0
    while start < len(turned):
        done = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, done + ROOM, "right")))
        count = (high - low)[start:end]
        j = np.repeat(np.arange(start, end), count)
        step = np.arange(len(j)) - np.repeat(np.cumsum(count) - count, count)
        i = order[np.repeat(low[start:end], count) + step]
        first = i < j
        yield i[first], j[first]
        start = end
