"""One loop for every method: it knows recipes, rows and counts, but no network and no loss."""
