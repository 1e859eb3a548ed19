"""The content of the page of a run, a study or a check: reads runs, predicts, and calls `report` to draw."""
