"""Reads a terminal beside other work: `reader` for all, `line` for keys, one file per system."""
