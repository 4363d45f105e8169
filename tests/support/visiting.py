"""Where a login sends the person, and what their address bar says in the end."""

from __future__ import annotations

import re

import httpx


def address(text: str) -> str:
    found = re.findall(r"^  (http://\S+authorize\?\S+)\r?$", text, re.MULTILINE)
    assert found, text
    return str(found[-1])


def signed_in(page: str) -> str:
    """What the browser's address bar says in the end: the callback, which has not been fetched."""
    with httpx.Client(trust_env=False) as person:
        shown = person.get(page)
        while shown.is_redirect:
            shown = person.get(shown.headers["location"])
        action = re.search(r'name="transaction" value="([^"]+)"', shown.text)
        assert action, shown.text
        answered = {"transaction": action[1], "decision": "allow"}
        last = person.post(str(shown.url).partition("?")[0], data=answered)
        return str(last.headers["location"])
