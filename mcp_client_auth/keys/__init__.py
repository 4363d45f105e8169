"""Keys that sign: a client's, a bound token's, and where assertions come from."""
