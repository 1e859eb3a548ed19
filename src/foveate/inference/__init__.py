"""Read images with a trained run: results in the image's own pixels, and the cases that a report shows."""
