"""One login to one server: decides, remembers, waits."""
