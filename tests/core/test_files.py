"""Files and folders are written whole or not at all, names are safe, and no other file does either by itself."""

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core import files

SOURCE = Path(__file__).parent.parent.parent / "src"

KILLED = """
import os, signal, sys
from pathlib import Path
from foveate.core import files

files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # after the write, before the rename
target = Path(sys.argv[2])
if sys.argv[1] == "file":
    files.write_file(target, "new" * 10000)
else:
    with files.whole_folder(target, replace=True) as aside:
        (aside / "a.txt").write_text("new")
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_process_killed_before_the_rename_leaves_the_old_content(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    if kind == "file":
        files.write_file(target, "old")
    else:
        with files.whole_folder(target) as aside:
            (aside / "a.txt").write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, kind, str(target)], cwd=SOURCE, check=False)
    assert done.returncode == -9
    assert (target if kind == "file" else target / "a.txt").read_text() == "old"
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path != target)


def test_what_is_raised_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    files.write_file(path, b"old")

    def stopped(aside: Path) -> None:
        aside.write_text("half")
        raise KeyboardInterrupt

    def fill() -> None:
        with files.whole_folder(tmp_path / "new") as aside:
            (aside / "a").write_text("half")
            raise OSError("full")

    with pytest.raises(KeyboardInterrupt):
        files.write_file(path, stopped)
    with pytest.raises(OSError, match="full"):
        fill()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.rglob("*")] == ["deep", "a.txt"]


def test_file_and_folder_are_flushed_before_and_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(
        files.os, "fsync", lambda f: (steps.append("folder" if os.path.isdir(f"/dev/fd/{f}") else "file"), flush(f))
    )
    monkeypatch.setattr(files.os, "replace", lambda a, b: (steps.append("rename"), rename(a, b)))
    files.write_file(tmp_path / "a", "text")
    assert steps == ["file", "rename", "folder"]
    steps.clear()
    files.write_file(tmp_path / "a", "text", flush=False)
    assert steps == ["rename"]
    steps.clear()
    with files.whole_folder(tmp_path / "f") as aside:
        (aside / "sub").mkdir()
        (aside / "sub" / "b").write_text("b")
    assert steps == ["folder", "file", "folder", "rename", "folder"]


def test_a_folder_is_new_or_replaced_if_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with files.whole_folder(out) as aside:  # an empty folder is as good as none
        (aside / "a").touch()
    with pytest.raises(ValueError, match="is there already"), files.whole_folder(out):
        pass
    with files.whole_folder(out, replace=True) as aside:
        (aside / "b").touch()
        assert (out / "a").exists()
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["out", "out/b"]


def test_content_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 240 + ".txt")  # the hidden name beside it is no longer than the system allows
    files.write_file(path, "é\r\n\n")
    assert path.read_bytes() == "é\r\n\n".encode()
    files.write_file(path, lambda aside: Path(aside).write_text("made"))
    assert path.read_text() == "made"
    files.write_json(path, {"a": "é"})
    assert path.read_text(encoding="utf-8") == '{\n "a": "é"\n}\n'


@settings(deadline=None)
@given(st.text(min_size=1))
def test_an_id_is_a_file_name_and_comes_back(name: str) -> None:
    try:
        made = files.file_name(name)
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return
    assert files.id_of(made) == name
    assert made.isascii()
    assert not {*made} & {*'/\\:*?"<>|\0\n'}
    assert made not in (".", "..")


def calls(path: Path) -> list[str]:
    """Calls that rename, flush or make temporary files."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, owner = node.func.attr, getattr(node.func.value, "id", "")
            of_path = name in ("replace", "rename") and len(node.args) == 1 and not node.keywords
            of_system = owner in ("os", "shutil") and name in ("replace", "rename", "move")
            if of_path or of_system or name in ("fsync", "mkstemp", "NamedTemporaryFile"):
                found.append(f"{path.name}:{node.lineno} {owner}.{name}")
    return found


def test_only_core_files_renames_and_flushes() -> None:
    own = SOURCE / "foveate" / "core" / "files.py"
    assert len(calls(own)) >= 4
    assert not [call for path in (SOURCE / "foveate").rglob("*.py") if path != own for call in calls(path)]


def test_json_that_is_damaged_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for content in (b"", b'{"a": 1', b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.json: damaged, not JSON"):
            files.read_json(file)
    files.write_json(file, {"a": [1, None]})
    assert files.read_json(file) == {"a": [1, None]}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_file_and_leaves_the_old_content(number: int, tmp_path: Path) -> None:
    def fill(aside: Path) -> None:
        raise OSError(number, os.strerror(number))

    file = tmp_path / "a.bin"
    files.write_file(file, b"old")
    with pytest.raises(OSError, match=r"free some space.*a\.bin") as raised:
        files.write_file(file, fill)
    assert raised.value.errno == number
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
