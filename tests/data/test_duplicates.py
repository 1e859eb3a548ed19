"""Near duplicates: copies are found whatever was done to them, other images are not, and few are compared."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from foveate.data import duplicates
from foveate.data.duplicates import FLIPS, MIRRORS, bits, candidates, likeness, near, thumb


def retina(seed: int, size: int = 160) -> np.ndarray:
    """A round field of view with vessels of its own."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size, 3), np.uint8)
    cv2.circle(image, (size // 2, size // 2), size * 9 // 20, (150, 90, 40), -1)
    for _ in range(14):
        ends = rng.integers(size // 8, size * 7 // 8, (3, 1, 2))
        cv2.polylines(image, [ends], False, (90, 40, 20), int(rng.integers(1, 4)))
    cv2.circle(image, tuple(int(v) for v in rng.integers(size // 4, size * 3 // 4, 2)), size // 14, (240, 220, 120), -1)
    return cv2.GaussianBlur(image, (3, 3), 0)


def saved(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def half(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((80, 80), Image.Resampling.BICUBIC))


ALTERED = {
    "halved": half,
    "JPEG": lambda a: saved(a, 40),
    "halved JPEG": lambda a: saved(half(a), 50),
    "brighter": lambda a: np.clip(a * 1.1 + 5, 0, 255).astype(np.uint8),
    "squeezed": lambda a: np.asarray(Image.fromarray(a).resize((160, 120))),
}


@pytest.mark.parametrize("how", ALTERED)
def test_copies_are_found_and_nothing_else(how: str) -> None:
    images = [retina(seed) for seed in range(20)]
    images += [ALTERED[how](image) for image in images[:10]]
    thumbs = [thumb(image) for image in images]
    found = near([str(i) for i in range(30)], [bits(t) for t in thumbs], thumbs.__getitem__)
    assert [pair.ids for pair in found] == [(str(i), str(i + 20)) for i in range(10)]
    assert all(pair.how == "" and pair.likeness >= duplicates.ALIKE for pair in found)


@pytest.mark.parametrize("how", [name for name in FLIPS if name])
def test_mirrored_copies_are_found_and_named(how: str) -> None:
    images = [retina(seed) for seed in range(6)]
    images.append(saved(np.ascontiguousarray(FLIPS[how](images[2])), 70))
    thumbs = [thumb(image) for image in images]
    (pair,) = near(list("abcdefg"), [bits(t) for t in thumbs], thumbs.__getitem__)
    assert (pair.ids, pair.how) == (("c", "g"), how)
    assert str(pair).startswith("c ~ g (0.9")
    assert how in str(pair)


@pytest.mark.parametrize("how", MIRRORS)
def test_mirroring_turns_a_fixed_pattern_of_bits(how: str) -> None:
    small = thumb(retina(3))
    turned = np.frombuffer(bits(np.ascontiguousarray(FLIPS[how](small))), np.uint8)
    expected = np.frombuffer(bits(small), np.uint8) ^ np.packbits(MIRRORS[how])
    assert np.bitwise_count(turned ^ expected).sum() <= 2  # coefficients of almost 0 may round either way


def test_bands_miss_hardly_a_pair_that_is_near() -> None:
    rng = np.random.default_rng(1)
    plain = rng.integers(0, 256, (400, 32), np.uint8)
    flip = np.zeros((400, 256), np.uint8)
    for line, count in zip(flip, rng.integers(0, 33, 400), strict=True):
        line[rng.choice(256, count, replace=False)] = 1
    hashes = [row.tobytes() for row in plain] + [row.tobytes() for row in plain ^ np.packbits(flip, axis=1)]
    found = {(i, j) for i, j, how in candidates(hashes) if how == ""}
    there = {(i, i + 400) for i in range(400)}
    assert found <= there  # random images differ in 128 bits
    assert len(found) >= 0.99 * len(there)


def test_distance_is_that_of_a_slow_loop() -> None:
    rng = np.random.default_rng(2)
    few = rng.integers(0, 256, (1, 32), np.uint8) ^ np.packbits(rng.random((60, 256)) < 0.05, axis=1)
    hashes = [row.tobytes() for row in few]
    apart = {
        (i, j): int(np.bitwise_count(few[i] ^ few[j]).sum()) for i in range(60) for j in range(i + 1, 60)
    }  # about 24 bits each
    found = {(i, j) for i, j, how in candidates(hashes, far=20) if how == ""}
    assert found == {pair for pair, distance in apart.items() if distance <= 20}
    assert found


def test_flat_images_are_like_nothing() -> None:
    assert bits(np.full((64, 64), 7, np.uint8)) == b""
    assert candidates([b"", b"", b"x" * 32]) == []
    flat = np.zeros((64, 64), np.uint8)
    assert likeness(flat, flat) == 0.0


def test_an_image_that_is_gone_is_passed_over() -> None:
    small = thumb(retina(0))
    assert near(["a", "b"], [bits(small)] * 2, lambda i: small if i else None) == []


def test_a_portion_more_does_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = [bits(thumb(retina(i % 7))) for i in range(35)]
    whole = candidates(hashes)
    monkeypatch.setattr(duplicates, "ROOM", 3)
    assert candidates(hashes) == whole
    assert len([pair for pair in whole if pair[2] == ""]) >= 7 * 10
