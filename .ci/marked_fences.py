"""Markdown extension of the site: a block marked ``python run`` (the tests run it) is shown as Python."""

import re

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

MARK = re.compile(r"^(```python) run$")


class Unmark(Preprocessor):
    """Remove the mark, which the site's fences do not know."""

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines without the mark."""
        return [MARK.sub(r"\1", line) for line in lines]


class MarkedFences(Extension):
    """Run before the fences are found (superfences has priority 25)."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Register the preprocessor."""
        md.preprocessors.register(Unmark(md), "marked_fences", 40)


def makeExtension(**settings: str) -> MarkedFences:  # noqa: N802
    """Called by Markdown by this name."""
    return MarkedFences(**settings)
