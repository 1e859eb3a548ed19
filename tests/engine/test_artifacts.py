"""Maps are found again by image id, whatever the id."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.engine.artifacts import map_path, read_map, write_map

IDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(image=IDS)
def test_any_id_is_a_file_within_the_folder(image: str) -> None:
    path = map_path(Path("maps"), image)
    assert path.parent == Path("maps")
    assert path.suffix == ".npy"
    assert path.name.isascii()
    assert "\0" not in path.name


@given(a=IDS, b=IDS)
def test_two_ids_are_two_files(a: str, b: str) -> None:
    assert (map_path(Path("maps"), a) == map_path(Path("maps"), b)) == (a == b)


@pytest.mark.parametrize("image", ["plain", "site a/eye 1.png", "../../up", "..", "%2F", "Ünï", "a\\b:c*?"])
def test_maps_come_back(image: str, tmp_path: Path) -> None:
    maps = np.random.default_rng(0).random((2, 5, 7))
    folder = tmp_path / "run" / "maps"
    write_map(folder, image, maps)
    found = read_map(folder, image)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, maps.astype(np.float32))
    write_map(folder, image, maps[:1] + 1)
    assert read_map(folder, image).shape == (1, 5, 7)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [map_path(folder, image)]


def test_a_map_that_is_not_there_is_said(tmp_path: Path) -> None:
    write_map(tmp_path, "a", np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="no map of image 'b'; the stage before has not written it"):
        read_map(tmp_path, "b")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(map_path(tmp_path, "a"), np.array([{"an": "object"}]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        read_map(tmp_path, "a")
