"""Files of every kind that eye clinics keep: orientation, depth, palettes, damage, annotators."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data import read

SCHEMA = LabelSchema(labels=("cup", "disc"))


def picture(rows: int = 12, cols: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, cols, 3), np.uint8)


def save(array: np.ndarray, path: Path, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def masks_of(folder: Path, *sources: MaskSource, annotators: str = "union", shape: tuple[int, int] = (2, 3)):
    marked, known = read.masks(
        Row("a", "a.png", masks={"cup": sources}), folder, SCHEMA, annotators=annotators, shape=shape
    )
    assert not marked[1].any()
    assert not known[1].any(), "a label without sources is unknown"
    assert not (marked & ~known & 1).any()
    return marked[0].astype(bool), known[0].astype(bool)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "jpg"])
def test_exif_orientation_turns_image_and_size(tmp_path: Path, orientation: int, kind: str) -> None:
    upright = np.repeat(np.repeat(picture(2, 3), 16, 0), 16, 1)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[read.ORIENTATION] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "jpg" else {}
    path = save(np.ascontiguousarray(stored), tmp_path / f"a.{kind}", exif=exif, **options)
    assert read.size(path) == (32, 48)
    np.testing.assert_allclose(read.image(path).astype(int), upright, atol=6 if kind == "jpg" else 0)


def test_broken_exif_is_upright(tmp_path: Path) -> None:
    path = save(picture(), tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    np.testing.assert_array_equal(read.image(path), picture())


def test_grey_sixteen_bit_and_fractions_become_three_equal_channels(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 257], [32768, 65534, 65535]], np.uint16)
    expected = np.array([[0, 0, 1], [128, 255, 255]], np.uint8)
    for path in (
        save(grey, tmp_path / "a.png"),
        save(grey, tmp_path / "a.tif"),
        save(grey / np.float32(65535), tmp_path / "f.tif"),
    ):
        got = read.image(path)
        assert got.dtype == np.uint8
        for channel in range(3):
            np.testing.assert_array_equal(got[:, :, channel], expected)
    low = save(picture()[:, :, 0], tmp_path / "l.png")
    np.testing.assert_array_equal(read.image(low), np.repeat(picture()[:, :, :1], 3, 2))


def test_values_out_of_range_are_named(tmp_path: Path) -> None:
    path = save(np.full((2, 3), 7.5, np.float32), tmp_path / "f.tif")
    with pytest.raises(read.Unreadable, match=r"f\.tif: grey values 7\.5 to 7\.5"):
        read.image(path)


def test_palette_transparency_and_cmyk_become_rgb(tmp_path: Path) -> None:
    few = np.repeat(picture(2, 2), 6, 0)
    palette = Image.fromarray(few).quantize(4)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read.image(tmp_path / "p.png"), np.array(palette.convert("RGB")))
    palette.save(tmp_path / "t.png", transparency=bytes([0, 10, 200, 255]))
    np.testing.assert_array_equal(read.image(tmp_path / "t.png"), np.array(palette.convert("RGB")))
    alpha = np.dstack([picture(), np.full((12, 20), 3, np.uint8)])
    np.testing.assert_array_equal(read.image(save(alpha, tmp_path / "a.png")), picture())
    Image.fromarray(np.full((16, 16, 3), (200, 30, 90), np.uint8)).convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    np.testing.assert_allclose(read.image(tmp_path / "c.jpg")[8, 8].astype(int), (200, 30, 90), atol=4)


@pytest.mark.parametrize("kind", ["png", "jpg", "tif"])
def test_damage_is_unreadable(tmp_path: Path, kind: str) -> None:
    path = save(picture(200, 200), tmp_path / f"a.{kind}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(read.Unreadable, match=rf"a\.{kind}: cannot be decoded"):
        read.image(path)
    for content in (b"", b"no image", whole[:9]):
        path.write_bytes(content)
        with pytest.raises(read.Unreadable):
            read.size(path)
    with pytest.raises(read.Unreadable, match="no such file"):
        read.image(tmp_path / "gone.png")


def test_palette_masks_give_index_values(tmp_path: Path) -> None:
    index = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    file = Image.fromarray(index)
    file.putpalette([0, 0, 0, 255, 0, 0, 40, 40, 40])
    file.save(tmp_path / "m.png")
    marked, known = masks_of(tmp_path, MaskSource("m.png", index=(2,)))
    np.testing.assert_array_equal(marked, index == 2)
    assert known.all()
    marked, _ = masks_of(tmp_path, MaskSource("m.png", above=127.0))
    np.testing.assert_array_equal(marked, index == 1)


def test_sixteen_bit_values_bits_and_ignore(tmp_path: Path) -> None:
    values = np.array([[0, 300, 4097], [1, 256, 65535]], np.uint16)
    save(values, tmp_path / "m.png")
    marked, known = masks_of(tmp_path, MaskSource("m.png", index=(300, 4097, 65535), ignore=(65535, 1)))
    np.testing.assert_array_equal(marked, [[0, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(known, [[1, 1, 1], [0, 1, 0]])
    marked, _ = masks_of(tmp_path, MaskSource("m.png", bit=8))
    np.testing.assert_array_equal(marked, (values >> 8) & 1)


def test_thresholds_and_one_bit_files(tmp_path: Path) -> None:
    truth = np.array([[0, 1, 1], [1, 0, 0]], bool)
    save(truth, tmp_path / "one.png")
    save(np.where(truth, 0, 255).astype(np.uint8), tmp_path / "dark.bmp")
    save(np.where(truth[..., None], np.array([180, 0, 0]), 0).astype(np.uint8), tmp_path / "red.png")
    save(np.where(truth, 0.8, 0.1).astype(np.float32), tmp_path / "soft.tif")
    for source in (
        MaskSource("one.png", above=127.0),
        MaskSource("one.png", index=(1,)),
        MaskSource("dark.bmp", below=128.0),
        MaskSource("red.png", above=127.0),
        MaskSource("soft.tif", above=0.5),
    ):
        np.testing.assert_array_equal(masks_of(tmp_path, source)[0], truth)
    for source in (MaskSource("red.png", index=(180,)), MaskSource("red.png", bit=2), MaskSource("soft.tif", bit=0)):
        with pytest.raises(read.Unreadable, match="colours"):
            masks_of(tmp_path, source)


def test_absent_is_known_and_missing_or_other_size_is_unreadable(tmp_path: Path) -> None:
    marked, known = masks_of(tmp_path, MaskSource())
    assert known.all()
    assert not marked.any()
    with pytest.raises(read.Unreadable, match=r"m\.png: there is no such file"):
        masks_of(tmp_path, MaskSource("m.png", above=1.0))
    save(np.zeros((3, 2), np.uint8), tmp_path / "m.png")
    with pytest.raises(read.Unreadable, match=r"the mask is \(3, 2\) \(rows, cols\), its image \(2, 3\)"):
        masks_of(tmp_path, MaskSource("m.png", above=1.0))


def test_a_file_for_two_labels_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(np.array([[1, 2, 3]], np.uint8), tmp_path / "m.png")
    opened = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda path, **options: opened.append(path) or original(path, **options))
    sources = {"cup": (MaskSource("m.png", index=(1,)),), "disc": (MaskSource("m.png", index=(1, 2)),)}
    marked, known = read.masks(Row("a", "a", masks=sources), tmp_path, SCHEMA, shape=(1, 3))
    np.testing.assert_array_equal(marked[:, 0], [[1, 0, 0], [1, 1, 0]])
    assert known.all()
    assert len(opened) == 1


def test_graders_by_name_and_parts_of_one_grader(tmp_path: Path) -> None:
    for name, place in (("a", 0), ("b", 1), ("c", 2)):
        values = np.zeros((2, 3), np.uint8)
        values[0, place] = 255
        save(values, tmp_path / f"{name}.png")
    one = [MaskSource(f"{name}.png", above=0.0) for name in "ab"]
    other = MaskSource("c.png", above=0.0, annotator="second")
    assert masks_of(tmp_path, *one)[0][0].tolist() == [True, True, False], "parts of one annotator are united"
    assert masks_of(tmp_path, *one, other, annotators="second")[0][0].tolist() == [False, False, True]
    assert masks_of(tmp_path, *one, other, annotators="intersection")[0].sum() == 0
    marked, known = masks_of(tmp_path, *one, other, annotators="majority")
    assert not marked.any()
    np.testing.assert_array_equal(known, [[0, 0, 0], [1, 1, 1]])
    _, known = masks_of(tmp_path, *one, annotators="second")
    assert not known.any()


@given(arrays(np.int8, st.tuples(st.integers(1, 5), st.just(3), st.just(4)), elements=st.sampled_from([-1, 0, 1])))
def test_merge_rules_against_a_slow_loop(votes: np.ndarray) -> None:
    for name, rule in read.MERGE.items():
        marked, known = rule(votes == 1, votes >= 0)
        for at in np.ndindex(votes.shape[1:]):
            there = [v for v in votes[(slice(None), *at)].tolist() if v >= 0]
            yes, no, everyone = there.count(1), there.count(0), len(there) == len(votes)
            truth = {
                "union": 1 if yes else (0 if everyone else None),
                "intersection": 0 if no else (1 if everyone else None),
                "majority": None if yes == no else int(yes > no),
            }[name]
            assert bool(known[at]) == (truth is not None)
            if truth is not None:
                assert bool(marked[at]) == bool(truth)


def test_a_label_made_of_several_is_marked_where_any_is_and_known_where_that_is_decided(tmp_path: Path) -> None:
    """One member marks the left pixel; the other is unknown in the right one: there nobody can say that it is free."""
    Image.fromarray(np.array([[255, 0, 0]], np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[127, 0, 127]], np.uint8)).save(tmp_path / "b.png")
    schema = LabelSchema((), ("drusen", "cnv"), exclusive=True).unite("lesion")
    row = Row(
        "a",
        "a.png",
        masks={"drusen": (MaskSource("a.png", above=200),), "cnv": (MaskSource("b.png", above=200, ignore=(127,)),)},
    )
    marked, known = read.masks(row, tmp_path, schema, shape=(1, 3))
    assert marked.tolist() == [[[1, 0, 0]]]
    assert known.tolist() == [[[1, 1, 0]]]
    silent = Row("a", "a.png", masks={"drusen": (MaskSource("a.png", above=200),)})
    assert read.masks(silent, tmp_path, schema, shape=(1, 3))[1].tolist() == [[[1, 0, 0]]]
