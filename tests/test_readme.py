"""What README and documents show works: Python blocks marked ``python run`` run, command lines are understood.

The Python blocks of a page are run in their order in one namespace, in a folder that holds ``fundus.jsonl``,
``oct.jsonl`` and ``enface.jsonl``: drawn images of 64 pixels, split into train, val and test.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from foveate.cli.main import app
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.recipes import load_recipe

TOP = Path(__file__).parent.parent
PAGES = (TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, info: str) -> list[str]:
    """Bodies of the fenced blocks that are marked so."""
    return [found["body"] for found in BLOCK.finditer(text) if found["info"].strip() == info]


def commands(text: str) -> Iterator[list[str]]:
    """Words of every foveate command line of the console blocks, without comments."""
    for body in blocks(text, "console"):
        for line in body.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and words[0] == "foveate":
                yield words[1:]


def name(path: Path) -> str:
    return str(path.relative_to(TOP))


def with_blocks() -> list[Path]:
    return [path for path in PAGES if blocks(path.read_text(encoding="utf-8"), "python run")]


def with_commands() -> list[Path]:
    return [path for path in PAGES if any(commands(path.read_text(encoding="utf-8")))]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    for kind, schema in synthetic.SCHEMAS.items():
        rows = tuple(synthetic.write(kind, folder / kind, n=16, size=64))
        divided = split(Manifest(schema, rows, folder / kind), ratios=(0.5, 0.25, 0.25), seed=0)
        divided.write(folder / f"{kind}.jsonl")
    return folder


def test_the_readme_shows_something() -> None:
    assert TOP / "README.md" in with_blocks()
    assert TOP / "README.md" in with_commands()


@pytest.mark.parametrize("page", with_blocks(), ids=name)
def test_python_blocks_run(page: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(drawn)
    monkeypatch.setenv("FOVEATE_CACHE", str(drawn / "cache"))
    text, names = page.read_text(encoding="utf-8"), {"__name__": "page"}
    for found in BLOCK.finditer(text):
        if found["info"].strip() == "python run":
            line = text[: found.start()].count("\n") + 1
            code = "\n" * line + found["body"]  # so that a traceback names the line of the page
            exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", with_commands(), ids=name)
def test_commands_are_understood(page: Path) -> None:
    """Verbs, options and values are parsed; keywords of recipes are tried."""
    group = typer.main.get_command(app)
    for verb, *words in commands(page.read_text(encoding="utf-8")):
        if verb == "--help":
            continue
        assert verb in group.commands, f"foveate {verb}"  # type: ignore[attr-defined]
        context = group.commands[verb].make_context(verb, list(words))  # type: ignore[attr-defined]
        if verb == "fit" and "/" not in context.params["recipe"] and context.params["recipe"].islower():
            pairs = (setting.partition("=") for setting in context.params["settings"] or [])
            known = load_recipe(context.params["recipe"], synthetic.SCHEMAS["enface"]).keywords
            assert not {key for key, _, _ in pairs} - set(known)


def test_blocks_and_commands_are_found() -> None:
    text = (
        "a\n```python run\nx = 1\n```\n```python\ny\n```\n```console\n$ foveate fit a -o c  # why\nfoveate list\n```\n"
    )
    assert blocks(text, "python run") == ["x = 1\n"]
    assert list(commands(text)) == [["fit", "a", "-o", "c"], ["list"]]
