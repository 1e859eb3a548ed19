"""Copies that identify nobody: what is not listed is not copied, and the pixels stay as they were."""

from pathlib import Path

import numpy as np
import pytest
from dicom_results import image_file
from pydicom import dcmread
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.inference.dicom.deidentify import deidentified, deidentify_files, export_key

KEY = b"a secret of some length"
SECRETS = ("Doe", "4711", "Clinic", "Smith", "19700203", "20260101", "serial9", "note with a name")


def identified(folder: Path, kind: str = "volume") -> Dataset:
    """An image with what hospitals write into headers, in sequences and private groups too."""
    path, _ = image_file(folder, kind)
    one = dcmread(path)
    one.InstitutionName, one.OperatorsName, one.PatientBirthDate = "Clinic", "Smith^A", "19700203"
    one.StudyDate, one.ContentDate, one.AcquisitionDateTime = "20260101", "20260101", "20260101101500"
    one.DeviceSerialNumber, one.ImageComments = "serial9", "note with a name"
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    one.add_new(0x00091010, "LO", "Smith")
    inner = Dataset()
    inner.PersonName = "Doe^Jane"
    inner.CodeMeaning = "kept"
    one.AnatomicRegionSequence = [inner]
    return one


@pytest.mark.parametrize("kind", ["photograph", "volume"])
def test_nothing_that_identifies_is_in_the_file(tmp_path: Path, kind: str) -> None:
    one = identified(tmp_path, kind)
    made = deidentified(one, key=KEY)
    made.save_as(tmp_path / "out.dcm", enforce_file_format=True)
    raw = (tmp_path / "out.dcm").read_bytes()
    assert not [secret for secret in SECRETS if secret.encode() in raw]
    back = dcmread(tmp_path / "out.dcm")
    assert np.array_equal(back.pixel_array, one.pixel_array)
    assert back.PatientIdentityRemoved == "YES"
    assert back.SOPInstanceUID != one.SOPInstanceUID
    assert back.SOPClassUID == one.SOPClassUID
    assert back.AnatomicRegionSequence[0].CodeMeaning == "kept"


def test_objects_of_a_patient_belong_together_under_one_key_only(tmp_path: Path) -> None:
    one = identified(tmp_path)
    first, again = deidentified(one, key=KEY), deidentified(one, key=KEY)
    other = deidentified(one, key=b"another secret of some length")
    assert (first.PatientID, first.StudyInstanceUID) == (again.PatientID, again.StudyInstanceUID)
    assert first.PatientID != other.PatientID
    assert first.StudyInstanceUID != other.StudyInstanceUID


def test_text_in_the_pixels_and_short_keys_are_refused(tmp_path: Path) -> None:
    one = identified(tmp_path)
    with pytest.raises(ValueError, match="16 random bytes"):
        deidentified(one, key=b"short")
    one.BurnedInAnnotation = "YES"
    with pytest.raises(ValueError, match="may show a name"):
        deidentified(one, key=KEY)


def test_other_files_are_named_and_the_rest_is_copied(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    image_file(folder, "volume")
    (folder / "note.txt").write_text("not an image")
    lines: list[str] = []
    assert deidentify_files([folder], out=tmp_path / "out", key=KEY, report=lines.append) == 1
    assert "note.txt: not copied: it is not DICOM" in lines[0]
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 1


def test_the_key_is_kept_for_the_next_export(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    first = export_key(path)
    assert export_key(path) == first
    assert path.stat().st_mode & 0o077 == 0
    assert export_key(None) != export_key(None)


def test_the_command_copies_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    image_file(folder, "photograph")
    done = CliRunner().invoke(app, ["dicom", "deidentify", str(folder), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "1 of 1 files copied" in done.output
