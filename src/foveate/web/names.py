"""Names of accounts: which are allowed, and which are the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from foveate.web.refusal import Refusal

LONGEST = 40
SIGNS = frozenset(" .@+-_,'’()·")
"""Signs that names have beside letters, digits and the marks that letters need."""

JOINERS = "\u200c\u200d"
"""Invisible characters that Persian and Indian spelling needs; they do not make two names different."""

RULE = "name: give 1 to 40 letters, digits, blanks or . , ' @ + - _ ( ), at least one of them a letter or a digit"


def clean_name(name: str) -> str:
    """Return a name as it is kept and shown: composed (NFC), without blanks at its ends, one blank between words.

    Raises:
        Refusal: the name is not allowed.

    >>> clean_name("  Conan  O'Brien ")
    "Conan O'Brien"
    """
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(clean) <= LONGEST or not all(map(_allowed, clean)) or not any(map(str.isalnum, clean)):
        raise Refusal(422, "invalid", RULE)
    return clean


def name_key(name: str) -> str:
    """Return the form of a name by which accounts are found and are unique: NFKC and casefold, without joiners.

    Neither ``lower`` nor SQLite's ``lower()`` can do this: the first keeps two forms of some letters apart, the second
    knows ASCII letters only.

    >>> name_key("ÖZGE") == name_key("o\u0308zge")
    True
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(c for c in folded if c not in JOINERS).split())


def separate_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return name and key of accounts that were made before names had keys; the later of two equal ones gets a number.

    >>> separate_names(["Özge", "özge"])
    [('Özge', 'özge'), ('özge (2)', 'özge (2)')]
    """
    given = list(names)
    keys = set(map(name_key, given))
    taken: set[str] = set()
    out = []
    for name in given:
        chosen, number = name, 2
        while name_key(chosen) in taken or (chosen != name and name_key(chosen) in keys):
            chosen = f"{name[: LONGEST - 5]} ({number})"
            number += 1
        taken.add(name_key(chosen))
        out.append((chosen, name_key(chosen)))
    return out


def _allowed(character: str) -> bool:
    return character in SIGNS or character in JOINERS or unicodedata.category(character)[0] in "LMN"
