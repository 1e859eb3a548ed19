"""Names of ``foveate`` itself: each is there, and the API page lists each; every command has its function."""

import re
from pathlib import Path

import pytest
import typer

import foveate
from foveate.cli.main import app

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "api" / "index.md"
ROW = re.compile(r"^\| `(\w+)[^|]*\|([^|]*)\|", re.MULTILINE)


def rows() -> dict[str, str]:
    """Public name -> the commands that call it, of the page's tables."""
    return dict(ROW.findall(PAGE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", foveate.__all__)
def test_each_public_name_is_there(name: str) -> None:
    found = getattr(foveate, name)
    assert found.__doc__
    assert name in dir(foveate)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        foveate.nothing  # noqa: B018


def test_the_page_lists_each_public_name_once() -> None:
    assert sorted(rows()) == sorted(foveate.__all__)


def test_every_command_of_the_table_exists_and_every_other_is_named_below_it() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = {word for cell in rows().values() for word in re.findall(r"`foveate (\w+)`", cell)}
    below = set(re.search(r"Commands without one: (.*)\.", PAGE.read_text(encoding="utf-8"))[1].split(", "))  # type: ignore[index]
    assert named | {word.strip("`") for word in below} == commands
