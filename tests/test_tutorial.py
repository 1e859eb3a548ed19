"""The tutorial's notebook is made from its page, and holds no outputs; `tests/test_readme.py` runs the page's blocks.

After a change to the page: ``python tests/test_tutorial.py --renew``.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "start" / "tutorial.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")
BLOCK = re.compile(r"^```python run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RENEW = "renew the notebook: python tests/test_tutorial.py --renew"


def cells(text: str) -> list[tuple[str, str]]:
    """(kind, source) of each cell: blocks marked ``python run`` are code, all between them is text."""
    parts = BLOCK.split(text)
    kinds = ["code" if i % 2 else "markdown" for i in range(len(parts))]
    return [(kind, part.strip()) for kind, part in zip(kinds, parts, strict=True) if part.strip()]


def notebook(text: str) -> dict[str, Any]:
    """The page as a notebook of format 4.5, without outputs."""
    made = []
    for number, (kind, source) in enumerate(cells(text)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = source.splitlines(keepends=True)
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def written(text: str) -> str:
    return json.dumps(notebook(text), indent=1, ensure_ascii=False) + "\n"


def test_notebook_and_page_agree() -> None:
    assert NOTEBOOK.read_text(encoding="utf-8") == written(PAGE.read_text(encoding="utf-8")), RENEW


def test_cells_are_text_and_code_in_turn() -> None:
    text = "# A\n\n```python run\nx = 1\n```\n\nB\n\n```console\nls\n```\n\n```python run\ny\n```\n"
    assert cells(text) == [
        ("markdown", "# A"),
        ("code", "x = 1"),
        ("markdown", "B\n\n```console\nls\n```"),
        ("code", "y"),
    ]
    made = notebook(text)["cells"]
    assert made[1] == {
        "cell_type": "code",
        "id": "cell-1",
        "metadata": {},
        "source": ["x = 1"],
        "execution_count": None,
        "outputs": [],
    }


if __name__ == "__main__":
    if sys.argv[1:] != ["--renew"]:
        sys.exit(__doc__)
    NOTEBOOK.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
