"""The metrics: each file has a tuple ``METRICS``, and a new entry (or file) is all that a new metric needs."""
