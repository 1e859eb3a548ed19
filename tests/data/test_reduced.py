"""JPEG decoded at a part of its size: the same frame within bounds, exact geometry, and only where it may be."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data import prepare as prepare_file
from foveate.data import read
from foveate.data.cache import Cache
from foveate.data.prepare import Prepare
from foveate.data.resizing import average, resize

SCHEMA = LabelSchema((Question("dr"),), ("spot",))


def photograph(rows: int, cols: int, *, radius: float = 0.45, seed: int = 0) -> np.ndarray:
    """A lit field with a gradient, vessels of a few pixels and grain, on black."""
    rng = np.random.default_rng(seed)
    image = np.zeros((rows, cols, 3), np.uint8)
    cv2.circle(image, (cols // 2, rows // 2), round(radius * min(rows, cols)), (170, 80, 40), -1)
    lit = image.max(2) > 0
    down = np.linspace(0.6, 1.2, rows)[:, None, None]
    grain = cv2.GaussianBlur(rng.normal(0, 40, (rows, cols)).astype(np.float32), (0, 0), 1.2)[..., None]
    image = np.where(lit[..., None], np.clip(image * down + grain, 0, 255), image).astype(np.uint8)
    for _ in range(12):
        ends = rng.integers(0, [cols, rows], (2, 2))
        colour = (110, 30, 20) if rng.random() < 0.7 else (230, 220, 120)
        drawn = image.copy()
        cv2.line(drawn, ends[0].tolist(), ends[1].tolist(), colour, int(rng.integers(1, 4)), cv2.LINE_AA)
        image[lit] = drawn[lit]
    return image


def saved(image: np.ndarray, path: Path, **options: object) -> Path:
    Image.fromarray(image).save(path, quality=92, **options)
    return path


def whole(path: Path, prepare: Prepare) -> tuple[np.ndarray, object]:
    """The frame that the fully decoded image gives."""
    return prepare.frame(read.image(path))


def spied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Factors that images are decoded by from now on."""
    factors: list[int] = []
    reduced = read.reduced

    def note(*args: object, **keywords: object) -> read.Reduced:
        found = reduced(*args, **keywords)  # type: ignore[arg-type]
        factors.append(found.factor)
        return found

    monkeypatch.setattr(prepare_file.read, "reduced", note)
    return factors


@pytest.mark.parametrize("clahe", [None, 2.0])
@pytest.mark.parametrize(("size", "factor"), [(160, 4), (80, 8), (320, 2), (400, 2)])
def test_a_frame_differs_little_from_that_of_the_whole_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, factor: int, clahe: float | None
) -> None:
    path, prepare = saved(photograph(1072, 1608), tmp_path / "a.jpg"), Prepare(size, clahe=clahe)
    before, geometry = whole(path, prepare)
    factors = spied(monkeypatch)
    after = prepare.file(path)
    assert factors == [factor]
    assert after.whole is None
    assert after.geometry == geometry
    assert after.geometry.source == (1072, 1608)
    difference = np.abs(before.astype(int) - after.image)
    assert difference.mean() < (1 if clahe is None else 2)
    assert np.percentile(difference, 99) <= (10 if clahe is None else 16)
    assert difference.any(), "or nothing was reduced"


@pytest.mark.parametrize("prepare", [Prepare(900), Prepare(512), Prepare((64, 500), stretch=True)])
def test_a_frame_not_far_smaller_than_the_image_is_of_the_whole_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Prepare
) -> None:
    """Along both axes: a frame may be far smaller along one and not along the other."""
    path = saved(photograph(700, 900), tmp_path / "a.jpg")
    factors = spied(monkeypatch)
    after = prepare.file(path)
    assert factors == [1]
    np.testing.assert_array_equal(after.image, whole(path, prepare)[0])
    np.testing.assert_array_equal(after.whole, read.image(path))


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "webp"])
def test_other_files_are_decoded_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    Image.fromarray(photograph(400, 600)).save(path)
    np.testing.assert_array_equal(Prepare(32).file(path).image, whole(path, Prepare(32))[0])


def test_white_edges_are_filled_in_the_whole_image(tmp_path: Path) -> None:
    image = photograph(400, 600)
    image[:, :60] = 255
    path, prepare = saved(image, tmp_path / "a.jpg"), Prepare(32, fill_white=True)
    np.testing.assert_array_equal(prepare.file(path).image, whole(path, prepare)[0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(640, 960), (637, 955)])
def test_exif_orientation(tmp_path: Path, orientation: int, shape: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[read.ORIENTATION] = orientation
    image = cv2.GaussianBlur(photograph(*shape), (0, 0), 2)
    path, prepare = saved(image, tmp_path / "a.jpg", exif=exif), Prepare(64)
    before, geometry = whole(path, prepare)
    after = prepare.file(path)
    assert after.geometry == geometry
    assert (after.geometry.source == shape) == (orientation < 5)
    assert np.abs(before.astype(int) - after.image).mean() < 1
    assert (after.whole is None) == (orientation == 1 or shape[0] % 8 == 0)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_grey_cmyk_and_progressive(tmp_path: Path, mode: str, options: dict[str, object]) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph(640, 960)).convert(mode).save(path, quality=92, **options)
    before, _ = whole(path, Prepare(100))
    after = Prepare(100).file(path)
    assert after.whole is None
    assert np.abs(before.astype(int) - after.image).mean() < 1.2
    if mode == "L":
        assert (after.image == after.image[:, :, :1]).all()


def test_a_cut_off_file_is_unreadable_at_any_size(tmp_path: Path) -> None:
    path = saved(photograph(640, 960), tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:-2000])
    for size in (60, 100, 200, 900):
        with pytest.raises(read.Unreadable, match="cannot be decoded"):
            Prepare(size).file(path)


def test_a_second_picture_in_the_file_is_left_alone(tmp_path: Path) -> None:
    """A camera's MPO holds a preview beside its photograph."""
    first, second = Image.fromarray(photograph(640, 960)), Image.fromarray(photograph(80, 120))
    first.save(tmp_path / "a.mpo", format="MPO", save_all=True, append_images=[second], quality=92)
    after = Prepare(100).file(tmp_path / "a.mpo")
    assert after.whole is None
    assert after.geometry.source == (640, 960)
    assert np.abs(whole(tmp_path / "a.mpo", Prepare(100))[0].astype(int) - after.image).mean() < 1


@settings(max_examples=150, deadline=None)
@given(st.integers(16, 400), st.integers(16, 400), st.sampled_from([2, 4, 8]), st.data())
def test_the_average_is_exact_where_the_last_pixel_is_a_part(
    rows: int, cols: int, factor: int, data: st.DataObject
) -> None:
    extent = rows / factor, cols / factor
    shape = tuple(data.draw(st.integers(1, max(1, int(length // 2)))) for length in extent)
    image = np.random.default_rng(rows).integers(0, 256, (-(-rows // factor), -(-cols // factor), 3), np.uint8)
    found = average(image, shape, extent)

    def weights(count: int, length: float, pixels: int) -> np.ndarray:
        edges = np.arange(count + 1) * length / count
        at = np.arange(pixels)
        covered = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
        return covered.clip(0) * count / length

    down, across = (weights(n, e, p) for n, e, p in zip(shape, extent, image.shape[:2], strict=True))
    np.testing.assert_allclose(found, np.einsum("ri,ijc,sj->rsc", down, image, across), atol=0.51)


@pytest.mark.parametrize("shape", [(1072, 1608), (1071, 1603)])
@pytest.mark.parametrize("radius", [0.3, 0.45])
@pytest.mark.parametrize("size", [96, 160, 256])
def test_the_field_is_found_on_the_reduced_picture_and_undone_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], radius: float, size: int
) -> None:
    path = saved(photograph(*shape, radius=radius), tmp_path / "a.jpg")
    prepare = Prepare(size, crop_field=True)
    plain = whole(path, prepare)[1]
    factors = spied(monkeypatch)
    after = prepare.file(path)
    top, left, height, width = after.geometry.crop
    step = max(shape) / 512 + factors[-1]  # the field is found at 512 pixels, and begins at a reduced pixel
    np.testing.assert_allclose(after.geometry.crop, plain.crop, atol=2 * step)
    assert top % factors[-1] == 0 == left % factors[-1]
    assert top + height <= shape[0]
    assert left + width <= shape[1]
    assert min(height / after.geometry.inner[2], width / after.geometry.inner[3]) >= 2 * factors[-1] or factors[-1] == 1
    assert after.geometry.undo(torch.rand(1, *after.geometry.size)).shape == (1, *shape)
    same = resize(
        read.image(path)[top : top + height, left : left + width], after.geometry.inner[2:]
    )  # the same crop of the whole image
    down, across, rows, cols = after.geometry.inner
    shown = after.image[down : down + rows, across : across + cols]
    assert np.abs(same.astype(int) - shown).mean() < 1


def test_a_field_that_is_a_small_part_is_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(photograph(1200, 1800, radius=0.15), tmp_path / "a.jpg")
    factors = spied(monkeypatch)
    after = Prepare(150, crop_field=True).file(path)
    assert factors == [2, 1]
    np.testing.assert_array_equal(after.whole, read.image(path))
    np.testing.assert_allclose(after.geometry.crop, whole(path, Prepare(150, crop_field=True))[1].crop, atol=8)


def test_a_place_is_where_the_geometry_has_it(tmp_path: Path) -> None:
    image = np.zeros((803, 1205, 3), np.uint8)
    cv2.circle(image, (900, 300), 30, (255, 255, 255), -1)
    path = saved(image, tmp_path / "a.jpg")
    framed = Prepare(100).file(path)
    assert framed.whole is None
    weight = framed.image[:, :, 0].astype(float)
    centre = [float((np.indices(weight.shape)[axis] * weight).sum() / weight.sum()) for axis in (0, 1)]
    np.testing.assert_allclose(centre, framed.geometry.to_frame((300, 900)), atol=0.05)


def test_training_reading_and_the_cache_see_the_same_frame(tmp_path: Path) -> None:
    saved(photograph(640, 960), tmp_path / "a.jpg")
    mask = np.zeros((640, 960), np.uint8)
    mask[100:180, 200:280] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    row = Row("a", "a.jpg", {"dr": "yes"}, {"spot": (MaskSource("m.png", above=127),)})
    prepare = Prepare(100, crop_field=True, grey=True)
    trained = prepare(row, tmp_path, SCHEMA)
    read_alone = prepare.image_only(prepare.file(tmp_path / "a.jpg"), schema=SCHEMA)
    for other in (read_alone, *(Cache(tmp_path / "cache").sample(row, tmp_path, SCHEMA, prepare) for _ in range(2))):
        np.testing.assert_array_equal(other.image, trained.image)
        assert other.geometry == trained.geometry
    assert trained.masks.sum() == pytest.approx(80 * 80 * np.prod(trained.geometry.scale), rel=0.1)


def test_bytes_of_a_jpeg_in_another_file_are_decoded_whole() -> None:
    data = BytesIO()
    Image.fromarray(photograph(400, 600)).save(data, "JPEG")
    assert read.picture.pixels_of(Path("x.dcm"), data.getvalue()).values.shape == (400, 600, 3)
