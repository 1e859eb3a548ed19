"""A bar on standard error while something is counted; silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counted(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Yields ``progress(done, of)``; None where standard error is no terminal, or with ``quiet``."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, of: int) -> None:
            if done % 32 == 0 or done == of:  # the bar takes 15 us a call, a small image 300
                bar.update(task, completed=done, total=of)

        yield show
