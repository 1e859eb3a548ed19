"""The cache of prepared samples: slices apart, files beside a header, a folder that refuses, a full disk."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from format_files import metaimage, volume

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data.cache import Cache
from foveate.data.prepare import Prepare

SCHEMA = LabelSchema(labels=("cup",))
PREPARE = Prepare(size=16)


def header(folder: Path, values: np.ndarray) -> None:
    head, pixels = metaimage(values, data="a.raw")
    (folder / "a.mhd").write_bytes(head)
    (folder / "a.raw").write_bytes(pixels)


def row(frame: int, mask: int = 0) -> Row:
    return Row("a", "a.mhd", masks={"cup": (MaskSource("a.mhd", above=99, frame=mask),)}, frame=frame)


def test_slices_and_pixels_beside_a_header_have_keys_of_their_own(tmp_path: Path) -> None:
    header(tmp_path, volume())
    cache = Cache(tmp_path / "cache")
    first = [cache.sample(row(i), tmp_path, SCHEMA, PREPARE).image for i in range(3)]
    assert len({image.tobytes() for image in first}) == 3
    for i, image in enumerate(first):
        np.testing.assert_array_equal(cache.sample(row(i), tmp_path, SCHEMA, PREPARE).image, image)
    keys = {cache.key(row(i, j), tmp_path, SCHEMA, PREPARE) for i in range(3) for j in range(3)}
    assert len(keys) == 9
    header(tmp_path, volume()[::-1])  # the header stays as it is, byte for byte
    turned = Cache(tmp_path / "cache").sample(row(0), tmp_path, SCHEMA, PREPARE)
    np.testing.assert_array_equal(turned.image, first[2])


def test_a_folder_that_refuses_costs_time_and_no_run(tmp_path: Path) -> None:
    header(tmp_path, volume())
    (tmp_path / "file").write_bytes(b"in the way")
    cache = Cache(tmp_path / "file")
    with pytest.warns(UserWarning, match=r"cache .*file: nothing more is kept there \(.*FOVEATE_CACHE") as told:
        images = [cache.sample(row(i), tmp_path, SCHEMA, PREPARE).image for i in (0, 0, 1)]
    assert len(told) == 1
    np.testing.assert_array_equal(images[0], images[1])
    assert (tmp_path / "file").read_bytes() == b"in the way"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_leaves_no_crumbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    header(tmp_path, volume())
    cache = Cache(tmp_path / "cache")
    kept = cache.sample(row(0), tmp_path, SCHEMA, PREPARE)
    write = Path.write_bytes

    def half(self: Path, data: bytes) -> int:
        write(self, data[: len(data) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.warns(UserWarning, match=os.strerror(code)) as told:
        made = [cache.sample(row(frame), tmp_path, SCHEMA, PREPARE) for frame in (1, 2, 1)]
    assert len(told) == 1
    assert [sample.image.shape for sample in made] == [(16, 16, 3)] * 3
    assert len([path for path in (tmp_path / "cache").rglob("*") if path.is_file()]) == 2
    monkeypatch.undo()
    np.testing.assert_array_equal(cache.sample(row(0), tmp_path, SCHEMA, PREPARE).image, kept.image)
