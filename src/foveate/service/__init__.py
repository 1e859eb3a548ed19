"""The clinic: images received by DICOM, kept as jobs, read by a pipeline, and sent back as objects."""
