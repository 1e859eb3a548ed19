"""The commands of the command line, one file per group; heavy imports are inside the functions."""
