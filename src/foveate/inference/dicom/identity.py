"""Identity of objects and of the algorithm: the same reading of the same image gives the same UIDs and dates."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveate.inference.image_result import ImageResult

MAKER = "foveate"
WEIGHTS = (".safetensors", ".onnx", ".xml", ".bin", ".json")
"""Endings of the files that decide what a model answers."""

UNDECIDING = frozenset({"metrics.json", "prediction.json"})
"""Files of a model's folder that hold results, not decisions."""

RANDOM = "1.2.826.0.1.3680043.10.511.3."
"""Prefix of the UIDs that highdicom draws."""

DATES = frozenset({"InstanceCreationDate", "DateOfSecondaryCapture", "ContentDate", "SeriesDate"})
TIMES = frozenset({"InstanceCreationTime", "TimeOfSecondaryCapture", "ContentTime", "SeriesTime"})
MOMENTS = frozenset({"ObservationDateTime", "ContributionDateTime"})


@dataclass(frozen=True)
class Algorithm:
    """The model of a reading.

    Args:
        name: of the run or bundle.
        version: of foveate, or of the bundle.
        sha256: digest of the files that decide its answers (`digest_of`).
    """

    name: str
    version: str
    sha256: str

    @classmethod
    def of(cls, folder: Path) -> Algorithm:
        """Identify the model of a run folder or bundle."""
        from importlib.metadata import version

        return cls(folder.resolve().name, version("foveate"), digest_of(folder))


@dataclass(frozen=True)
class StepResults:
    """Results of one algorithm for all frames of a file.

    Args:
        algorithm: the model.
        results: one per frame, in order.
        withheld: question -> reason why its answer is withheld.
    """

    algorithm: Algorithm
    results: Sequence[ImageResult]
    withheld: Mapping[str, str] = field(default_factory=dict)


def digest_of(folder: Path) -> str:
    """SHA-256 of a model's weights, recipe and calibration, with their names; of a file, of its bytes.

    Raises:
        ValueError: there is no such file or folder.
    """
    if folder.is_file():
        return hashlib.sha256(folder.read_bytes()).hexdigest()
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no run and no bundle; give a folder of `foveate fit`")
    total = hashlib.sha256()
    for place, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(place, name) for name in sorted(names)):
            if path.suffix in WEIGHTS and path.name not in UNDECIDING and not path.name.startswith("."):
                total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def content_uid(*parts: object) -> str:
    """Derive a UID from content: 2.25 and 128 bits of the SHA-256 of the parts (part 5, B.2).

    >>> content_uid("a", 1) == content_uid("a", 1), content_uid("a", 1) == content_uid("a", 2)
    (True, False)
    """
    total = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(total[:16], 'big')}"


def reading_key(source_uid: str, steps: Sequence[StepResults]) -> str:
    """Digest of a reading: source, algorithms, answers, probabilities and masks.

    Args:
        source_uid: SOP instance of the image.
        steps: the results.
    """
    total = hashlib.sha256(source_uid.encode())
    for step in steps:
        total.update(f"{step.algorithm}{sorted(step.withheld.items())}".encode())
        for one in step.results:
            shown = [(q, a, round(one.probabilities[q][a], 6)) for q, a in sorted(one.answers.items())]
            total.update(f"{shown}{one.labels}{one.spacing}".encode())
            total.update(one.masks.astype("uint8").tobytes())
    return total.hexdigest()


def make_repeatable(data_set: Any, *, key: str, source: Any) -> None:
    """Replace times of making and random UIDs, so that the same reading is the same object, byte for byte.

    Args:
        data_set: an object that highdicom made; changed in place.
        key: digest of the reading, from which its UIDs follow.
        source: header of the image: its study date and time replace the time of making.
    """
    date, time = str(source.get("StudyDate") or "19000101"), str(source.get("StudyTime") or "000000")
    renamed: dict[str, str] = {}
    for element in data_set.iterall():
        if element.keyword in DATES:
            element.value = date
        elif element.keyword in TIMES:
            element.value = time
        elif element.keyword in MOMENTS:
            element.value = f"{date}{re.sub('[^0-9].*', '', time)}"
        elif element.VR == "UI" and str(element.value).startswith(RANDOM):
            element.value = renamed.setdefault(str(element.value), content_uid("random", key, len(renamed)))
