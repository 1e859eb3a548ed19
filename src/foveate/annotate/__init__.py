"""Annotation projects: annotators mark in the browser, the protocol decides, the consensus becomes a manifest."""
