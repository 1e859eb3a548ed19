"""``foveate report``: write the page of a run or of a study."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from foveate.recipes import load_run
from foveate.reporting.run_page import run_report
from foveate.reporting.study_page import study_report


def write_report(
    folder: str | Path,
    *,
    device: str = "auto",
    looks: bool = False,
    seconds: Mapping[str, float] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write ``report.html`` for a run or a study; returns its path.

    Args:
        folder: of a run or a study.
        device: where the networks run.
        looks: of a study, also measure where each method saw its answers (`looking.cam_table`): Grad-CAM of every test
            image.
        seconds: of one label of each kind (`report.cost.SECONDS`), for a study with a figure of what labels cost.
        warn: called with a line per label or answer that a network never gives; the page shows them in a box.

    Raises:
        ValueError: the folder has neither, or ``seconds`` has no use in it.
    """
    folder = Path(folder)
    if (folder / "study.json").is_file():
        return study_report(folder, device=device, looks=looks, seconds=seconds, warn=warn)
    if seconds is not None:
        raise ValueError(f"seconds: {folder} must be a study; the page of a run has no figure of annotation costs")
    return run_report(load_run(folder), device=device, warn=warn)


def read_seconds(path: Path) -> dict[str, float]:
    """Read kind of label -> seconds per label from a JSON file; ValueError if it has another form."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f'{path}: must have an object, such as {{"regions": 12, "masks": 240}}')
    return found
