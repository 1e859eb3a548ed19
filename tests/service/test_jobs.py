"""An accepted image is read once: after a kill, twice the same bytes, a full queue, a file that ends its worker."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from foveate.service.jobs import DONE, FAILED, TRIES, WAITING, Jobs, QueueFullError

WRITER = """
import sys
from pathlib import Path
from foveate.service.jobs import Jobs
jobs, start = Jobs(Path(sys.argv[1])), int(sys.argv[2])
for number in range(start, 200):
    job, _ = jobs.accept(b"image %d" % number)
    print(number, job.id, flush=True)
    if number % 3 == 0:
        taken = jobs.take()
        if taken is not None and number % 2:
            jobs.finish(taken)
"""


def test_the_same_bytes_are_one_job(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    first, new = jobs.accept(b"image")
    again, newer = jobs.accept(b"image")
    assert (first.id, new, newer) == (again.id, True, False)
    taken = jobs.take()
    assert taken is not None
    jobs.finish(taken)
    assert jobs.accept(b"image")[0].state == DONE
    assert jobs.take() is None


def test_a_full_queue_refuses_new_bytes_and_knows_the_old(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, most=2)
    jobs.accept(b"1")
    jobs.accept(b"2")
    with pytest.raises(QueueFullError, match="try again later"):
        jobs.accept(b"3")
    assert jobs.accept(b"2")[1] is False


def test_a_file_that_ends_its_worker_twice_is_set_aside(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    bad, _ = jobs.accept(b"bad")
    for _ in range(TRIES):
        assert jobs.take() is not None
        jobs = Jobs(tmp_path)  # the process ended
        jobs.recover()
    found = jobs.find(bad.id)
    assert found is not None
    assert found.state == FAILED
    assert "ended 2 times" in found.about["reason"]


def test_several_senders_lose_nothing(tmp_path: Path) -> None:
    def send(number: int) -> None:
        jobs = Jobs(tmp_path)
        for i in range(25):
            jobs.accept(b"%d" % (i * (1 + number % 2)))  # many are the same

    threads = [Thread(target=send, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    wanted = {b"%d" % (i * k) for i in range(25) for k in (1, 2)}
    assert {job.image.read_bytes() for job in Jobs(tmp_path).listing(WAITING)} == wanted


def test_a_killed_process_loses_no_accepted_job(tmp_path: Path) -> None:
    accepted: dict[int, str] = {}
    for kill_after in (30, 70, None):
        start = max(accepted, default=-1) + 1
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                number, name = line.split()
                accepted[int(number)] = name
                if kill_after is not None and int(number) - start >= kill_after:
                    os.kill(process.pid, signal.SIGKILL)
                    break
            for line in process.stdout:  # answered before the kill
                number, name = line.split()
                accepted[int(number)] = name
        Jobs(tmp_path).recover()
    assert len(accepted) == 200
    jobs = Jobs(tmp_path)
    there = [job.id for state in ("waiting", "working", "done", "failed") for job in jobs.listing(state)]
    assert sorted(there) == sorted(set(there))
    assert set(accepted.values()) <= set(there)
    assert not list(tmp_path.glob(".*.part"))


def test_only_one_process_reads_a_folder(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    with jobs.worker_lock(), pytest.raises(ValueError, match="another process reads"):
        Jobs(tmp_path).worker_lock()


def test_old_jobs_are_erased_and_ids_are_checked(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job, _ = jobs.accept(b"image")
    taken = jobs.take()
    assert taken is not None
    assert not jobs.erase(job.id)  # it is being read
    jobs.finish(taken)
    assert jobs.expire(60) == 0
    time.sleep(0.05)
    assert jobs.expire(0.01) == 1
    assert jobs.find(job.id) is None
    for name in ("../waiting", "a" * 63, "", "A" * 64):
        assert jobs.find(name) is None
