"""Jobs on disk: an image that was accepted is read once, whatever happens to the process.

A job is a folder, named by the SHA-256 of its bytes, so the same image twice is one job. It is complete before it has
that name. Its state is the folder that it is in: ``waiting``, ``working``, ``done`` or ``failed``; a rename changes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from foveate.core.files import move, put_folder, write_json

WAITING, WORKING, DONE, FAILED = "waiting", "working", "done", "failed"
STATES = (WAITING, WORKING, DONE, FAILED)
ABOUT, INPUT = "job.json", "input"
TRIES = 2
"""Starts after which a job is set aside: a file that ended its worker twice would do so for ever."""


class QueueFullError(RuntimeError):
    """The queue is full; try again later."""


@dataclass(frozen=True)
class Job:
    """One job.

    Args:
        id: SHA-256 of the bytes.
        state: one of `STATES`.
        folder: where it is now.
    """

    id: str
    state: str
    folder: Path

    @property
    def image(self) -> Path:
        """The file as it was received."""
        return self.folder / INPUT

    @property
    def about(self) -> dict[str, Any]:
        """Facts: ``received``, ``tries``, ``reason`` of a failure."""
        data: dict[str, Any] = json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))
        return data


class Jobs:
    """The queue in a folder.

    Args:
        folder: made if it is not there.
        most: jobs that may wait.
    """

    def __init__(self, folder: Path, *, most: int = 1000) -> None:
        self.folder, self.most = folder, most
        for state in STATES:
            (folder / state).mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".jobs.lock")

    def worker_lock(self) -> FileLock:
        """Take the lock of the one process that reads the jobs.

        Raises:
            ValueError: another process has it.
        """
        lock = FileLock(self.folder / ".worker.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"{self.folder}: another process reads these jobs; stop it first") from None
        return lock

    def accept(self, data: bytes) -> tuple[Job, bool]:
        """Keep bytes as a job; return it, and whether it is new. It is on disk when this returns.

        Raises:
            QueueFullError: too many jobs wait.
        """
        name = hashlib.sha256(data).hexdigest()
        with self._lock:
            known = self.find(name)
            if known is not None:
                return known, False
            if self.waiting() >= self.most:
                raise QueueFullError(f"{self.most} jobs wait already; try again later")
            aside = self.folder / f".{name}.{os.getpid()}.part"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            try:
                (aside / INPUT).write_bytes(data)
                write_json(aside / ABOUT, {"received": time.time(), "tries": 0, "reason": None})
                put_folder(aside, self.folder / WAITING / name)  # flushed to the disk before it is accepted
            finally:
                shutil.rmtree(aside, ignore_errors=True)
            return Job(name, WAITING, self.folder / WAITING / name), True

    def find(self, name: str) -> Job | None:
        """Find a job by its id; None if there is none."""
        if len(name) != 64 or set(name) - set("0123456789abcdef"):
            return None
        for state in STATES:
            if (place := self.folder / state / name).is_dir():
                return Job(name, state, place)
        return None

    def waiting(self) -> int:
        """Number of jobs that wait or are being read."""
        return sum(1 for state in (WAITING, WORKING) for _ in (self.folder / state).iterdir())

    def listing(self, state: str) -> Iterator[Job]:
        """Jobs of a state, the oldest first."""
        places = [place for place in (self.folder / state).iterdir() if place.is_dir()]
        for place in sorted(places, key=lambda p: (p.stat().st_mtime, p.name)):
            yield Job(place.name, state, place)

    def recover(self) -> int:
        """Put jobs that a stopped process left back into the queue, and set those aside that ended it twice.

        Returns:
            number of jobs that wait again.
        """
        count = 0
        for job in list(self.listing(WORKING)):
            if job.about["tries"] >= TRIES:
                self.finish(job, reason=f"the process ended {TRIES} times while it read this file")
            else:
                self._move(job, WAITING)
                count += 1
        for part in self.folder.glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True)  # was never accepted
        return count

    def take(self) -> Job | None:
        """Start the oldest job; None if none waits."""
        with self._lock:
            job = next(self.listing(WAITING), None)
            if job is None:
                return None
            about = job.about
            write_json(job.folder / ABOUT, {**about, "tries": about["tries"] + 1})
            return self._move(job, WORKING)

    def finish(self, job: Job, *, reason: str | None = None) -> Job:
        """End a job: done, or failed for a reason."""
        write_json(job.folder / ABOUT, {**job.about, "reason": reason, "ended": time.time()})
        return self._move(job, DONE if reason is None else FAILED)

    def erase(self, name: str) -> bool:
        """Remove a job with its image and results; whether there was one that is not being read."""
        with self._lock:
            job = self.find(name)
            if job is None or job.state == WORKING:
                return False
            aside = self.folder / f".{name}.erased.part"
            move(job.folder, aside)
        shutil.rmtree(aside)
        return True

    def expire(self, seconds: float) -> int:
        """Erase jobs that ended longer ago than this; return their number."""
        before = time.time() - seconds
        old = [j for state in (DONE, FAILED) for j in self.listing(state) if j.about.get("ended", before + 1) < before]
        return sum(self.erase(job.id) for job in old)

    def _move(self, job: Job, state: str) -> Job:
        target = self.folder / state / job.id
        move(job.folder, target)
        return Job(job.id, state, target)
