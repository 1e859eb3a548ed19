"""File -> Row -> Sample -> Batch: manifests, preparation, augmentation, loading."""
