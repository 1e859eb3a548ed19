"""Roles of accounts in an annotation project."""

ANNOTATOR, ADJUDICATOR, COORDINATOR = "annotator", "adjudicator", "coordinator"
ROLES = (ANNOTATOR, ADJUDICATOR, COORDINATOR)
ADJUDICATES = (ADJUDICATOR, COORDINATOR)
"""Roles that may adjudicate: a coordinator may too."""
