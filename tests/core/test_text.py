"""No text of a file reaches a terminal as it is."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.text import LONGEST, printable, shortened
from foveate.data import read
from foveate.data.formats._unreadable import Unreadable

SOURCE = Path(__file__).parent.parent.parent / "src"
HOSTILE = "eye\x1b[2J\x1b]0;title\x07\r\u202egnp.exe\x9b\udcff.png"


@settings(deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_what_is_left_is_printable_and_letters_stay(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text
    assert all(c.isprintable() or c in "\n\t" for c in printable(text, lines=True))


def test_line_feeds_stay_only_if_asked() -> None:
    assert printable("a\nb\tc\r") == r"a\nb\tc\r"
    assert printable("a\nb\tc\r", lines=True) == "a\nb\tc\\r"
    assert shortened("x" * 600) == "x" * (LONGEST - 3) + "..."
    assert shortened("x" * LONGEST) == "x" * LONGEST


def test_an_error_escapes_name_and_reason() -> None:
    error = Unreadable(HOSTILE, f"is {HOSTILE} {'y' * 9000}")
    assert str(error).isprintable()
    assert len(str(error)) < 700
    assert error.path == Path(HOSTILE)  # the file itself is still found by it


@pytest.mark.parametrize(
    "content",
    [
        b"FOCT" + b"FDA" + bytes(8) + b"\x05\x1b[2J\x9b" + b"\x00\x00\x00\x00" + b"\x00",
        b"FOCT" + b"FDA" + bytes(8) + b"\x05\x1b[2J\x9b" + b"\xff\xff\xff\x00" + b"\x00",
        b"HSF-OCT-103\x1b[2J" + bytes(40),
        b"CMDb" + b"\x1b" * 32 + b"MDbMDir" + b"\x1b" * 2000,
        b"ObjectType = \x1b[2J\nNDims = \x1b[31m\nDimSize = \x07\n",
        b'<?xml version="1.0"?><HEDX>\x1b[2J</HEDX>',
        b"\x89PNG\r\n\x1a\n\x1b[2J" * 20,
        b"GIF89a\x1b[2J",
    ],
    ids=["fda", "fda cut", "vol", "e2e", "mha", "xml", "png", "gif"],
)
def test_contents_of_damaged_files_are_escaped(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J.bin"
    path.write_bytes(content)
    with pytest.raises(read.Unreadable) as caught:
        read.slices(path)
    assert str(caught.value).isprintable()


def test_the_command_line_escapes_names(tmp_path: Path) -> None:
    name = tmp_path / "m\x1b[2J\x07.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "foveate", "split", str(name)], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "\\x1b[2J\\x07.jsonl" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
