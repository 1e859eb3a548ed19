"""A study sent by C-STORE is read and its objects arrive at an archive: pynetdicom on both sides, and Orthanc."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from foveate.inference.pipeline import steps as working
from foveate.inference.pipeline.steps import Pipeline
from foveate.inference.predictor import Predictor
from foveate.service.dicom_node import NOT_UNDERSTOOD, OUT_OF_RESOURCES, SUCCESS, keep, sender, start_node
from foveate.service.jobs import DONE, FAILED, WAITING, Jobs
from foveate.service.worker import work

for folder in ("data", "inference"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
from dicom_files import PHOTOGRAPHY, TOMOGRAPHY, dicom, tomography  # noqa: E402
from test_predictor import bright, photograph  # noqa: E402

ORTHANC = shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    run = bright(tmp_path / "first")
    monkeypatch.setattr(working.Predictor, "load", lambda folder, device="auto": Predictor(run, device="cpu"))
    (tmp_path / "pipeline.toml").write_text('name = "test"\n[[step]]\nname = "a"\nmodel = "first"\n')
    return Pipeline.load(tmp_path)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Jobs, int]]:
    jobs = Jobs(tmp_path / "store")
    server = start_node(jobs, port=0)
    yield jobs, server.server_address[1]
    server.shutdown()


def study(folder: Path) -> list[Dataset]:
    """A photograph and a volume of one study."""
    one = dicom(folder / "a.dcm", photograph((60, 90))[0][None], colours="RGB")
    volume = tomography(folder / "b.dcm", np.stack([photograph((60, 90))[0][..., 0]] * 3))
    uid = generate_uid()
    for file in (one, volume):
        file.StudyInstanceUID, file.SeriesInstanceUID, file.StudyDate = uid, generate_uid(), "20260110"
        file.StudyTime = "101500"
    return [one, volume]


def store(port: int, files: list[Dataset], *, called: str = "FOVEATE") -> list[int]:
    """Send by C-STORE; the status of each."""
    caller = AE(ae_title="CAMERA")
    for uid in (PHOTOGRAPHY, TOMOGRAPHY):
        caller.add_requested_context(uid, ExplicitVRLittleEndian)
    caller.add_requested_context(Verification)
    link = caller.associate("127.0.0.1", port, ae_title=called)
    if not link.is_established:
        return []
    assert link.send_c_echo().Status == SUCCESS
    found = [link.send_c_store(one).Status for one in files]
    link.release()
    return found


def test_a_study_becomes_jobs_and_is_read(tmp_path: Path, node: tuple[Jobs, int], pipeline: Pipeline) -> None:
    jobs, port = node
    files = study(tmp_path)
    assert store(port, files) == [SUCCESS, SUCCESS]
    assert store(port, files) == [SUCCESS, SUCCESS]  # sent twice: still two jobs
    assert len(list(jobs.listing(WAITING))) == 2
    lines: list[str] = []
    assert work(jobs, pipeline, stop=Event(), until_empty=True, report=lines.append) == 2
    done = list(jobs.listing(DONE))
    assert len(done) == 2
    for job in done:
        assert list(job.folder.rglob("*_seg.dcm"))
        assert list(job.folder.rglob("report.html"))
    assert not [line for line in lines if "4711" in line or "Doe" in line]


def test_another_title_is_refused(tmp_path: Path, node: tuple[Jobs, int]) -> None:
    jobs, port = node
    assert store(port, study(tmp_path), called="OTHER") == []
    assert jobs.waiting() == 0


def test_a_full_queue_answers_that_the_sender_keeps_it(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "store", most=1)
    server = start_node(jobs, port=0)
    assert store(server.server_address[1], study(tmp_path)) == [SUCCESS, OUT_OF_RESOURCES]
    server.shutdown()

    class Wrong:
        def encoded_dataset(self) -> bytes:
            raise ValueError("lengths")

    assert keep(Wrong(), jobs) == NOT_UNDERSTOOD


def test_a_file_that_cannot_be_read_is_set_aside_and_the_rest_is_read(
    tmp_path: Path, node: tuple[Jobs, int], pipeline: Pipeline
) -> None:
    jobs, port = node
    broken = study(tmp_path)[0]
    broken.PixelData = broken.PixelData[:100]
    jobs.accept(b"no image")
    assert store(port, [broken, study(tmp_path)[1]]) == [SUCCESS, SUCCESS]
    assert work(jobs, pipeline, stop=Event(), until_empty=True, report=lambda _: None) == 1
    failed = list(jobs.listing(FAILED))
    assert len(failed) == 2
    assert all(job.about["reason"] and str(tmp_path) not in job.about["reason"] for job in failed)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # pynetdicom leaves a refused socket open
def test_objects_are_sent_and_a_refusal_fails_the_job(
    tmp_path: Path, node: tuple[Jobs, int], pipeline: Pipeline
) -> None:
    jobs, port = node
    got: list[str] = []
    archive = AE(ae_title="PACS")
    for uid in ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"):
        archive.add_supported_context(uid)

    def taken(event: evt.Event) -> int:
        got.append(str(event.dataset.SOPClassUID.name))
        return SUCCESS

    server = archive.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, taken)])
    store(port, study(tmp_path)[:1])
    send = sender(f"PACS@127.0.0.1:{server.server_address[1]}")
    work(jobs, pipeline, stop=Event(), send=send, until_empty=True, report=lambda _: None)
    server.shutdown()
    assert sorted(got) == ["Comprehensive 3D SR Storage", "Segmentation Storage"]
    store(port, study(tmp_path)[:1])
    work(jobs, pipeline, stop=Event(), send=send, until_empty=True, report=lambda _: None)
    failed = list(jobs.listing(FAILED))
    assert len(failed) == 1
    assert "not taken" in failed[0].about["reason"]
    for wrong in ("PACS", "PACS@host", "@host:1", "PACS@host:99999"):
        with pytest.raises(ValueError, match="TITLE@HOST:PORT"):
            sender(wrong)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A real archive on loopback: its address and its DICOM port."""
    if ORTHANC is None:
        pytest.skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
    web, port = free_port(), free_port()
    settings = {
        "StorageDirectory": str(tmp_path / "archive"),
        "IndexDirectory": str(tmp_path / "archive"),
        "HttpPort": web,
        "DicomPort": port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "Plugins": ["/usr/share/orthanc/plugins"],
        "DicomWeb": {"Enable": True},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("w") as log:
        process = subprocess.Popen([ORTHANC, str(tmp_path / "orthanc.json")], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{web}"
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{address}/system", timeout=2).read()
            break
        except OSError:
            time.sleep(0.3)
    else:
        process.kill()
        pytest.fail((tmp_path / "orthanc.log").read_text()[-2000:])
    yield address, port
    process.terminate()
    process.wait(20)


def test_orthanc_has_segmentation_and_report_of_the_study(
    tmp_path: Path, node: tuple[Jobs, int], pipeline: Pipeline, orthanc: tuple[str, int]
) -> None:
    jobs, port = node
    address, archive = orthanc
    files = study(tmp_path)
    for one in files:
        one.save_as(tmp_path / "sent.dcm", enforce_file_format=True)
        request = urllib.request.Request(f"{address}/instances", data=(tmp_path / "sent.dcm").read_bytes())
        urllib.request.urlopen(request, timeout=20).read()
    store(port, files)
    work(jobs, pipeline, stop=Event(), send=sender(f"ORTHANC@127.0.0.1:{archive}"), until_empty=True)
    assert len(list(jobs.listing(DONE))) == 2, [job.about["reason"] for job in jobs.listing(FAILED)]
    uid = files[0].StudyInstanceUID
    query = urllib.request.Request(
        f"{address}/dicom-web/studies/{uid}/series", headers={"accept": "application/dicom+json"}
    )
    series = json.loads(urllib.request.urlopen(query, timeout=20).read())
    kinds = sorted(one["00080060"]["Value"][0] for one in series)
    assert kinds == ["OP", "OPT", "SEG", "SEG", "SR", "SR"]
    instances = json.loads(urllib.request.urlopen(f"{address}/instances", timeout=20).read())
    sent = {path.read_bytes() for job in jobs.listing(DONE) for path in job.folder.rglob("*_seg.dcm")}
    back = [urllib.request.urlopen(f"{address}/instances/{name}/file", timeout=20).read() for name in instances]
    (tmp_path / "back.dcm").write_bytes(next(one for one in back if b"SEG" in one))
    wanted = {dcmread_bytes(one).SOPInstanceUID: dcmread_bytes(one).PixelData for one in sent}
    found = dcmread(tmp_path / "back.dcm")
    assert wanted[found.SOPInstanceUID] == found.PixelData


def dcmread_bytes(data: bytes) -> Dataset:
    from io import BytesIO

    return dcmread(BytesIO(data))
