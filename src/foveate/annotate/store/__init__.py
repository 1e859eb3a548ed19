"""The folder and the database of an annotation project."""
