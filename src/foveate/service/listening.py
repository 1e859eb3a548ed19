"""``foveate dicom listen``: the node and the worker in one process, until it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread

from foveate.inference.pipeline.steps import Pipeline
from foveate.service.dicom_node import sender, start_node
from foveate.service.jobs import FAILED, Jobs
from foveate.service.worker import work

HOUR = 3600.0


def listen(
    pipeline: Path,
    *,
    store: Path,
    host: str = "127.0.0.1",
    port: int = 11112,
    title: str = "FOVEATE",
    callers: Sequence[str] = (),
    send: str | None = None,
    keep_days: float | None = None,
    device: str = "auto",
    report: Callable[[str], None] = print,
) -> None:
    """Take images by C-STORE, read them, and send the objects; SIGTERM and SIGINT end the job at work, then return.

    Jobs of a process that was killed are read again.

    Args:
        pipeline: path of ``pipeline.toml`` or its folder.
        store: folder of the jobs and their results.
        host: address to listen on.
        port: of the node.
        title: of the node.
        callers: titles that may send; none = any.
        send: archive for the objects, ``TITLE@HOST:PORT``; None = they stay in the store.
        keep_days: days after which ended jobs are erased; None = never.
        device: where the networks run.
        report: called with one line per job.

    Raises:
        ValueError: the pipeline or the address is wrong, or another process reads the store.
        OSError: the port is taken.
    """
    forward = None if send is None else sender(send, title=title)
    jobs = Jobs(store)
    with jobs.worker_lock():
        opened = Pipeline.load(pipeline, device=device)
        again = jobs.recover()
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        node = start_node(jobs, title=title, host=host, port=port, callers=callers)
        report(f"{title} at {host}:{node.server_address[1]}; {again} jobs of before, {_failed(jobs)} set aside")
        try:
            if keep_days is not None:
                Thread(target=_expire, args=(jobs, keep_days * 24 * HOUR, stop), daemon=True).start()
            work(jobs, opened, stop=stop, send=forward, report=report)
        finally:
            node.shutdown()


def _expire(jobs: Jobs, seconds: float, stop: Event) -> None:
    while not stop.is_set():
        jobs.expire(seconds)
        stop.wait(HOUR)


def _failed(jobs: Jobs) -> int:
    return sum(1 for _ in jobs.listing(FAILED))
