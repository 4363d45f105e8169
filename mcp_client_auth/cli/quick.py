"""A shortcut for `mcp-login token URL`, `headers` and `exec` when a fresh token is stored.

Two small files are read, or one and an item of the Secret Service, and nothing heavy is imported.
Any other case (another option, another keyring, a sealed, bound, expired, damaged or refused
record) is left to the verb itself: None.
"""

import os

TYPE_CHECKING = False  # importing typing takes longer than all that is done here
if TYPE_CHECKING:
    from typing import Final

_MARGIN: "Final" = 360.0  # the longest time before a token's end at which a session renews it
_A_DAY: "Final" = 86_400.0
MIN_VALID: "Final" = 300.0  # a program that runs `headers` does so once per connection
EXEC_MIN_VALID: "Final" = 60.0
EXEC_VARIABLE: "Final" = "MCP_ACCESS_TOKEN"
HOST_URL: "Final" = "CLAUDE_CODE_MCP_SERVER_URL"
_ACCOUNT: "Final" = "MCP_CLIENT_AUTH_ACCOUNT"
_STORAGE: "Final" = "MCP_CLIENT_AUTH_STORAGE"
_GRANT: "Final" = "MCP_CLIENT_AUTH_GRANT"  # a program's, which is another login


def quick_token(words: "list[str]", *, spelled: bool = False) -> "str | None":
    """Return what `token` with these words prints, if one look is enough.

    `spelled`: only if the URL is spelled as it is stored, and the requests go there.
    """
    options = _understood(words)
    if options is None or os.environ.get(_GRANT):
        return None
    if os.environ.get(_STORAGE, "") not in ("", "file", "keyring"):
        return None
    try:
        seconds = float(options["min_valid"])
        if not 0 <= seconds <= _A_DAY:
            return None
        token = _fresh(options["url"], options["account"], seconds, spelled=spelled)
    except Exception:  # whatever it is, the verb itself reports it
        return None
    if token is None:
        return None
    return f"Authorization: Bearer {token}" if options["header"] else token


def quick_headers(words: "list[str]") -> "str | None":
    """Return what `headers` with these words prints, if one look is enough."""
    connecting = os.environ.get(HOST_URL)
    # two URLs that are not spelled alike are left to the verb
    words = [*words, connecting] if connecting and connecting not in words else words
    line = (
        None
        if "--header" in words
        else quick_token(["--header", f"--min-valid={MIN_VALID}", *words])
    )
    if line is None:
        return None
    import json

    name, _, value = line.partition(": ")
    return json.dumps({name: value})


def quick_exec(words: "list[str]") -> "tuple[list[str], dict[str, str]] | None":
    """Return the command of `exec` with these words, and its environment, if one look is enough."""
    if "--" not in words:
        return None
    at = words.index("--")
    ours, command = words[:at], words[at + 1 :]
    if not command or "--header" in ours:
        return None
    token = quick_token([f"--min-valid={EXEC_MIN_VALID}", *ours], spelled=True)
    if token is None:
        return None
    from ..environment import for_other_programs

    url = next(word for word in ours if "://" in word and not word.startswith("-"))
    return command, {**for_other_programs(), EXEC_VARIABLE: token, "MCP_SERVER_URL": url}


def _understood(words: "list[str]") -> "dict[str, str] | None":
    """The URL, and the few options that are known here; None for any other word."""
    options = {"account": os.environ.get(_ACCOUNT) or "", "min_valid": "0", "header": ""}
    names = {"--account": "account", "--min-valid": "min_valid"}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--header":
            options["header"] = word
        elif name in names:
            value = value if equals else next(rest, "")
            if not value or "://" in value:  # which looks like the server
                return None
            options[names[name]] = value
        elif "://" in word and not word.startswith("-") and "url" not in options:
            options["url"] = word
        else:
            return None
    if not options["account"]:
        from ..paths import project_file

        if project_file():  # which may name another account
            return None
        options["account"] = "default"
    return options if "url" in options else None


def _fresh(url: str, account: str, min_valid: float, *, spelled: bool) -> "str | None":
    """Return the stored access token, if it may be sent as it is for `min_valid` seconds."""
    import json
    import time

    from ..errors import UsageError
    from ..paths import ENTRY, RECORD, REFUSED, home, is_foreign, read_private, record_id
    from ..protocol.urls import canonical

    try:
        key = {"server": canonical(url), "account": account, "grant": "authorization_code"}
    except UsageError:
        return None
    directory = home()
    if is_foreign(os.lstat(directory)):
        return None
    id = record_id(*key.values(), "")  # noqa: A001
    place = os.path.join(directory, id)
    entry = json.loads(read_private(place + ENTRY).decode())
    if os.path.lexists(place + REFUSED):
        return None
    if entry["storage"] == "file":
        text: str | None = read_private(place + RECORD).decode()
    else:
        from .quick_keyring import BACKEND, secret_of

        there = (entry["storage"], entry.get("backend")) == ("keyring", BACKEND)
        text = secret_of(id) if there else None
    if text is None:
        return None
    record = json.loads(text)
    tokens, ours = record["tokens"], {**key, "client": ""}
    if (
        record["version"] != 1
        or record["key"] != ours
        or record.get("dpop_key")
        or record.get("headers")
    ):
        return None
    if record["generation"] != entry["generation"] or tokens.get("bound"):
        return None
    if spelled and (url != key["server"] or record.get("final_url")):
        return None
    token: str = tokens["access_token"]
    if not (token.isascii() and token.isprintable()):
        return None
    if (end := tokens["expires_at"]) is None:
        return token
    margin = max(min(_MARGIN, 0.1 * (end - tokens["issued_at"])), min_valid)
    # compared this way round, so that an end that is NaN does not count as a late one
    return token if time.time() + margin < end else None
