"""Imports point one way, inside functions too, and never through the package root."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "foveate"
RANKS = {
    "core": 0,
    "data": 1,
    "models": 1,
    "losses": 1,
    "metrics": 1,
    "engine": 2,
    "report": 2,
    "recipes": 3,
    "studies": 4,
    "inference": 4,
    "reporting": 5,
    "web": 5,
    "annotate": 6,
    "service": 6,
    "screen": 6,
    "cli": 7,
}
"""Package -> rank: it imports from lower ranks and from itself."""

BARRED = {
    "engine": {"models", "losses"},
    "report": {"data", "models", "losses"},
    "recipes": {"report"},
    "inference": {"losses", "studies"},
    "web": {*RANKS} - {"core", "web"},
    "service": {"annotate"},
}
"""Packages of a lower rank that a package does not know all the same."""

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
    package = parts[0]
    if package not in RANKS:  # the package root names what is public; __main__ starts the command line
        return
    for name in imports(path):
        pieces = name.split(".")
        assert len(pieces) > 1, f"{path}: imports the package root"
        lower = RANKS[pieces[1]] < RANKS[package] and pieces[1] not in BARRED.get(package, set())
        assert lower or pieces[1] == package, f"{path}: {package} must not import {name}"


def test_every_package_has_a_rank() -> None:
    packages = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert packages <= {*RANKS}


def test_files_are_short() -> None:
    long = {str(p.relative_to(PACKAGE)): n for p in FILES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_only_the_schema_decides() -> None:
    """Sigmoid and softmax of logits stand in core/labels.py alone (gates inside networks decide nothing)."""
    for path in FILES:
        package = path.relative_to(PACKAGE).parts[0]
        if package in ("losses", "metrics", "engine", "report", "recipes", "inference"):
            text = path.read_text(encoding="utf-8")
            assert "sigmoid(" not in text.replace("logsigmoid(", ""), path
            assert "softmax(" not in text, path
