"""A progress bar on standard error; nothing if standard error is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counted(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Yield ``progress(done, of)``; None if standard error is not a terminal, or with ``quiet``."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, of: int) -> None:
            if done % 32 == 0 or done == of:  # the bar takes 15 us a call, a small image 300
                bar.update(task, completed=done, total=of)

        yield show
