"""Counts first, figures after: every figure is a function of (counts, image weights), so each has its interval."""
