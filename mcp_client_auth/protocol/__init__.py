"""Every message of the flow, pure: no I/O, no clock, no globals."""
