"""The server of an annotation project."""
