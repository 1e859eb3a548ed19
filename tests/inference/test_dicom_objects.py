"""Objects that are written are read back: masks pixel for pixel, references to the image, the same bytes twice."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
from dicom_results import image_file
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from pydicom import dcmread

from foveate.inference.dicom.codes import SCHEME, category_of, code_of, private
from foveate.inference.dicom.identity import Algorithm, StepResults, content_uid, digest_of
from foveate.inference.dicom.measurements import answers_of
from foveate.inference.dicom.segmentation import stacked
from foveate.inference.dicom.source import source_of
from foveate.inference.dicom.write_objects import make_objects, write_objects

KINDS = ("photograph", "volume", "picture")


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_those_of_the_results_pixel_for_pixel(tmp_path: Path, kind: str) -> None:
    path, steps = image_file(tmp_path, kind)
    written = write_objects(path, steps, folder=tmp_path, name="eye")
    file = highdicom.seg.segread(next(p for p in written if p.name == "eye_seg.dcm"))
    source = source_of(path, steps[0].results)
    uid, given = str(source.header.SOPInstanceUID), {"ignore_spatial_locations": True}
    given["assert_missing_frames_are_empty"] = True
    if kind == "volume":
        found = file.get_pixels_by_source_frame(uid, list(range(1, 5)), **given)
    else:
        found = file.get_pixels_by_source_instance([uid], **given)
    wanted, labels = stacked(source, steps)
    assert np.array_equal(found.astype(bool), wanted)
    assert wanted.any()
    assert [one.SegmentLabel for one in file.SegmentSequence] == [label for label, _ in labels]
    assert file.SegmentationType == "BINARY"


@pytest.mark.parametrize("kind", KINDS)
def test_every_reference_has_the_true_class_of_the_image(tmp_path: Path, kind: str) -> None:
    path, steps = image_file(tmp_path, kind)
    objects, _ = make_objects(path, steps)
    image = source_of(path, steps[0].results).header
    for name in ("seg", "sr"):
        pairs = {
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for element in objects[name].iterall()
            if element.VR == "SQ"
            for item in element.value
            if "ReferencedSOPInstanceUID" in item
        }
        of_image = {pair for pair in pairs if pair[1] == image.SOPInstanceUID}
        assert of_image == {(str(image.SOPClassUID), str(image.SOPInstanceUID))}
        assert objects[name].StudyInstanceUID == image.StudyInstanceUID


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_reading_is_the_same_file_and_another_is_not(tmp_path: Path, kind: str) -> None:
    path, steps = image_file(tmp_path, kind)
    first = write_objects(path, steps, folder=tmp_path / "a", name="eye", capture=True)
    second = write_objects(path, steps, folder=tmp_path / "b", name="eye", capture=True)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    results = [replace(one, answers={"grade": "none"}) for one in steps[0].results]
    other = make_objects(path, [replace(steps[0], results=results)])[0]
    assert other["sr"].SOPInstanceUID != dcmread(tmp_path / "a" / "eye_sr.dcm").SOPInstanceUID


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
def test_a_validator_finds_no_error(tmp_path: Path, kind: str) -> None:
    path, steps = image_file(tmp_path, kind)
    written = write_objects(path, steps, folder=tmp_path, name="eye", capture=True)
    objects = [p for p in written if p.suffix == ".dcm"]
    assert len(objects) >= 3
    for one in objects:
        done = subprocess.run(["dciodvfy", str(one)], capture_output=True, text=True, check=False)
        assert "Error" not in done.stderr + done.stdout, (one.name, done.stderr)


def test_the_report_has_areas_answers_and_the_digest_of_the_algorithm(tmp_path: Path) -> None:
    path, steps = image_file(tmp_path, "photograph")
    written = write_objects(path, steps, folder=tmp_path, name="eye")
    report = highdicom.sr.srread(next(p for p in written if p.name == "eye_sr.dcm"))
    groups = report.content.get_volumetric_roi_measurement_groups()
    areas = {g.finding_type.meaning: g.get_measurements()[0] for g in groups}
    expected = steps[0].results[0].areas((0.004, 0.012))
    assert areas["Optic disc"].value == pytest.approx(expected["disc"]["mm2"], rel=1e-5)
    assert areas["Optic disc"].unit.value == "mm2"
    assert "Hemorrhage" not in areas  # nothing is marked: an area of 0, without a segment
    text = report.to_json()
    assert "sha256=" + "ab" * 32 in text
    others = report.content.get_image_measurement_groups()
    empty = next(g for g in others if g.finding_type.meaning == "Hemorrhage")
    assert empty.get_measurements()[0].value == 0
    answers = next(g for g in others if g.finding_type.meaning == "Answers about the image")
    assert answers.get_qualitative_evaluations()[0].value.meaning == "severe"
    assert answers.get_measurements()[0].value == 0.75


def test_a_withheld_answer_is_in_no_object(tmp_path: Path) -> None:
    path, steps = image_file(tmp_path, "photograph")
    objects, fhir = make_objects(path, [replace(steps[0], withheld={"grade": "probability in the band"})])
    answer = private("severe").value
    assert answer not in objects["sr"].to_json()
    assert "WITHHELD" in objects["sr"].to_json()
    assert "severe" not in json.dumps(fhir)


def test_without_spacing_areas_are_in_pixels(tmp_path: Path) -> None:
    path, steps = image_file(tmp_path, "photograph")
    bare = StepResults(steps[0].algorithm, [replace(one, spacing=None) for one in steps[0].results])
    objects, fhir = make_objects(path, [bare])
    assert '"{pixels}"' in objects["sr"].to_json()
    assert '"mm2"' not in json.dumps(fhir)


def test_fhir_is_valid_and_names_the_patient_by_id_only(tmp_path: Path) -> None:
    path, steps = image_file(tmp_path, "volume")
    _, fhir = make_objects(path, steps)
    assert DiagnosticReport.model_validate(fhir).status == "preliminary"
    for one in fhir["contained"]:
        Observation.model_validate(one)
    text = json.dumps(fhir)
    assert "4711" in text
    assert "Doe" not in text


def test_results_that_do_not_fit_the_image_are_refused(tmp_path: Path) -> None:
    path, steps = image_file(tmp_path, "volume")
    with pytest.raises(ValueError, match="one result per frame"):
        make_objects(path, [replace(steps[0], results=steps[0].results[:3])])
    with pytest.raises(ValueError, match="no step read it"):
        make_objects(path, [])


def test_codes_are_those_of_the_standard_or_private() -> None:
    assert (code_of("disc").value, code_of("disc").scheme_designator) == ("81016008", "SCT")
    assert category_of("disc").meaning == "Anatomical Structure"
    assert code_of("hard_exudates").scheme_designator == SCHEME
    assert category_of("hard_exudates").meaning == "Morphologically Abnormal Structure"
    long = private("a label with a name of very many characters")
    assert len(long.value) <= 16
    assert private("a label with a name of very many letters").value != long.value


def test_the_digest_follows_the_files_that_decide(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "stage").mkdir(parents=True)
    (run / "recipe.json").write_text("{}")
    (run / "stage" / "weights.safetensors").write_bytes(b"1")
    before = Algorithm.of(run)
    (run / "metrics.json").write_text("{}")
    assert digest_of(run) == before.sha256
    (run / "stage" / "weights.safetensors").write_bytes(b"2")
    assert digest_of(run) != before.sha256
    with pytest.raises(ValueError, match="no run and no bundle"):
        digest_of(tmp_path / "nothing")


def test_uids_are_valid_and_of_their_content() -> None:
    uid = content_uid("image", "x")
    assert uid == content_uid("image", "x")
    assert uid.startswith("2.25.")
    assert len(uid) <= 64


def test_of_several_frames_the_latest_answer_counts(tmp_path: Path) -> None:
    _, steps = image_file(tmp_path, "volume")
    mild = {"grade": {"none": 0.9, "severe": 0.1}}
    results = [replace(one, probabilities=mild, answers={"grade": "none"}) for one in steps[0].results[:3]]
    found = answers_of(replace(steps[0], results=[*results, steps[0].results[3]]))
    assert found == {"grade": ("severe", 0.75)}
