"""The addresses of an annotation project, by who uses them."""
