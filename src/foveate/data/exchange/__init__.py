"""Exchange: a manifest written in, or read from, the formats of other programs; one format = one file."""
