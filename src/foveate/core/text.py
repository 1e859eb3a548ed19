"""Text of unknown origin as a terminal can show it: names of files, contents, messages of decoders."""

from __future__ import annotations

LONGEST = 500
"""Characters of a text from a file that a message repeats."""


def printable(text: str, *, lines: bool = False) -> str:
    r"""A text whose control characters, and others that move or hide text, are written as escapes.

    Terminals act on control characters: a name of a file could clear the screen, change its colours or its title.
    Letters of every script stay.

    Args:
        text: any text, lone surrogates (bytes of names that are not UTF-8) included.
        lines: keep line feeds and tabs.

    >>> print(printable("a\x1b[2Jb\nc"))
    a\x1b[2Jb\nc
    >>> printable("눈 é 網膜")
    '눈 é 網膜'
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode("ascii") for c in text)


def shortened(text: str, *, most: int = LONGEST) -> str:
    """A text, or its beginning and "..." if it is longer than ``most`` characters."""
    return text if len(text) <= most else text[: most - 3] + "..."
