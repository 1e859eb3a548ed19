"""Networks with which the papers compare themselves, one file each."""
