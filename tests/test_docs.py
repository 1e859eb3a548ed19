"""The pages hold together: links lead to files and headings, the navigation names every page, API names exist."""

import os
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ALL = (TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "CHANGELOG.md", *PAGES)
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def links(text: str) -> list[str]:
    """Targets of links and pictures that are on this machine."""
    found = (one or other for one, other in LINK.findall(FENCE.sub("", text)))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """Names of the headings, as the site makes them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}


def broken(path: Path, inside: Path) -> list[str]:
    """Links of a page that lead nowhere, or out of the folder."""
    wrong = []
    for link in links(path.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        place = Path(os.path.normpath(path.parent / target)) if target else path
        known = place.exists() and place.is_relative_to(inside)
        if not known or (anchor and anchor not in anchors(place.read_text(encoding="utf-8"))):
            wrong.append(link)
    return wrong


def settings() -> dict[str, Any]:
    return dict(tomllib.loads((TOP / "zensical.toml").read_text(encoding="utf-8"))["project"])


def listed(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else listed(value)


@pytest.mark.parametrize("path", ALL, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path, DOCS if path.is_relative_to(DOCS) else TOP) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "out.md").write_text("# Out\n")
    (tmp_path / "docs/b.md").write_text("# A head, `code` & more\n")
    text = "[a](b.md#a-head-code-more) [b](b.md#no) [c](c.md) [d](../out.md) [e](https://x.org)\n```\n[f](g.md)\n```\n"
    (tmp_path / "docs/a.md").write_text(text)
    assert broken(tmp_path / "docs/a.md", tmp_path / "docs") == ["b.md#no", "c.md", "../out.md"]


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(listed(settings()["nav"])) == sorted(path.relative_to(DOCS).as_posix() for path in PAGES)


@pytest.mark.parametrize("path", [p for p in PAGES if "\n::: " in p.read_text(encoding="utf-8")], ids=name)
def test_api_names_exist(path: Path) -> None:
    for found in re.findall(r"^::: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        pkgutil.resolve_name(found)
