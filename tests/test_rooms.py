"""Imports point one way, inside functions too, and never through the package root."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "foveate"
SEES = {
    "core": {"core"},
    "data": {"core", "data"},
    "models": {"core", "models"},
    "losses": {"core", "losses"},
    "metrics": {"core", "metrics"},
    "engine": {"core", "data", "metrics", "engine"},
    "report": {"core", "metrics", "report"},
    "recipes": {"core", "data", "models", "losses", "metrics", "engine", "recipes"},
    "studies": {"core", "data", "models", "losses", "metrics", "engine", "report", "recipes", "studies"},
    "inference": {"core", "data", "models", "losses", "metrics", "engine", "report", "recipes", "inference"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module of the package that a file imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "foveate" else {module}
    return {name for name in found if name.partition(".")[0] == "foveate"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    room = parts[0]
    if room not in SEES:  # the package root hands out public names; apps may see all; __main__ starts apps
        return
    for name in imports(path):
        pieces = name.split(".")
        assert len(pieces) > 1, f"{path}: imports the package root"
        assert pieces[1] in SEES[room], f"{path}: {room} must not import {name}"


def test_every_room_is_known() -> None:
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms == {*SEES, "apps"}


def test_files_are_short() -> None:
    long = {str(p.relative_to(PACKAGE)): n for p in FILES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_only_the_schema_decides() -> None:
    """Sigmoid and softmax of logits stand in core/labels.py alone (gates inside networks decide nothing)."""
    for path in FILES:
        room = path.relative_to(PACKAGE).parts[0]
        if room in ("losses", "metrics", "engine", "report", "recipes", "inference"):
            text = path.read_text(encoding="utf-8")
            assert "sigmoid(" not in text.replace("logsigmoid(", ""), path
            assert "softmax(" not in text, path
