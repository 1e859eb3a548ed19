"""Frames: exact geometry, nothing known in the padding, no lesion lost, the same from the cache."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.shapes import Geometry
from foveate.core.types import MaskSource, Row, Sample
from foveate.data import cache as cache_file
from foveate.data import frame_masks as frame_masks_file
from foveate.data import prepare as prepare_file
from foveate.data.cache import Cache
from foveate.data.frame_masks import frame_masks
from foveate.data.prepare import Prepare, field, fill_white_edges
from foveate.data.read import Unreadable
from foveate.data.resizing import resize

SCHEMA = LabelSchema((Question("dr", ("none", "mild")), Question("edema")), ("exudate", "vessel"))
SIDES = st.integers(3, 90)
PREPARES = st.builds(
    Prepare,
    size=st.one_of(st.integers(8, 64), st.tuples(st.integers(8, 64), st.integers(8, 64))),
    grey=st.booleans(),
    crop_field=st.booleans(),
    fill_white=st.booleans(),
    clahe=st.sampled_from([None, 2.0]),
    stretch=st.booleans(),
)


def fundus(rows: int, cols: int, centre: tuple[int, int], radius: int) -> np.ndarray:
    image = np.random.default_rng(1).integers(0, 6, (rows, cols, 3), np.uint8)
    cv2.circle(image, centre[::-1], radius, (150, 70, 30), -1)
    return image


@pytest.fixture
def row(tmp_path: Path) -> Row:
    rng = np.random.default_rng(0)
    Image.fromarray(fundus(60, 80, (30, 40), 26)).save(tmp_path / "a.png")
    Image.fromarray(rng.integers(0, 3, (60, 80), np.uint8)).save(tmp_path / "m.png")
    masks = {"exudate": (MaskSource("m.png", index=(1,), ignore=(2,)),), "vessel": (MaskSource("m.png", index=(2,)),)}
    return Row("a", "a.png", {"dr": "mild"}, masks)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, PREPARES, st.floats(0, 1), st.floats(0, 1))
def test_a_frame_can_be_undone(rows: int, cols: int, prepare: Prepare, down: float, across: float) -> None:
    image = np.random.default_rng(rows).integers(0, 256, (rows, cols, 3), np.uint8)
    frame, geometry = prepare.frame(image)
    assert frame.shape == (*prepare.shape, 1 if prepare.grey else 3) == (*geometry.size, frame.shape[2])
    assert frame.flags.c_contiguous
    assert geometry.undo(torch.rand(2, *geometry.size)).shape == (2, rows, cols)
    point = down * (rows - 1), across * (cols - 1)
    np.testing.assert_allclose(geometry.to_source(geometry.to_frame(point)), point, atol=1e-6)
    top, left, height, width = geometry.inner
    assert top >= 0 <= left
    assert top + height <= geometry.size[0]
    assert left + width <= geometry.size[1]
    padded = frame.copy()
    padded[top : top + height, left : left + width] = 0
    assert not padded.any()
    if not prepare.stretch:
        assert height == geometry.size[0] or width == geometry.size[1]


@pytest.mark.parametrize("prepare", [Prepare(64), Prepare((48, 96)), Prepare(64, stretch=True), Prepare(300)])
def test_what_is_seen_lies_where_the_geometry_says(prepare: Prepare) -> None:
    image = np.zeros((150, 120, 3), np.uint8)
    image[90:100, 30:40] = 200
    frame, geometry = prepare.frame(image)
    weight = frame[:, :, 0].astype(float)
    centre = [float((np.indices(weight.shape)[axis] * weight).sum() / weight.sum()) for axis in (0, 1)]
    np.testing.assert_allclose(centre, geometry.to_frame((94.5, 34.5)), atol=0.1)
    back = geometry.undo(torch.from_numpy(frame[:, :, 0] / 255.0)[None])[0].numpy()
    assert back.shape == (150, 120)
    assert (back > 0.39)[92:98, 32:38].all()
    assert back[:80].max() < 0.05


def test_padding_and_labels_without_source_are_unknown(tmp_path: Path, row: Row) -> None:
    sample = Prepare(32)(row, tmp_path, SCHEMA)
    assert sample.geometry.inner == (4, 0, 24, 32)
    assert not sample.known[:, :4].any()
    assert not sample.known[:, 28:].any()
    assert sample.known[1, 4:28].all()
    assert sample.answers.tolist() == [1, -1]
    assert not (sample.masks & ~sample.known & 1).any()
    bare = Prepare(32)(replace(row, masks={"exudate": (MaskSource(),)}), tmp_path, SCHEMA)
    assert bare.known[0, 4:28].all()
    assert not bare.known[1].any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_no_lesion_is_lost_and_large_ones_keep_their_area(seed: int, side: int, exclusive: bool) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((2, 256, 256), np.uint8)
    at = rng.integers(0, 100, 2)
    mask[0, at[0] : at[0] + side, at[1] : at[1] + side] = 1
    cv2.circle(mask[1], (180, 170), 50, 1, -1)
    geometry = Geometry((256, 256), (0, 0, 256, 256), (0, 0, 32, 32), (32, 32))
    framed, known = frame_masks(mask, np.ones_like(mask), geometry, exclusive=exclusive)
    assert framed[0].any()
    assert abs(int(framed[1].sum()) * 64 / int(mask[1].sum()) - 1) < 0.03
    assert known.all()


def test_exclusive_labels_never_overlap_and_leave_no_seam() -> None:
    mask = np.zeros((3, 60, 60), np.uint8)
    edges = np.array([0, 10, 22, 41, 60])
    for label in range(3):
        mask[label, edges[label] : edges[label + 1]] = 1
    mask[2, 5, 5], mask[0, 5, 5] = 1, 0
    geometry = Geometry((60, 60), (0, 0, 60, 60), (0, 0, 7, 7), (7, 7))
    framed, _ = frame_masks(mask, np.ones_like(mask), geometry, exclusive=True)
    assert framed.sum(0).max() == 1
    assert framed.sum(0)[:4].min() == 1, "between two labels there is no background"
    assert framed[2, 0, 0] == 1, "the small lesion inside another stays"


def test_partly_unknown_pixels_go_by_what_is_known() -> None:
    mask, known = np.zeros((1, 8, 8), np.uint8), np.ones((1, 8, 8), np.uint8)
    known[0, :, :2] = 0
    mask[0, :4, 2:4] = 1
    known[0, 4:, :3] = 0
    geometry = Geometry((8, 8), (0, 0, 8, 8), (0, 0, 2, 2), (2, 2))
    framed, sure = frame_masks(mask, known, geometry)
    np.testing.assert_array_equal(framed[0], [[1, 0], [0, 0]])
    np.testing.assert_array_equal(sure[0], [[1, 1], [0, 1]])


@settings(max_examples=25, deadline=None)
@given(st.integers(60, 140), st.integers(60, 140), st.integers(20, 45), st.data())
def test_field_is_the_disc_and_not_the_writing(rows: int, cols: int, radius: int, data: st.DataObject) -> None:
    centre = data.draw(st.tuples(st.integers(20, rows - 20), st.integers(20, cols - 20)))
    image = fundus(rows, cols, centre, radius)
    image[1:4, 1:4] = 255
    top, left, height, width = field(image)
    truth = (image[:, :, 0] == 150).nonzero()
    found = top, left, top + height - 1, left + width - 1
    expected = truth[0].min(), truth[1].min(), truth[0].max(), truth[1].max()
    np.testing.assert_allclose(found, expected, atol=2)


def test_field_of_a_large_photograph_and_of_none() -> None:
    assert np.abs(np.array(field(fundus(1400, 2100, (700, 1000), 600))) - (100, 400, 1201, 1201)).max() <= 12
    assert field(np.zeros((40, 50, 3), np.uint8)) == (0, 0, 40, 50)
    assert field(np.full((40, 50, 3), 90, np.uint8)) == (0, 0, 40, 50)


def test_white_edges_are_filled_and_bright_tissue_stays() -> None:
    scan = np.full((120, 160, 3), 30, np.uint8)
    scan[80:100] = 70
    scan[60:80, 50:80] = 255
    scan[50:53] = 255
    expected = scan.copy()
    slope = np.indices((120, 160))
    corner, low = slope.sum(0) < 40, slope[0] - slope[1] > 100
    scan[corner] = 255
    scan[low] = 252
    filled = fill_white_edges(scan)
    assert set(np.unique(filled[corner])) == {30}
    assert filled[low].max() <= 70
    far = cv2.dilate((corner | low).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    np.testing.assert_array_equal(filled[far], expected[far])
    blank = np.full((20, 20, 3), 255, np.uint8)
    np.testing.assert_array_equal(fill_white_edges(blank), blank)


def test_grey_and_clahe() -> None:
    image = fundus(64, 64, (32, 32), 28)
    grey, _ = Prepare(64, grey=True).frame(image)
    np.testing.assert_array_equal(grey[:, :, 0], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    level, _ = Prepare(64, grey=True, clahe=2.0).frame(image)
    np.testing.assert_array_equal(level[:, :, 0], cv2.createCLAHE(2.0, (8, 8)).apply(grey[:, :, 0]))
    before = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    after = cv2.cvtColor(Prepare(64, clahe=4.0).frame(image)[0], cv2.COLOR_RGB2LAB)
    assert not np.array_equal(before[:, :, 0], after[:, :, 0])
    disc = np.hypot(*(np.indices((64, 64)) - 32)) < 20
    assert np.abs(before[disc][:, 1:].astype(int) - after[disc][:, 1:]).max() <= 16, "colour stays nearly as it is"


def test_image_only_is_what_training_sees(tmp_path: Path, row: Row) -> None:
    prepare = Prepare((40, 32), crop_field=True, fill_white=True, clahe=2.0)
    trained = prepare(row, tmp_path, SCHEMA)
    alone = prepare.image_only(prepare_file.read.image(tmp_path / "a.png"), schema=SCHEMA, id="b")
    np.testing.assert_array_equal(alone.image, trained.image)
    assert alone.geometry == trained.geometry
    assert alone.row.id == "b"
    assert alone.masks.shape == trained.masks.shape
    assert not alone.known.any()
    assert alone.answers.tolist() == [-1, -1]


def test_settings_that_cannot_be() -> None:
    for wrong in ({"size": 0}, {"size": (5, -1)}, {"clahe": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Prepare(**wrong)
    with pytest.raises(ValueError, match="float64"):
        Prepare(8).frame(np.zeros((4, 4, 3)))


def same(one: Sample, other: Sample) -> None:
    for name in ("image", "masks", "known", "answers"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert one.geometry == other.geometry
    assert one.row == other.row


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PREPARES)
def test_cached_is_uncached(tmp_path: Path, row: Row, prepare: Prepare) -> None:
    cache = Cache(tmp_path / "cache")
    truth = prepare(row, tmp_path, SCHEMA)
    same(cache.sample(row, tmp_path, SCHEMA, prepare), truth)
    same(cache.sample(row, tmp_path, SCHEMA, prepare), truth)
    nothing = LabelSchema()
    same(cache.sample(row, tmp_path, nothing, prepare), prepare(row, tmp_path, nothing))
    same(cache.sample(row, tmp_path, nothing, prepare), prepare(row, tmp_path, nothing))


def test_second_time_is_read_from_disk_and_damage_is_made_again(
    tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, cache = Prepare(16), Cache(tmp_path / "cache")
    truth = cache.sample(row, tmp_path, SCHEMA, prepare)
    files = sorted(f for f in (tmp_path / "cache").rglob("*") if f.is_file())
    assert sorted(file.suffix for file in files) == [".image", ".masks"]
    for file in files:
        whole = file.read_bytes()
        for damaged in (b"", whole[:10], whole[:-3], whole[:90] + b"\1\2" + whole[92:], b"x" * len(whole)):
            file.write_bytes(damaged)
            same(cache.sample(row, tmp_path, SCHEMA, prepare), truth)
            assert file.read_bytes() == whole
    monkeypatch.setattr(prepare_file.read, "reduced", None)
    monkeypatch.setattr(prepare_file.read, "masks", None)
    again = Cache(tmp_path / "cache").sample(row, tmp_path, SCHEMA, prepare)
    same(again, truth)
    again.image[0, 0] = 9
    same(cache.sample(row, tmp_path, SCHEMA, prepare), truth)
    assert sorted(f for f in (tmp_path / "cache").rglob("*") if f.is_file()) == files, "nothing is left aside"


def test_a_folder_is_shared_by_writers(tmp_path: Path, row: Row) -> None:
    prepare = Prepare(16)
    truth = prepare(row, tmp_path, SCHEMA)

    def work(_: int) -> Sample:
        return Cache(tmp_path / "cache").sample(row, tmp_path, SCHEMA, prepare)

    with ThreadPoolExecutor(8) as pool:
        for sample in pool.map(work, range(24)):
            same(sample, truth)
    assert len([f for f in (tmp_path / "cache").rglob("*") if f.is_file()]) == 2


def test_key_follows_contents_masks_labels_and_numbers(
    tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, cache = Prepare(16), Cache(tmp_path / "cache")
    keys = [cache.key(row, tmp_path, SCHEMA, prepare)]
    assert cache.key(replace(row, id="other", answers={}), tmp_path, SCHEMA, prepare) == keys[0]
    assert cache.key(row, tmp_path, SCHEMA, Prepare((16, 16))) == keys[0]
    keys.append(cache.key(row, tmp_path, SCHEMA, Prepare(16, grey=True)))
    keys.append(cache.key(row, tmp_path, SCHEMA.select(labels=["vessel"]), prepare))
    keys.append(cache.key(row, tmp_path, replace(SCHEMA, exclusive=True), prepare))
    keys.append(cache.key(replace(row, masks={"vessel": row.masks["exudate"]}), tmp_path, SCHEMA, prepare))
    Image.fromarray(np.ones((60, 80), np.uint8)).save(tmp_path / "m.png")
    keys.append(cache.key(row, tmp_path, SCHEMA, prepare))
    Image.fromarray(fundus(60, 80, (31, 40), 26)).save(tmp_path / "a.png")
    keys.append(cache.key(row, tmp_path, SCHEMA, prepare))
    monkeypatch.setattr(cache_file, "VERSION", 99)
    keys.append(cache.key(row, tmp_path, SCHEMA, prepare))
    assert len(set(keys)) == len(keys)
    (tmp_path / "m.png").unlink()
    with pytest.raises(Unreadable, match="no such file"):
        cache.key(row, tmp_path, SCHEMA, prepare)


@pytest.mark.parametrize(
    ("rows", "cols", "shape"), [(1100, 1300, (220, 260)), (1423, 999, (512, 371)), (1100, 1300, (1100, 433))]
)
def test_few_marked_pixels_of_a_large_image_are_averaged_as_many_are(
    rows: int, cols: int, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(rows)
    mask = np.zeros((rows, cols), np.uint8)
    for _ in range(60):
        cv2.circle(mask, rng.integers(0, [cols, rows]).tolist(), int(rng.integers(0, 9)), 1, -1)
    mask[-1, -1] = mask[0, 0] = 1
    known = np.ones_like(mask)
    found, sure = frame_masks_file._covered(mask.view(bool), known.view(bool), shape)
    np.testing.assert_allclose(found, resize(mask.astype(np.float32), shape), atol=2e-6)
    assert sure is True
    geometry = Geometry((rows, cols), (0, 0, rows, cols), (0, 0, *shape), shape)
    quick = frame_masks(mask[None], known[None], geometry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_masks_file, "LARGE", 1 << 40)
        plain = frame_masks(mask[None], known[None], geometry)
    assert quick[0].sum() > 100
    assert (quick[0] != plain[0]).sum() <= 2, "but for a pixel that is covered by half, up to rounding"
    np.testing.assert_array_equal(quick[1], plain[1])


def test_half_covered_is_marked_whatever_the_order_of_the_sum() -> None:
    mask = np.zeros((1, 1200, 1800), np.uint8)
    mask[0, :6, 3:9] = mask[0, 600:606, 600:603] = 1  # halves of blocks of 6 x 6
    geometry = Geometry((1200, 1800), (0, 0, 1200, 1800), (0, 0, 200, 300), (200, 300))
    found, _ = frame_masks(mask, np.ones_like(mask), geometry)
    assert np.argwhere(found[0]).tolist() == [[0, 0], [0, 1], [100, 100]]
