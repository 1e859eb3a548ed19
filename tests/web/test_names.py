"""Names of accounts: one normal form, and every script."""

import unicodedata

import pytest

from foveate.web.names import clean_name, name_key, separate_names
from foveate.web.refusal import Refusal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Özge", "özge"),
        ("ÉLISE", "élise"),
        ("Дмитрий", "дмитрий"),
        ("Élise", unicodedata.normalize("NFD", "Élise")),
        ("Weiß", "WEISS"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("ﬁona", "Fiona"),
        ("Anna  Berg", " anna berg "),
        ("क्षमा", "क्\u200dषमा"),
    ],
)
def test_spellings_of_one_name(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)
    assert name_key(name_key(one)) == name_key(one)


def test_other_names_are_other_accounts() -> None:
    names = ["Ozge", "Özge", "anna", "anna 2", "O'Brien", "OBrien", "李", "리"]
    assert len({name_key(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "name",
    ["O'Brien", "O’Brien", "Müller, MD", "दिव्या शर्मा", "क्‍ष", "Élise", "Nguyễn Thị", "李雷", "a.b@c-d+e_f", "١٢٣"],
)
def test_names_that_people_have(name: str) -> None:
    assert clean_name(unicodedata.normalize("NFD", name)) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name", ["", "   ", "...", "a" * 41, "a\x00b", "a\u202eb", "<b>", "a/b", "a\\b", "a\ud800", "\u200d"]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(Refusal, match="letters, digits"):
        clean_name(name)


def test_former_accounts_with_the_same_key_stay_apart() -> None:
    given = ["Özge", "özge", "ÖZGE", "özge (2)", "anna"]
    found = separate_names(given)
    assert [name for name, _ in found] == ["Özge", "özge (3)", "ÖZGE (4)", "özge (2)", "anna"]
    assert len({key for _, key in found}) == len(given)
    assert all(key == name_key(name) for name, key in found)
