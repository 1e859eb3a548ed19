"""Codes of labels, questions and answers: SNOMED CT or DICOM if the standard lists one, else a private scheme."""

from __future__ import annotations

import hashlib
import re
from typing import Any

SCHEME = "99FOVEATE"
"""Designator of the private scheme; part 3, 8.2 reserves names that begin with 99 for private use."""

LONGEST_CODE, LONGEST_MEANING = 16, 64  # characters of the types SH and LO

SNOMED = {
    "disc": ("81016008", "Optic disc"),
    "optic_disc": ("81016008", "Optic disc"),
    "vessel": ("59820001", "Blood vessel"),
    "vessels": ("59820001", "Blood vessel"),
    "fovea": ("67046006", "Fovea centralis"),
    "haemorrhage": ("50960005", "Hemorrhage"),
    "haemorrhages": ("50960005", "Hemorrhage"),
    "hemorrhage": ("50960005", "Hemorrhage"),
    "hemorrhages": ("50960005", "Hemorrhage"),
    "oedema": ("79654002", "Edema"),
    "edema": ("79654002", "Edema"),
    "atrophy": ("13331008", "Atrophy"),
    "cyst": ("367643001", "Cyst"),
    "choroid": ("68703001", "Choroid of eye"),
}
"""Label -> code and meaning, as the standard's own tables have them (part 16). A code is used only for its exact sense:
retinal fluid, exudates, drusen and microaneurysms have none there and get the private scheme."""

STRUCTURES = frozenset({"81016008", "59820001", "67046006", "68703001"})
"""Codes of anatomy; all others are findings."""


def code_of(name: str, *, meaning: str | None = None) -> Any:
    """Return the code of a label: SNOMED CT if it has one, else a private one.

    Args:
        name: of the label.
        meaning: for the private scheme; None = the name with spaces.
    """
    known = SNOMED.get(re.sub(r"[^a-z]+", "_", name.lower()).strip("_"))
    return private(name, meaning=meaning) if known is None else _concept(known[0], "SCT", known[1])


def category_of(name: str) -> Any:
    """Return the category of a label: an anatomical structure, or a morphologically abnormal structure."""
    if code_of(name).value in STRUCTURES:
        return _concept("123037004", "SCT", "Anatomical Structure")
    return _concept("49755003", "SCT", "Morphologically Abnormal Structure")


def private(name: str, *, meaning: str | None = None) -> Any:
    """Return a code of the private scheme: the name if it is short enough, else a digest of it.

    Args:
        name: of a label, a question or an answer.
        meaning: in words; None = the name with spaces.
    """
    value = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    if not 0 < len(value) <= LONGEST_CODE:
        value = "F" + hashlib.sha256(name.encode()).hexdigest()[: LONGEST_CODE - 1].upper()
    words = (meaning or name.replace("_", " ")).strip()[:LONGEST_MEANING]
    return _concept(value, SCHEME, words or "unnamed")


def _concept(value: str, scheme: str, meaning: str) -> Any:
    from highdicom.sr.coding import CodedConcept

    return CodedConcept(value, scheme, meaning)
