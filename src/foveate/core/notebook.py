"""Short summaries that a notebook shows for an object: a title and a table of names and values, as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def summary(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Return a title and one table row per pair as HTML; every text is escaped.

    Args:
        title: one line.
        pairs: (name, value); a value is shown as ``str`` gives it.

    >>> summary("Manifest", [("images", 3)])
    '<div><strong>Manifest</strong><table><tr><th>images</th><td>3</td></tr></table></div>'
    """
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in pairs)
    return f"<div><strong>{escape(title)}</strong><table>{lines}</table></div>"
