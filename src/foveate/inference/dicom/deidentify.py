"""De-identified copies of DICOM images: the Basic Profile (part 15, annex E) by a list of what is kept.

The profile lists what to remove. Here everything is removed but what an image needs to be shown and measured, so that
an attribute that no list foresees does not leave the hospital.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from foveate.core.files import write_file
from foveate.core.text import printable
from foveate.data.formats.dicom import fits

KEPT_GROUPS = frozenset({0x0022, 0x0028, 0x5200, 0x7FE0})
"""Ophthalmic acquisition, image pixels, functional groups, pixel data."""

KEPT = frozenset({
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "Modality", "ConversionType", "Manufacturer",
    "ManufacturerModelName", "BodyPartExamined", "ImageLaterality", "Laterality", "FrameLaterality", "SeriesNumber",
    "InstanceNumber", "NumberOfFrames", "PatientOrientation", "ImagePositionPatient", "ImageOrientationPatient",
    "SliceThickness", "SpacingBetweenSlices", "BurnedInAnnotation", "AnatomicRegionSequence",
    "PrimaryAnatomicStructureSequence", "FrameAnatomySequence", "FrameContentSequence", "PlanePositionSequence",
    "PlaneOrientationSequence", "DimensionIndexValues", "InStackPositionNumber", "StackID", "FrameAcquisitionNumber",
    "DimensionIndexSequence", "DimensionOrganizationSequence", "DimensionOrganizationUID", "DimensionIndexPointer",
    "FunctionalGroupPointer", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "SynchronizationFrameOfReferenceUID", "CodeValue", "CodingSchemeDesignator", "CodeMeaning",
    "AcquisitionContextSequence",
    "ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "ReferencedFrameNumber", "SourceImageSequence",
    "DerivationImageSequence", "DerivationCodeSequence", "PurposeOfReferenceCodeSequence", "FrameReferenceSequence",
    "ReferencedImageSequence", "LossyImageCompression", "ContentQualification", "PresentationLUTShape",
    "PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence", "AxialLengthOfTheEye",
    "OphthalmicFrameLocationSequence", "ReferenceCoordinates", "DepthOfTransverseImage",
    "OphthalmicImageOrientation",
})  # fmt: skip

EMPTIED = (
    "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
    "ReferringPhysicianName", "ContentDate", "ContentTime", "PatientID",
)  # fmt: skip
"""Attributes that must be there and may be empty."""

FREE = frozenset({"PN", "LT", "ST", "UT", "DA", "TM", "DT", "AE", "AS", "UN", "UC", "UR"})
"""Value types that are never kept: names, free text, dates, addresses and unknown content."""

MOMENT = "19000101000000"
"""In place of the time of acquisition, which images of the eye must state."""


def deidentified(data_set: Any, *, key: bytes, patient: str | None = None) -> Any:
    """Return a copy without what identifies the patient, the staff, the site or the device.

    UIDs are replaced by digests with the key: objects of one export still belong together, and nobody without the key
    can link them to the originals. Times are removed. Private attributes are removed.

    Args:
        data_set: an image.
        key: secret, at least 16 bytes, the same for all files of an export.
        patient: new ID; None = a digest of the old one with the key.

    Raises:
        ValueError: the pixels hold text that the file states (``BurnedInAnnotation``), or the key is short.
    """
    if len(key) < 16:
        raise ValueError(f"key: {len(key)} bytes are too few; give at least 16 random bytes")
    if str(data_set.get("BurnedInAnnotation") or "").upper() == "YES":
        raise ValueError("BurnedInAnnotation is YES: the picture may show a name; remove it from the pixels first")
    out = _kept(data_set, key)
    for keyword in EMPTIED:
        setattr(out, keyword, "")
    given = str(data_set.get("PatientID") or "")
    out.PatientID = patient if patient is not None else f"F{_digest(key, 'patient', given)[:15].upper()}"
    if "AcquisitionDateTime" in data_set:
        out.AcquisitionDateTime = MOMENT
    out.PatientIdentityRemoved = "YES"
    out.DeidentificationMethod = "foveate: Basic Profile, by a list of what is kept"
    out.DeidentificationMethodCodeSequence = [_method()]
    out.file_meta = _meta(data_set, out)
    return out


def deidentify_files(paths: Sequence[Path], *, out: Path, key: bytes, report: Callable[[str], None] = print) -> int:
    """Write de-identified copies, named by their new UID; return how many files were refused.

    Args:
        paths: files and folders; other files are passed over by name.
        out: folder for the copies.
        key: as of `deidentified`.
        report: called with one line per refused file.
    """
    from pydicom import dcmread

    good = bad = 0
    for path in _files(paths):
        try:
            with path.open("rb") as file:
                if not fits(file.read(132)):
                    raise ValueError("it is not DICOM")
            made = deidentified(dcmread(path), key=key)
            write_file(out / f"{made.SOPInstanceUID}.dcm", partial(made.save_as, enforce_file_format=True))
            good += 1
        except Exception as error:  # one damaged file must not stop the others, nor be copied
            bad += 1
            report(f"{printable(str(path))}: not copied: {printable(' '.join(str(error).split()))}")
    report(f"{good} of {good + bad} files copied into {out}")
    return bad


def export_key(path: Path | None) -> bytes:
    """Read the secret of an export from a file; without a file, or if it is not there, draw a new one.

    Args:
        path: of the file; a new key is written to it, readable by its owner alone.
    """
    if path is not None and path.is_file():
        return path.read_bytes()
    key = secrets.token_bytes(32)
    if path is not None:

        def write(aside: Path) -> None:
            aside.touch(mode=0o600)
            aside.write_bytes(key)

        write_file(path, write)
    return key


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return found


def _kept(data_set: Any, key: bytes) -> Any:
    """Copy the listed attributes, in sequences too; UIDs of instances become digests."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    out = Dataset()
    for element in data_set:
        group, keyword = element.tag.group, element.keyword
        if group % 2 or not (keyword in KEPT or group in KEPT_GROUPS) or element.VR in FREE:
            continue
        if element.VR == "SQ":
            out.add_new(element.tag, "SQ", Items([_kept(one, key) for one in element.value or ()]))
        elif element.VR == "UI" and not keyword.endswith("ClassUID"):
            out.add_new(element.tag, "UI", _uids(element.value, key))
        elif element.VR in ("LO", "SH") and keyword not in KEPT:
            continue
        else:
            out.add(element)
    return out


def _uids(value: Any, key: bytes) -> Any:
    if not value:
        return value
    several = value if isinstance(value, list) or type(value).__name__ == "MultiValue" else None
    return [_uid(one, key) for one in several] if several is not None else _uid(value, key)


def _uid(value: Any, key: bytes) -> str:
    """A standard UID (a class, a syntax, a template) stays; one of an instance becomes a digest."""
    text = str(value)
    return text if text.startswith("1.2.840.10008.") else f"2.25.{int(_digest(key, 'uid', text)[:32], 16)}"


def _digest(key: bytes, kind: str, text: str) -> str:
    return hmac.new(key, f"{kind}\0{text}".encode(), "sha256").hexdigest()


def _method() -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "113100", "DCM"
    item.CodeMeaning = "Basic Application Confidentiality Profile"
    return item


def _meta(data_set: Any, out: Any) -> Any:
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = out.SOPClassUID, out.SOPInstanceUID
    meta.TransferSyntaxUID = data_set.file_meta.TransferSyntaxUID
    return meta
