"""A trained run as a reader of images: predictions in the image's own pixels, and the cases that a report shows."""
