"""Tables, figures and the report page: what a run or a study has to show."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveate.report.study import comparison as comparison
    from foveate.report.table import Column as Column
    from foveate.report.table import Table as Table
    from foveate.report.tables import grading as grading
    from foveate.report.tables import segmentation as segmentation

_HOMES = {"Column": "table", "Table": "table", "comparison": "study", "grading": "tables", "segmentation": "tables"}

__all__ = ["Column", "Table", "comparison", "grading", "segmentation"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: an overlay needs none of them, and no plotting."""
    if name not in _HOMES:
        raise AttributeError(f"module 'foveate.report' has no attribute {name!r}")
    return getattr(import_module(f"foveate.report.{_HOMES[name]}"), name)
