"""Answers and areas as a DICOM measurement report (TID 1500), with the algorithm and its digest."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foveate.inference.dicom.codes import category_of, code_of, private
from foveate.inference.dicom.identity import MAKER, StepResults, content_uid, make_repeatable, reading_key
from foveate.inference.dicom.segmentation import stacked, thickness_of
from foveate.inference.dicom.source import Source

SERIES = 901
WITHHELD = "withheld: an annotator decides"


def measurement_report(source: Source, steps: Sequence[StepResults], *, segments: Any = None) -> Any:
    """Make the Comprehensive 3D SR of a reading.

    Per label the area in mm2 (in pixels if the spacing is unknown); of a volume the largest area in one B-scan, and the
    volume in mm3 if the distance of the B-scans is known. Per question the answer and its probability; of a volume
    those of the frame with the highest probability of the most severe answer seen. An answer that is withheld is
    written as such, without its value.

    Args:
        source: the image that was read.
        steps: results of each algorithm.
        segments: the Segmentation of the same reading (`segmentation`), which the areas refer to.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes

    key = reading_key(str(source.header.SOPInstanceUID), steps)
    masks, labels = stacked(source, steps)
    groups: list[Any] = [
        _label(source, masks[..., i], label, step, number=i + 1, segments=segments)
        for i, (label, step) in enumerate(labels)
    ]
    groups += [one for step in steps for one in _answers(source, step, key=key)]
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=content_uid("device", *(step.algorithm.sha256 for step in steps)),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=", ".join(dict.fromkeys(step.algorithm.name for step in steps))[:64] or None,
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=private("RETINAL_READING", meaning="Reading of a retinal image"),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[source.header],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = sr.Comprehensive3DSR(
            evidence=[source.header, *([segments] if segments is not None else [])],
            content=content[0],
            series_instance_uid=content_uid("report series", key),
            series_number=SERIES,
            sop_instance_uid=content_uid("report", key),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=True,
        )
    make_repeatable(made, key=key, source=source.header)
    made.SeriesDescription = "foveate: measurements"
    return made


def _label(source: Source, masks: np.ndarray, label: str, step: StepResults, *, number: int, segments: Any) -> Any:
    """The measurement group of one label: with its segment if it marks a pixel, else area 0 of the image."""
    from highdicom import sr

    frames = [i for i, mask in enumerate(masks, 1) if mask.any()]
    about: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(
            uid=content_uid("segment", step.algorithm.sha256, label), identifier=label[:64]
        ),
        "finding_type": code_of(label),
        "finding_category": category_of(label),
        "algorithm_id": _algorithm(step),
        "finding_sites": [_site(source)],
        "measurements": _measures(source, masks, step),
    }
    if segments is None or not frames:
        return sr.MeasurementsAndQualitativeEvaluations(**about, source_images=[_image(source)])
    # TID 1411 for photographs too: TID 1410 wants frame and segment in one reference, which part 3 (10.3) forbids
    segment = sr.ReferencedSegment(
        sop_class_uid=segments.SOPClassUID,
        sop_instance_uid=segments.SOPInstanceUID,
        segment_number=number,
        source_images=[
            sr.SourceImageForSegmentation(
                str(source.header.SOPClassUID), str(source.header.SOPInstanceUID), frames if source.volume else None
            )
        ],
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(**about, referenced_segment=segment)


def _measures(source: Source, masks: np.ndarray, step: StepResults) -> list[Any]:
    """Area, and volume where it is known."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    spacing, pixels = step.results[0].spacing, masks.reshape(len(masks), -1).sum(1)
    derived = codes.SCT.Maximum if source.volume else None
    if spacing is None:
        unit = sr.CodedConcept("{pixels}", "UCUM", "pixels")
        return [sr.Measurement(codes.SCT.Area, float(pixels.max()), unit, derivation=derived)]
    one = spacing[0] * spacing[1]
    found = [
        sr.Measurement(codes.SCT.Area, _plain(pixels.max() * one), codes.UCUM.SquareMillimeter, derivation=derived)
    ]
    if source.volume and (distance := thickness_of(source)) is not None:
        whole = _plain(pixels.sum() * one * distance)
        found.append(sr.Measurement(codes.SCT.Volume, whole, codes.UCUM.CubicMillimeter))
    return found


def _answers(source: Source, step: StepResults, *, key: str) -> list[Any]:
    """One group with all answers of an algorithm; none if it answers nothing."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    evaluations, probabilities = [], []
    for question, (answer, probability) in answers_of(step).items():
        if question in step.withheld:
            value = private("WITHHELD", meaning=WITHHELD)
        else:
            value = private(answer)
            name = private(f"P_{question}", meaning=f"Probability of {answer} ({question})")
            probabilities.append(sr.Measurement(name, _plain(probability), codes.UCUM.NoUnits))
        evaluations.append(sr.QualitativeEvaluation(private(question), value))
    if not evaluations:
        return []
    return [
        sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=content_uid("answers", step.algorithm.sha256, key), identifier=f"{step.algorithm.name} answers"[:64]
            ),
            finding_type=private("ANSWERS", meaning="Answers about the image"),
            algorithm_id=_algorithm(step),
            finding_sites=[_site(source)],
            qualitative_evaluations=evaluations,
            measurements=probabilities or None,
            source_images=[_image(source)],
        )
    ]


def answers_of(step: StepResults) -> Mapping[str, tuple[str, float]]:
    """Question -> answer and probability; of several frames that with the latest answer, then the most probable."""
    found: dict[str, tuple[str, float]] = {}
    for question in step.results[0].answers if step.results else ():
        order = list(step.results[0].probabilities[question])
        several = [(one.answers[question], one.probabilities[question][one.answers[question]]) for one in step.results]
        if set(order) == {"no", "yes"}:
            order = ["no", "yes"]
        found[question] = max(several, key=lambda pair: (order.index(pair[0]), pair[1]))
    return found


def _algorithm(step: StepResults) -> Any:
    from highdicom import sr

    one = step.algorithm
    return sr.AlgorithmIdentification(name=one.name, version=one.version, parameters=[f"sha256={one.sha256}"])


def _site(source: Source) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    sides = {"R": codes.SCT.Right, "L": codes.SCT.Left}
    return sr.FindingSite(
        anatomic_location=codes.SCT.Eye, laterality=sides.get(source.side) if source.side is not None else None
    )


def _image(source: Source) -> Any:
    from highdicom import sr

    return sr.SourceImageForMeasurementGroup(str(source.header.SOPClassUID), str(source.header.SOPInstanceUID))


def _plain(value: float) -> float:
    """Round to six digits: a decimal string has at most sixteen characters."""
    return float(f"{float(value):.6g}")
