"""A file format is one file: recognised by content, listed for predict, read by scan and check, and documented."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.data import formats, read
from foveate.data.adapters import volumes
from foveate.data.check import check
from foveate.data.manifest import Manifest

DOCS = Path(__file__).parent.parent.parent / "docs"

PLAIN = '''
"""Two planes of 4 x 6 pixels after a word."""

import numpy as np

from foveate.data.formats._pixels import Pixels, Slice

TITLE, ENDINGS = "Plain planes", (".plain",)


def fits(head):
    return head.startswith(b"PLAIN")


def companions(path, frame):
    return ()


def slices(path):
    return [Slice((4, 6)), Slice((4, 6))]


def pixels(path, frame):
    return Pixels(np.full((4, 6), path.read_bytes()[5 + frame], np.uint8))
'''


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more file in a folder of formats."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "plain.py").write_text(PLAIN)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    formats.formats.cache_clear()
    yield
    formats.formats.cache_clear()
    sys.modules.pop("foveate.data.formats.plain", None)


@pytest.mark.usefixtures("plain")
def test_a_new_format_is_scanned_checked_and_listed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "eye.bin").write_bytes(b"PLAIN" + bytes([7, 200]))  # its ending does not matter
    rows = tuple(volumes.scan(folder))
    assert [(row.image, row.frame) for row in rows] == [("eye.bin", 0), ("eye.bin", 1)]
    assert [int(read.image(folder / row.image, frame=row.frame).mean()) for row in rows] == [7, 200]
    assert check(Manifest(volumes.SCHEMA, rows, folder), workers=0).unreadable == ()
    assert formats.list_files(folder).images == (folder / "eye.bin",)


def test_a_folder_is_listed_by_content(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((5, 6, 3), np.uint8))
    for name in ("a.jp2", "b.PNG", "deep/c.webp", "deep/no_ending"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture.save(tmp_path / name, format={"a.jp2": "JPEG2000", "deep/c.webp": "WEBP"}.get(name, "PNG"))
    (tmp_path / "cut.jpg").write_bytes(b"")
    (tmp_path / "damaged.nii.gz").write_bytes(b"no gzip")
    (tmp_path / "BMI.csv").write_text("BMI,age\n20,50\n")
    (tmp_path / "notes.txt").write_text("P1 is patient one")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (tmp_path / ".hidden.png").write_bytes(b"")
    found = formats.list_files(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in found.images]
    assert names == ["a.jp2", "b.PNG", "cut.jpg", "damaged.nii.gz", "deep/c.webp", "deep/no_ending"]
    assert [path.name for path in found.passed_over] == ["clip.mp4"]
    assert found.others == 2


def test_pixels_beside_a_header_are_not_listed(tmp_path: Path) -> None:
    header = "ObjectType = Image\nNDims = 2\nDimSize = 6 5\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (tmp_path / "a.mhd").write_text(header)
    (tmp_path / "a.raw").write_bytes(bytes(30))
    (tmp_path / "b.raw").write_bytes(bytes(30))
    found = formats.list_files(tmp_path)
    assert found.images == (tmp_path / "a.mhd",)
    assert found.passed_over == (tmp_path / "b.raw",)
    assert found.others == 1


def test_every_format_is_documented() -> None:
    text = (DOCS / "reference" / "formats.md").read_text(encoding="utf-8")
    for name, one in formats.formats().items():
        assert f"| `{name}` | {one.TITLE} | {' '.join(one.ENDINGS)} |" in text
    table = text.partition("|---|---|---|")[2].partition("\n\n")[0]
    assert table.count("| `") == len(formats.formats())
