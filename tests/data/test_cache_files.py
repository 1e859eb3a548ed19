"""The cache and the files of the data: one that is replaced in whatever way, or gone, is noticed; its limit holds."""

import os
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import LabelSchema
from foveate.core.shapes import Geometry
from foveate.core.types import MaskSource, Row
from foveate.data import cache as cache_file
from foveate.data import cache_digests, cache_space
from foveate.data.cache import Cache, cache_at
from foveate.data.cache_digests import Digests, state_of
from foveate.data.cache_format import pack_image, pack_masks, unpack_image, unpack_masks
from foveate.data.cache_space import Space, bytes_of, clear, usage
from foveate.data.manifest import sha256
from foveate.data.prepare import Prepare
from foveate.data.read import Unreadable

SCHEMA = LabelSchema(labels=("cup", "disc"))
PREPARE = Prepare(size=16)


def picture(path: Path, value: int) -> None:
    """A file of as many bytes for every value."""
    Image.fromarray(np.full((20, 20, 3), value, np.uint8)).save(path, format="BMP")


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """An image and its mask, both old enough to be remembered."""
    for name, value in (("a.bmp", 50), ("m.bmp", 0)):
        picture(tmp_path / name, value)
    return Row("a", "a.bmp", masks={"cup": (MaskSource("m.bmp", above=99),), "disc": (MaskSource(),)})


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are remembered however young they are."""
    monkeypatch.setattr(cache_digests, "YOUNG", -1)


def keep_times(path: Path, change: Callable[[], None]) -> None:
    """Change a file and give it back its size and time of modification."""
    before = path.stat()
    time.sleep(0.02)  # the clock of a file system goes by milliseconds
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def aside(path: Path, value: int) -> None:
    picture(path.with_suffix(".new"), value)
    os.replace(path.with_suffix(".new"), path)


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("way", [picture, aside])
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(
    tmp_path: Path, row: Row, way: Callable[[Path, int], None], again: bool
) -> None:
    cache = Cache(tmp_path / "cache")
    first = cache.sample(row, tmp_path, SCHEMA, PREPARE)
    assert len(list((tmp_path / "cache/digests").iterdir())) == 1
    keep_times(tmp_path / "a.bmp", lambda: way(tmp_path / "a.bmp", 90))
    keep_times(tmp_path / "m.bmp", lambda: way(tmp_path / "m.bmp", 255))
    if again:
        cache = Cache(tmp_path / "cache")
    second = cache.sample(row, tmp_path, SCHEMA, PREPARE)
    assert (first.image == 50).all()
    assert (second.image == 90).all()
    assert not first.masks.any()
    assert second.masks[0].all()
    assert not second.masks[1].any()


@pytest.mark.usefixtures("old")
def test_a_link_that_is_turned_to_another_file_is_noticed(tmp_path: Path, row: Row) -> None:
    picture(tmp_path / "b.bmp", 90)
    os.utime(tmp_path / "b.bmp", ns=(0, (tmp_path / "a.bmp").stat().st_mtime_ns))
    (tmp_path / "link.bmp").symlink_to("a.bmp")
    cache, linked = Cache(tmp_path / "cache"), replace(row, image="link.bmp")
    assert (cache.sample(linked, tmp_path, SCHEMA, PREPARE).image == 50).all()
    (tmp_path / "link.bmp").unlink()
    (tmp_path / "link.bmp").symlink_to("b.bmp")
    for opened in (cache, Cache(tmp_path / "cache")):
        assert (opened.sample(linked, tmp_path, SCHEMA, PREPARE).image == 90).all()


@pytest.mark.parametrize("gone", ["a.bmp", "m.bmp"])
def test_a_file_that_is_gone_is_an_error_though_its_sample_is_there(tmp_path: Path, row: Row, gone: str) -> None:
    scanned = replace(row, sha256=sha256(tmp_path / "a.bmp"))
    cache = Cache(tmp_path / "cache")
    cache.sample(scanned, tmp_path, SCHEMA, PREPARE)
    (tmp_path / gone).unlink()
    for opened in (cache, Cache(tmp_path / "cache")):
        with pytest.raises(Unreadable, match=rf"{gone}: there is no such file"):
            opened.sample(scanned, tmp_path, SCHEMA, PREPARE)


def test_a_file_written_while_it_is_prepared_is_not_kept(
    tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, truth = Cache(tmp_path / "cache"), Prepare.truth

    def slow(*args: object) -> object:
        time.sleep(0.02)
        picture(tmp_path / "m.bmp", 255)
        return truth(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Prepare, "truth", slow)
    cache.sample(row, tmp_path, SCHEMA, PREPARE)
    assert [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".image"]


def test_a_file_other_than_the_scanned_one_is_used_and_a_warning_is_given_once(tmp_path: Path, row: Row) -> None:
    scanned = replace(row, sha256=sha256(tmp_path / "a.bmp"))
    picture(tmp_path / "a.bmp", 90)
    cache = Cache(tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"a\.bmp is not the file that was scanned \(image 'a'\)") as given:
        images = [cache.sample(scanned, tmp_path, SCHEMA, PREPARE).image for _ in range(2)]
    assert len(given) == 1
    assert all((image == 90).all() for image in images)


@pytest.mark.usefixtures("old")
def test_hashes_are_remembered_between_runs_and_torn_lines_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.bmp", 50)
    digest = sha256(tmp_path / "a.bmp")
    assert Digests(tmp_path / "cache").of(str(tmp_path / "a.bmp"), state_of(tmp_path / "a.bmp")) == digest
    (kept,) = (tmp_path / "cache/digests").iterdir()
    kept.write_text('["a.bmp", [1, 2]\n' + kept.read_text() + '["a.bmp", [1, 2, 3, 4], 5]\n{"x": 1}\n')
    monkeypatch.setattr(cache_digests.hashlib, "file_digest", None)
    assert Digests(tmp_path / "cache").of(str(tmp_path / "a.bmp"), state_of(tmp_path / "a.bmp")) == digest


def test_a_young_file_is_hashed_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes within a tick of the clock have the same time."""
    picture(tmp_path / "a.bmp", 50)
    digests, state = Digests(tmp_path / "cache"), state_of(tmp_path / "a.bmp")
    first = digests.of(str(tmp_path / "a.bmp"), state)
    picture(tmp_path / "a.bmp", 51)
    monkeypatch.setattr(cache_digests, "_state", lambda _: state)
    assert digests.of(str(tmp_path / "a.bmp"), state) != first
    assert not (tmp_path / "cache").exists()


def test_a_frame_is_kept_once_for_labels_graders_shares_and_splits(tmp_path: Path, row: Row) -> None:
    cache = Cache(tmp_path / "cache")
    for one in (row, replace(row, split="val", fold=3, answers={}), replace(row, masks={})):
        for schema in (SCHEMA, SCHEMA.select(labels=["cup"]), LabelSchema()):
            for annotators in ("union", "majority"):
                cache.sample(one, tmp_path, schema, replace(PREPARE, annotators=annotators))
    files = [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert files.count(".image") == 1
    assert files.count(".masks") == 8
    assert usage(tmp_path / "cache").images == 1


@pytest.mark.parametrize("inner", [(0, 0, 12, 20), (2, 0, 7, 20)])
def test_packed_is_unpacked(inner: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((12, 20, 3), np.uint8)
    image[inner[0] : inner[0] + inner[2]] = rng.integers(1, 256, (inner[2], 20, 3))
    geometry = Geometry((70, 200), (0, 0, 70, 200), inner, (12, 20))
    back = unpack_image(np.frombuffer(pack_image(image, geometry), np.uint8))
    assert back is not None
    np.testing.assert_array_equal(back[0], image)
    assert back[1] == geometry
    masks = (rng.random((4, 12, 20)) < 0.2).astype(np.uint8)
    known = np.ones_like(masks)
    masks[1], known[1, :, 5:] = 0, 0
    known[2] = masks[3]
    data = np.frombuffer(pack_masks(masks, known), np.uint8)
    found = unpack_masks(data, masks.shape)
    assert found is not None
    for one, other in zip(found, (masks, known), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.uint8
        assert one.flags.writeable
    assert unpack_masks(data, (4, 12, 21)) is None


def test_masks_of_eight_labels_take_a_hundredth_of_their_bits() -> None:
    masks = np.zeros((8, 896, 896), np.uint8)
    for label, mask in enumerate(masks):
        mask[100 : 120 + 8 * label, 200 : 220 + 8 * label] = np.tri(20 + 8 * label, dtype=np.uint8)
    known = np.zeros_like(masks)
    known[:, 150:745] = 1
    assert len(pack_masks(masks, known)) < 2 * 8 * 896 * 896 / 8 / 100


# -- the limit ---------------------------------------------------------------------------------------------------------


def put(space: Space, number: int, size: int = 8000) -> bool:
    """Store a file if it has room, in the way of the cache."""
    if not space.fits(size):
        return False
    space.store(space.folder / f"{number:02x}" / f"{number:064x}.image", bytes(size))
    return True


def there(folder: Path) -> list[int]:
    return sorted(int(path.stem, 16) for path in folder.rglob("*.image"))


def age(folder: Path, number: int, seconds: float) -> None:
    (path,) = folder.rglob(f"{number:064x}.image")
    os.utime(path, (time.time() - seconds,) * 2)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    for number in range(9):
        assert put(Space(tmp_path, 100_000), number)
        age(tmp_path, number, 1000 - number)
    age(tmp_path, 0, 1)  # the oldest is used again
    other = tmp_path / "00/notes.txt"
    other.write_bytes(bytes(50_000))
    space = Space(tmp_path, 60_000)  # seven files of two blocks
    assert there(tmp_path) == [0, 4, 5, 6, 7, 8], "nine tenths of the limit are left"
    assert put(space, 20)
    assert there(tmp_path) == [0, 4, 5, 6, 7, 8, 20]
    assert usage(tmp_path).size <= 60_000
    assert other.exists(), "what is not the cache's stays"


def test_what_a_run_uses_itself_is_not_removed_for_more_of_it(tmp_path: Path) -> None:
    put(Space(tmp_path, None), 0)
    age(tmp_path, 0, 10)
    space = Space(tmp_path, 30_000)
    kept = [put(space, number) for number in range(1, 8)]
    assert kept == [True] * 3 + [False] * 4
    assert there(tmp_path) == [1, 2, 3]


def test_a_full_cache_is_not_counted_for_every_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space(tmp_path, 30_000)
    counted: list[Path] = []
    listed = cache_space.entries
    monkeypatch.setattr(cache_space, "entries", lambda folder: counted.append(folder) or listed(folder))
    kept = [put(space, number) for number in range(50)]
    assert not all(kept)
    assert len(counted) < 10
    monkeypatch.setattr(cache_space, "AGAIN", -1)
    clear(tmp_path)
    assert put(space, 60), "room that another process makes is found"


def test_the_limit_holds_for_samples_and_a_warning_is_given_once(tmp_path: Path, row: Row) -> None:
    cache = Cache(tmp_path / "cache", limit=30_000)
    with pytest.warns(UserWarning, match=r"need more than its limit.*--cache-limit") as given:
        made = [cache.sample(row, tmp_path, SCHEMA, Prepare(size)).image for size in range(30, 40) for _ in range(2)]
    assert [image.shape[0] for image in made[::2]] == list(range(30, 40))
    assert len(given) == 1
    assert 15_000 < usage(tmp_path / "cache").size <= 30_000
    for path in (tmp_path / "cache").rglob("*.*"):
        os.utime(path, (1, 1))
    same = Cache(tmp_path / "cache", limit=0)
    for size in (30, 50):
        np.testing.assert_array_equal(
            same.sample(row, tmp_path, SCHEMA, Prepare(size)).image, Prepare(size)(row, tmp_path, SCHEMA).image
        )
    assert usage(tmp_path / "cache").files == 0


def test_sizes_as_people_write_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = {"20GB": 20e9, "500 mb": 5e8, "1.5TB": 1.5e12, "16GiB": 2**34, "7": 7, "0": 0, "3k": 3000}
    assert {text: bytes_of(text) for text in written} == written
    for wrong in ("", "GB", "-1GB", "20 GBs", "1e9", "twenty", "nan"):
        with pytest.raises(ValueError, match="must be a size such as 20GB"):
            bytes_of(wrong)
    monkeypatch.setenv("FOVEATE_CACHE_LIMIT", "3MB")
    assert cache_at(tmp_path).limit == 3_000_000
    assert cache_at(tmp_path, limit="2MB").limit == 2_000_000
    assert cache_at(cache := Cache(tmp_path)) is cache
    monkeypatch.setenv("FOVEATE_CACHE_LIMIT", "much")
    with pytest.raises(ValueError, match="FOVEATE_CACHE_LIMIT must be a size"):
        cache_at(tmp_path)
    monkeypatch.delenv("FOVEATE_CACHE_LIMIT")
    assert cache_at(tmp_path).limit is None
    assert 0 < cache_space.default_limit(tmp_path / "not/there", 0) <= cache_space.DEFAULT


def test_clearing_leaves_what_is_not_the_caches_own(tmp_path: Path, row: Row) -> None:
    folder = tmp_path / "cache"
    Cache(folder).sample(row, tmp_path, SCHEMA, PREPARE)
    old = folder / "ab" / ("ab" * 32)  # as version 2 named them
    left = folder / "cd" / f".{'cd' * 32}.masks.12.34"
    for path in (old, left, folder / "cd/mine.png", folder / "photos/x.image", folder / "readme"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert usage(folder).images == 2
    assert clear(folder).files == 4
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["mine.png", "readme", "x.image"]
    assert clear(tmp_path / "nowhere").files == 0
    for name in ("cd/mine.png", "photos/x.image", "readme"):
        (folder / name).unlink()
    (folder / "photos").rmdir()
    clear(folder)
    assert not folder.exists()


def test_another_process_opens_the_same_cache(tmp_path: Path) -> None:
    opened = pickle.loads(pickle.dumps(Cache(tmp_path, limit=5)))
    assert (opened.folder, opened.limit) == (tmp_path, 5)


def test_another_version_has_other_keys(tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    keys = {cache.key(row, tmp_path, SCHEMA, PREPARE), cache.key(row, tmp_path, SCHEMA, replace(PREPARE, size=17))}
    monkeypatch.setattr(cache_file, "VERSION", 2)
    keys.add(cache.key(row, tmp_path, SCHEMA, PREPARE))
    assert len(keys) == 3
