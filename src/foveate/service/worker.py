"""Read jobs one after the other: pipeline, report and objects into the job's folder; then send the objects."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

from foveate.data.read import Unreadable
from foveate.inference.pipeline.steps import About, Pipeline
from foveate.reporting.pipeline_files import summary, write_visit
from foveate.reporting.visit_record import visits_of
from foveate.service.jobs import Job, Jobs

RESULT = "result"
PAUSE = 0.2  # seconds between looks at an empty queue

Send = Callable[[Sequence[Path]], str | None]
"""Sends files; returns why they were not taken, or None."""


def work(
    jobs: Jobs,
    pipeline: Pipeline,
    *,
    stop: Event,
    send: Send | None = None,
    report: Callable[[str], None] = print,
    until_empty: bool = False,
) -> int:
    """Read jobs until ``stop`` is set; the job at work is ended first. Return the number of jobs that were read.

    Lines of the report name a job by the first part of its id, never a patient or a file.

    Args:
        jobs: the queue.
        pipeline: in memory.
        stop: ends the loop.
        send: for the DICOM objects of each job.
        report: called with one line per job.
        until_empty: return once no job waits.
    """
    count = 0
    while not stop.is_set():
        job = jobs.take()
        if job is None:
            if until_empty:
                break
            stop.wait(PAUSE)
            continue
        try:
            line = read_job(job, pipeline, send=send)
            jobs.finish(job)
            count += 1
        except Exception as error:  # one file must not stop the service; it is set aside with its reason
            reason = error.reason if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
            line = f"failed: {type(error).__name__}"
            jobs.finish(job, reason=reason.replace(str(job.folder), "").strip())
        report(f"{job.id[:12]}: {line}")
    return count


def read_job(job: Job, pipeline: Pipeline, *, send: Send | None = None) -> str:
    """Read the image of a job and write its results; return a line that names no patient.

    Raises:
        Unreadable: it is not an image that can be read.
        OSError: the objects were not taken; the job fails, its results stay.
    """
    out = job.folder / RESULT
    shutil.rmtree(out, ignore_errors=True)  # of a try that was cut off
    reading = pipeline(job.image, about=About.of(job.image))
    visit = visits_of([reading])[0]
    write_visit(visit, pipeline, out=out, dicom=True)
    folder = out / visit.key
    objects = sorted(folder.glob("*.dcm"))
    if send is not None and objects and (refused := send(objects)) is not None:
        raise OSError(f"the objects were not taken: {refused}")
    return summary(visit)
