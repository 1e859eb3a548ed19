"""Call a function for many items, in threads or processes, in order, with a bounded number under way."""

from __future__ import annotations

import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")

PORTION = 64  # items a task: less, and a worker waits for the next; 64 small images take 20 ms
# A forked worker starts at once, a fresh one first imports torch (4 s, the time of 10,000 small images). It runs
# decoders and numpy alone, and takes no lock that a thread of its parent may have held.
START = "fork" if sys.platform == "linux" else "spawn"
AHEAD = 4  # tasks a worker that may wait; bounds the memory


def run_parallel(call: Callable[[T], R], items: Sequence[T], *, workers: int, portion: int = PORTION) -> Iterator[R]:
    """``map(call, items)``; an error or Ctrl-C ends the workers.

    Args:
        call: what to do; with processes a function of a module, or a `functools.partial` of one.
        items: what to do it to.
        workers: processes; 0 = two threads of this process. Decoding leaves the interpreter's lock, so that threads
            serve for photographs; of images of 64 x 64 they do no more than one alone does.
        portion: items a task of a process; few if each takes long.
    """
    pool: Executor
    waiting: deque[Future[list[R]]] = deque()
    size = portion if workers else min(portion, 8)
    if workers:
        pool = ProcessPoolExecutor(workers, get_context(START), _begin, (call, items))
        task: Callable[[int, int], list[R]] = _portion
    else:
        pool = ThreadPoolExecutor(2)
        task = partial(_each, call, items)
    try:
        for start in range(0, len(items), size):
            with warnings.catch_warnings():  # Python 3.12 and later warn of any fork beside threads
                warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
                waiting.append(pool.submit(task, start, start + size))
            if len(waiting) >= AHEAD * max(workers, 2):
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _each(call: Callable[[T], R], items: Sequence[T], start: int, end: int) -> list[R]:
    return [call(item) for item in items[start:end]]


class _Work:
    """The task of a worker process; each process has its own, set once."""

    portion: Callable[[int, int], list[Any]]


def _portion(start: int, end: int) -> list[Any]:
    return _Work.portion(start, end)


def _begin(call: Callable[[T], R], items: Sequence[T]) -> None:
    """In a new worker: items come with the fork and are not sent, so that a task is two numbers.

    Ctrl-C reaches the whole process group: the one that asked answers it. OpenCV's threads stay with the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    _Work.portion = staticmethod(partial(_each, call, items))
