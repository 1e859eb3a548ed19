"""Some damaged files of every kind; `fuzz.py` beside it does the same for as long as it is asked to."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzz import PIXELS, attempt, damaged, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module", autouse=True)
def _small(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", PIXELS)
        yield


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, bytes]:
    return seeds(folder)


def test_the_seeds_are_read(folder: Path, whole: dict[str, bytes]) -> None:
    for kind, data in whole.items():
        (folder / "a").write_bytes(data)
        assert attempt(kind, folder / "a") == "read", kind


@pytest.mark.timeout(120)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_read_or_refused(folder: Path, whole: dict[str, bytes], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for kind, data in whole.items():
        (folder / "a").write_bytes(damaged(data, rng, whole))
        attempt(kind, folder / "a")


def test_damage_is_of_both_sorts(folder: Path, whole: dict[str, bytes]) -> None:
    rng = np.random.default_rng(3)
    results: Counter[str] = Counter()
    for kind, data in whole.items():
        for _ in range(5):
            (folder / "a").write_bytes(damaged(data, rng, whole))
            results[attempt(kind, folder / "a")] += 1
    assert results["refused"] > results["read"] > 0, "neither is every file refused nor every one read"


@pytest.mark.parametrize(("kind", "data"), [("manifest", b'{"a":' * 30_000), ("toml", b"a = " + b"[" * 30_000)])
def test_deep_nesting_is_refused(folder: Path, kind: str, data: bytes) -> None:
    (folder / "a").write_bytes(data)
    assert attempt(kind, folder / "a") == "refused"
