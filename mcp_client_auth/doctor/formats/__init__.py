"""Reports of the doctor for programs and browsers.

Each format is a pure function of the objects that `--json` prints, so that it can say nothing that
is not in them, and can be made from a saved report.
"""
