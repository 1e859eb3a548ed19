"""The image that objects refer to: a DICOM file's header, or a Secondary Capture made from a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.data.formats.dicom import fits
from foveate.inference.dicom.identity import MAKER, content_uid, make_repeatable
from foveate.inference.image_result import ImageResult

TEXTS = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "StudyID", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of patient and study that objects repeat; each may be empty."""

VOLUMES = frozenset({"1.2.840.10008.5.1.4.1.1.77.1.5.4"})
"""Classes of multi-frame images with functional groups: Ophthalmic Tomography."""

SIDES = {"OD": "R", "R": "R", "RIGHT": "R", "OS": "L", "L": "L", "LEFT": "L"}


@dataclass(frozen=True)
class Source:
    """An image as objects refer to it.

    Args:
        header: its attributes, without pixels.
        made: the Secondary Capture, if the file was a picture; it belongs to what is sent.
    """

    header: Any
    made: Any = None

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.header.get("NumberOfFrames") or 1)

    @property
    def volume(self) -> bool:
        """Whether it has several frames with functional groups."""
        return str(self.header.SOPClassUID) in VOLUMES and self.frames > 1

    @property
    def side(self) -> str | None:
        """ "R", "L" or None."""
        given = self.header.get("ImageLaterality") or self.header.get("Laterality")
        shared = self.header.get("SharedFunctionalGroupsSequence") or ()
        for group in (*shared[:1], *(self.header.get("PerFrameFunctionalGroupsSequence") or ())[:1]):
            anatomy = group.get("FrameAnatomySequence") or ()
            given = given or (anatomy[0].get("FrameLaterality") if anatomy else None)
        return SIDES.get(str(given).upper())


def source_of(path: Path, results: Sequence[ImageResult], *, patient: str | None = None) -> Source:
    """Open the image that was read.

    Args:
        path: of the file.
        results: of its frames; a picture that is not DICOM becomes a Secondary Capture of the first.
        patient: ID for a picture.
    """
    if _is_dicom(path):
        from pydicom import dcmread

        return Source(_complete(dcmread(path, stop_before_pixels=True)))
    made = captured(results[0], patient=patient)
    header = deepcopy(made)
    del header.PixelData
    return Source(header, made)


def captured(result: ImageResult, *, patient: str | None = None, header: Any = None, name: str = "image") -> Any:
    """Make a Secondary Capture of a picture.

    Args:
        result: its ``image`` becomes the pixels.
        patient: ID, if there is no header.
        header: of the DICOM image that it belongs to; None = a study of its own.
        name: part of the identity, beside the pixels.
    """
    from highdicom.sc import SCImage
    from pydicom.uid import ExplicitVRLittleEndian

    pixels = result.image.tobytes()
    key = (name, result.image.shape, _sha(pixels), patient or "")
    study = str(header.StudyInstanceUID) if header is not None else content_uid("study", *key)
    about = {text: header.get(text) for text in TEXTS} if header is not None else {}
    eye = result.eye.laterality if header is None else header.get("ImageLaterality")
    made = SCImage(
        pixel_array=result.image,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=study,
        series_instance_uid=content_uid("series", *key, study),
        series_number=1 if header is None else 903,
        sop_instance_uid=content_uid("image", *key, study),
        instance_number=1,
        manufacturer=MAKER,
        patient_id=str(about.get("PatientID") or patient or "") or None,
        patient_name=about.get("PatientName") or None,
        patient_birth_date=about.get("PatientBirthDate") or None,
        patient_sex=about.get("PatientSex") or None,
        accession_number=about.get("AccessionNumber") or None,
        study_id=about.get("StudyID") or None,
        study_date=about.get("StudyDate") or None,
        study_time=about.get("StudyTime") or None,
        referring_physician_name=about.get("ReferringPhysicianName") or None,
        pixel_spacing=result.spacing if header is None else None,
        laterality=SIDES.get(str(eye).upper()),
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    made.ConversionType = "WSD"
    made.setdefault("Laterality", "")  # a paired organ: empty if the side is unknown
    make_repeatable(made, key=_sha(pixels), source=made if header is None else header)
    return made


def _complete(header: Any) -> Any:
    """Add what objects must repeat: empty texts, and identifiers derived from the image where the file has none."""
    key = header.get("SOPInstanceUID") or content_uid("image", header.to_json())
    defaults = {
        "SOPInstanceUID": key,
        "StudyInstanceUID": content_uid("study of", header.get("PatientID"), header.get("StudyDate"), key),
        "SeriesInstanceUID": content_uid("series of", key),
        **dict.fromkeys(TEXTS, ""),
    }
    for keyword, value in defaults.items():
        if header.get(keyword) is None or (value and not header.get(keyword)):
            setattr(header, keyword, value)
    return header


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return fits(file.read(132))


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
