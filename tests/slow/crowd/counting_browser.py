"""A person at a browser who notes each time: `counting_browser.py FILE DECISION DELAY URL`."""

from __future__ import annotations

import sys
from typing import cast

from mcp_client_auth.testing import Decision, ScriptedBrowser


def main(file: str, decision: str, delay: str, url: str) -> None:
    with open(file, "a") as log:
        log.write("opened\n")
    ScriptedBrowser(cast("Decision", decision), float(delay)).visit(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
