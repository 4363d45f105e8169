"""One process of a web application: `begin` or `finish` the sign-ins of users, as told on stdin.

Prints one JSON line: the addresses to send the browsers to, or how each sign-in ended.
"""

from __future__ import annotations

import json
import os
import sys
import time

AHEAD, right = float(os.environ.get("AHEAD", "0")), time.time
if AHEAD:  # the clock of this host is ahead by this many seconds
    time.time = lambda: right() + AHEAD

from mcp_client_auth import AuthError, FileStorage, Logins  # noqa: E402 - with that clock

WAY, PLACE, URL = sys.argv[1:]
logins = Logins(
    PLACE if "://" in PLACE else FileStorage(PLACE),
    redirect_uri="https://app.example/oauth/callback",
    allow_private_servers=["127.0.0.1"],
)


def finished(account: str, callback: str) -> str:
    try:
        with logins.finish(callback, account=account) as me:
            return "done" if me.tools() else "no tools"
    except AuthError as error:
        return error.code


told = json.load(sys.stdin)
if WAY == "begin":
    print(json.dumps([logins.begin(URL, account=account).url for account in told]))
else:
    print(json.dumps([finished(account, callback) for account, callback in told]))
