"""Masks as a DICOM Segmentation: binary, one segment per label, each frame with its source frame."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from jaxtyping import Bool

from foveate.core.reading import placed
from foveate.inference.dicom.codes import category_of, code_of
from foveate.inference.dicom.identity import MAKER, StepResults, content_uid, make_repeatable, reading_key
from foveate.inference.dicom.source import Source

PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4"
"""VL Photographic: highdicom takes Ophthalmic Photography for a multi-frame class and fails (0.28)."""

UNKNOWN_SPACING = (1.0, 1.0)
SERIES = 900


def segmentation(source: Source, steps: Sequence[StepResults]) -> Any | None:
    """Make the Segmentation of a reading; None if no algorithm marks anything.

    The masks are stored pixel for pixel. A volume that states no frame of reference or no positions gets a frame of
    reference of its own, in which the B-scans follow each other: DICOM asks for one. Empty frames of a volume are left
    out; a photograph keeps them.

    Args:
        source: the image that was read.
        steps: results of each algorithm; labels of later ones follow those of earlier ones.

    Raises:
        ValueError: masks and image differ in size or number of frames.
    """
    import highdicom

    masks, labels = stacked(source, steps)
    if not labels:
        return None
    key = reading_key(str(source.header.SOPInstanceUID), steps)
    header = _header(source)
    spacing = steps[0].results[0].spacing or UNKNOWN_SPACING
    thickness = thickness_of(source) or spacing[0]
    # without SliceThickness the file is refused by highdicom itself
    measures = highdicom.PixelMeasuresSequence(pixel_spacing=spacing, slice_thickness=thickness)
    if source.volume:
        _place(header, thickness)
        header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures  # equal ones keep the frame numbers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "no non-empty frames": then all of them are kept
        made = highdicom.seg.Segmentation(
            source_images=[header],
            pixel_array=masks,
            segmentation_type="BINARY",
            segment_descriptions=[_described(i, label, step) for i, (label, step) in enumerate(labels, 1)],
            series_instance_uid=content_uid("segmentation series", key),
            series_number=SERIES,
            sop_instance_uid=content_uid("segmentation", key),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=MAKER,
            software_versions=steps[0].algorithm.version,
            device_serial_number=key[:16],
            content_label="FOVEATE",
            content_description="Labels found by an algorithm",
            pixel_measures=measures,
            omit_empty_frames=source.volume,
        )
    _refer(made, source)
    make_repeatable(made, key=key, source=source.header)
    made.SeriesDescription = "foveate: labels"
    made.file_meta.ImplementationVersionName = "FOVEATE"
    return made


def stacked(
    source: Source, steps: Sequence[StepResults]
) -> tuple[Bool[np.ndarray, "f h w l"], list[tuple[str, StepResults]]]:
    """Stack the masks of all algorithms: ``(frame, row, col, segment)``, and each segment's label and algorithm.

    Labels of which only the presence is known have no segment.
    """
    parts, labels = [], []
    size = (int(source.header.Rows), int(source.header.Columns))
    for step in steps:
        if not step.results:
            continue
        shown = [placed(one) for one in step.results]
        if len(shown) != source.frames or any(one.image.shape[:2] != size for one in shown):
            raise ValueError(
                f"{step.algorithm.name}: {len(shown)} results of {shown[0].image.shape[:2]}; the image has "
                f"{source.frames} frames of {size}: give one result per frame, in order"
            )
        known = [label for label in step.results[0].labels if all(label in one.labels for one in shown)]
        for label in known:
            parts.append(np.stack([one.masks[one.labels.index(label)] for one in shown]).astype(bool))
            labels.append((label, step))
    return (np.stack(parts, -1) if parts else np.zeros((source.frames, *size, 0), bool)), labels


def thickness_of(source: Source) -> float | None:
    """Distance of the B-scans of a volume in mm; None if the file does not state it."""
    for group in (source.header.get("SharedFunctionalGroupsSequence") or ())[:1]:
        for measures in (group.get("PixelMeasuresSequence") or ())[:1]:
            given = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
            return float(given) if given else None
    return None


def _described(number: int, label: str, step: StepResults) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = step.algorithm
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label[:64],
        segmented_property_category=category_of(label),
        segmented_property_type=code_of(label),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=algorithm.name[:64],
            family=codes.DCM.ArtificialIntelligence,
            version=algorithm.version,
            source=MAKER,
            parameters={"sha256": algorithm.sha256},
        ),
        anatomic_regions=[codes.SCT.Eye],
        tracking_id=f"{algorithm.name} {label}"[:64],
        tracking_uid=content_uid("segment", algorithm.sha256, label),
    )


def _header(source: Source) -> Any:
    """Copy the header, as highdicom takes it: one frame without a frame of reference, or a volume with one."""
    header = deepcopy(source.header)
    if source.volume:
        if not header.get("FrameOfReferenceUID"):
            header.FrameOfReferenceUID = content_uid("frame of reference", header.SOPInstanceUID)
        header.setdefault("PositionReferenceIndicator", "")
        return header
    header.SOPClassUID = PHOTOGRAPH
    for keyword in ("FrameOfReferenceUID", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        if keyword in header:
            del header[keyword]
    return header


def _place(header: Any, thickness: float) -> None:
    """Give each B-scan a position: as in the file if it states all of them, else one behind the other."""
    from highdicom import PlaneOrientationSequence, PlanePositionSequence
    from pydicom.dataset import Dataset

    frames = header.get("PerFrameFunctionalGroupsSequence") or [Dataset() for _ in range(int(header.NumberOfFrames))]
    shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    header.PerFrameFunctionalGroupsSequence, header.SharedFunctionalGroupsSequence = list(frames), list(shared)
    stated = [_first(group, "PlanePositionSequence", "ImagePositionPatient") for group in frames]
    turned = [
        _first(group, "PlaneOrientationSequence", "ImageOrientationPatient")
        or _first(shared[0], "PlaneOrientationSequence", "ImageOrientationPatient")
        for group in frames
    ]
    if all(stated) and all(turned) and len(set(stated)) == len(stated) and len(set(turned)) == 1:
        return
    axes = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)  # columns to the patient's left, rows towards the feet
    shared[0].PlaneOrientationSequence = PlaneOrientationSequence("PATIENT", axes)
    for i, group in enumerate(frames):
        if "PlaneOrientationSequence" in group:
            del group.PlaneOrientationSequence
        group.PlanePositionSequence = PlanePositionSequence("PATIENT", (0.0, thickness * i, 0.0))


def _first(group: Any, sequence: str, keyword: str) -> tuple[float, ...] | None:
    """Read the numbers under a keyword of a group's sequence; None if it states none."""
    items = group.get(sequence) or ()
    value = items[0].get(keyword) if items else None
    return tuple(map(float, value)) if value else None


def _refer(made: Any, source: Source) -> None:
    """Put the true class of the image back into every reference to it, and add what validators ask for."""
    for element in list(made.iterall()):
        if element.keyword == "ReferencedSOPClassUID" and element.value == PHOTOGRAPH:
            element.value = source.header.SOPClassUID
    if not source.volume and "PatientOrientation" not in made:
        made.PatientOrientation = ""  # dciodvfy asks for it in a file without a frame of reference
