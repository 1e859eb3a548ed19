"""Tables, figures and the report page: what a run or a study has to show."""

from foveate.report.study import comparison
from foveate.report.table import Column, Table
from foveate.report.tables import grading, segmentation

__all__ = ["Column", "Table", "comparison", "grading", "segmentation"]
