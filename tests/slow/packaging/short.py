"""A short life of the package as it is installed here, by nothing but what it brings along.

`python short.py httpx httpx2`: every module is imported, a person logs in to a server over real
sockets, a request is answered with an HTTP client of each library, the token is renewed, and the
command finds the login, shows it and ends it. Prints what was seen, as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path

NOT_HERE = ("msvcrt", "pytest", "urllib3", "aiohttp", "requests", "redis", "psycopg", "mcp")


def imported() -> int:
    """How many modules there are; what is not installed may be missing, and nothing else."""
    import mcp_client_auth

    number = 0
    for module in pkgutil.walk_packages(mcp_client_auth.__path__, "mcp_client_auth."):
        if module.name.endswith((".__main__", ".terminal.windows")):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] not in NOT_HERE:
                raise
        number += 1
    return number


def lived(library: str) -> list[int]:
    """The exit codes of the command, after a login and a request by a program."""
    from mcp_client_auth import BrowserPrompt, FileStorage, MCPAuth, login
    from mcp_client_auth.testing import DemoServer, ScriptedBrowser

    client_of = importlib.import_module(library)
    with DemoServer() as server, tempfile.TemporaryDirectory() as home:
        storage, browser = FileStorage(home), ScriptedBrowser()
        login(server.url, storage=storage, prompt=BrowserPrompt(open_url=browser))
        browser.join(60)
        auth = MCPAuth(server.url, storage=storage, prompt=None)
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        with client_of.Client(auth=auth, trust_env=False, timeout=60) as client:
            assert client.post(server.url, json=body).status_code == 200
        programs = Path(sysconfig.get_path("scripts"))
        where = {**os.environ, "MCP_CLIENT_AUTH_HOME": home, "MCP_CLIENT_AUTH_STORAGE": "file"}
        codes = []
        for verb in ("status", "token", "refresh", "logout"):
            ran = subprocess.run(
                [programs / "mcp-login", verb, server.url], env=where, stdout=subprocess.DEVNULL
            )
            codes.append(ran.returncode)
        assert server.count("/token") == 2, "one login and one refresh"
        return codes


def main(*libraries: str) -> None:
    found = {
        "python": "{}.{}".format(*sys.version_info),
        "version": version("mcp-client-auth"),
        "modules": imported(),
        "codes": [code for library in libraries for code in lived(library)],
        "httpx2": importlib.util.find_spec("httpx2") is not None,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
