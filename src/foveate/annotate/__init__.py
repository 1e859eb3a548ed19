"""The annotation project: readers mark in the browser, the protocol decides, the manifest learns."""
