"""A terminal read beside other work: `reader` for all, `line` for the keys, one file a system."""
