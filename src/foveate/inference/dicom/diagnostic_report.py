"""A FHIR R4 DiagnosticReport with one Observation per answer and per area, beside the DICOM report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foveate.core.reading import placed
from foveate.inference.dicom.codes import SCHEME, code_of, private
from foveate.inference.dicom.identity import StepResults, content_uid, reading_key
from foveate.inference.dicom.measurements import answers_of
from foveate.inference.dicom.source import Source

SYSTEMS = {"SCT": "http://snomed.info/sct", "DCM": "http://dicom.nema.org/resources/ontology/DCM"}
PRIVATE = f"urn:oid:{content_uid('coding scheme', SCHEME)}"
"""System of the private codes."""

SIDES = {"R": ("24028007", "Right"), "L": ("7771000", "Left")}


def diagnostic_report(source: Source, steps: Sequence[StepResults]) -> dict[str, Any]:
    """Make the report as plain data, in the R4 form; its identifiers are those of the DICOM objects.

    It names the patient by ID only. Its status is ``preliminary``: a human has not confirmed it.

    Args:
        source: the image that was read.
        steps: results of each algorithm.
    """
    key = reading_key(str(source.header.SOPInstanceUID), steps)
    side = SIDES.get(str(source.side))
    observations: list[dict[str, Any]] = []
    for step in steps:
        for question, (answer, probability) in answers_of(step).items():
            one = _observation(step, private(question), side, number=len(observations))
            if question in step.withheld:
                one["dataAbsentReason"] = {"text": f"withheld: {step.withheld[question]}"}
            else:
                one["valueCodeableConcept"] = {"coding": [_coding(private(answer))], "text": answer}
                one["component"] = [
                    {"code": {"text": "probability"}, "valueQuantity": {"value": round(probability, 6), "unit": "1"}}
                ]
            observations.append(one)
        for label in placed(step.results[0]).labels if step.results else ():
            one = _observation(step, code_of(label), side, number=len(observations))
            areas = [result.areas(result.spacing)[label] for result in step.results]
            unit = "mm2" if "mm2" in areas[0] else "pixels"
            largest = max(area[unit] for area in areas)
            one["valueQuantity"] = {"value": float(f"{largest:.6g}"), "unit": unit}
            one["valueQuantity"] |= {"system": "http://unitsofmeasure.org", "code": unit} if unit == "mm2" else {}
            observations.append(one)
    patient = str(source.header.get("PatientID") or "") or "unknown"
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{content_uid('report', key)}"}],
        "status": "preliminary",
        "code": {"text": "Reading of a retinal image"},
        "subject": {"identifier": {"value": patient}},
        "contained": observations,
        "result": [{"reference": f"#{one['id']}"} for one in observations],
        "imagingStudy": [
            {
                "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{source.header.StudyInstanceUID}"},
                "type": "ImagingStudy",
            }
        ],
    }


def _observation(step: StepResults, code: Any, side: tuple[str, str] | None, *, number: int) -> dict[str, Any]:
    one = step.algorithm
    eye: dict[str, Any] = {"coding": [{"system": SYSTEMS["SCT"], "code": "81745001", "display": "Eye"}], "text": "Eye"}
    if side is not None:
        eye["coding"].append({"system": SYSTEMS["SCT"], "code": side[0], "display": side[1]})
        eye["text"] = f"{side[1]} eye"
    return {
        "resourceType": "Observation",
        "id": f"o{number + 1}",
        "status": "preliminary",
        "code": {"coding": [_coding(code)], "text": code.meaning},
        "bodySite": eye,
        "method": {"text": f"{one.name} {one.version} sha256={one.sha256}"},
    }


def _coding(code: Any) -> dict[str, str]:
    return {"system": SYSTEMS.get(code.scheme_designator, PRIVATE), "code": code.value, "display": code.meaning}
