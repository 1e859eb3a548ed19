"""Counts first, metrics after: each metric is a function of (counts, image weights), so each has its interval."""
