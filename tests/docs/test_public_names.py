from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mcp_client_auth

HEAVY = (
    "httpx",
    "httpcore",
    "httpx2",
    "authlib",
    "keyring",
    "joserfc",
    "click",
    "filelock",
    "platformdirs",
    "redis",
    "psycopg",
)


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after the statement."""
    code = f"import sys; {statement}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import mcp_client_auth") == set()


def test_a_name_loads_only_what_it_needs() -> None:
    assert loaded_by("from mcp_client_auth import Options, AuthError, PreRegistered") == set()
    later = {"authlib", "joserfc", "keyring", "filelock"}
    assert loaded_by("from mcp_client_auth import MCPAuth, login") & later == set()


FIRST, LAST = "{library}{ours}", "{ours}{library}"


@pytest.mark.parametrize(
    ("order", "used"),
    [
        (LAST, ()),
        *((order, used) for used in (("httpx",), ("httpx2",)) for order in (FIRST, LAST)),
        (FIRST, ("httpx", "httpx2")),
        (LAST, ("httpx", "httpx2")),
    ],
)
def test_a_client_loads_the_http_library_that_the_program_uses(
    order: str, used: tuple[str, ...]
) -> None:
    url = "https://mcp.example.com/mcp"
    ours = f"from mcp_client_auth import MCPAuth; auth = MCPAuth({url!r}); "
    library = "".join(f"import {name}; " for name in used)
    clients = "; ".join(f"{name}.Client(auth=auth)" for name in used) or "auth"
    statement = order.format(library=library, ours=ours) + clients
    assert loaded_by(statement) & {"httpx", "httpx2"} == set(used)


FRESH = """
import sys, httpx, time
from mcp_client_auth import FileStorage, MCPAuth, Secret
from mcp_client_auth.credential import Credential, key_for
from mcp_client_auth.protocol.flow import HttpResponse
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet

def endpoint(request):
    body = b'{"access_token": "new", "token_type": "Bearer", "expires_in": 3600}'
    return HttpResponse(200, request.url, (), body)

url, issuer = "https://mcp.example.com/mcp", "https://auth.example.com"
ends = time.time() + float(sys.argv[2])
tokens = TokenSet(Secret("token"), ends - 600, ends, Secret("refresh"))
client = Client("client", issuer, "dynamic", "none")
storage = FileStorage(sys.argv[1])
storage.save(Credential(key_for(url), issuer, issuer + "/token", client, tokens))
seen = httpx.MockTransport(lambda r: httpx.Response(200 if "Authorization" in r.headers else 500))
own = {"transport": endpoint} if float(sys.argv[2]) < 0 else {}
auth = MCPAuth(url, storage=storage, prompt=None, **own)
with httpx.Client(auth=auth, transport=seen) as client:
    assert client.get(url).status_code == 200
print(*sorted(name for name in sys.modules if name.startswith("mcp_client_auth.")))
"""
# The rooms that a request with a fresh token needs, and which of their modules; no other room.
NEEDED = {
    "grants": {"base", "gathering", "person", "selection"},
    "session": {
        "decision",
        "knowledge",
        "notes",
        "open",
        "renewal",
        "session",
        "single_flight",
        "turns",
    },
    "transport": {"http", "tls"},
    "prompt": set(),
    "keys": set(),
    "cli": set(),
}


# What a refresh needs in addition.
TO_REFRESH = {"keys": {"client_key", "dpop_key"}}


@pytest.mark.parametrize(("left", "more"), [(500, {}), (-1, TO_REFRESH)], ids=["fresh", "refresh"])
def test_a_request_loads_no_room_that_it_does_not_enter(
    tmp_path: Path, left: int, more: dict[str, set[str]]
) -> None:
    command = [sys.executable, "-W", "error", "-c", FRESH, str(tmp_path), str(left)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    inside = [name.removeprefix("mcp_client_auth.").partition(".") for name in done.stdout.split()]
    loaded = {
        room: {module for of, _, module in inside if of == room and module} for room in NEEDED
    }
    assert loaded == {room: NEEDED[room] | more.get(room, set()) for room in NEEDED}


def test_every_public_name_is_there() -> None:
    missing = object()
    names = mcp_client_auth.__all__
    assert [name for name in names if getattr(mcp_client_auth, name, missing) is missing] == []
    assert set(names) <= set(dir(mcp_client_auth))


def test_every_public_name_is_declared_for_type_checkers() -> None:
    import ast
    from pathlib import Path

    tree = ast.parse(Path(mcp_client_auth.__file__).read_text("utf-8"))
    guarded = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.asname
        for block in guarded
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared | {"__version__"} == set(mcp_client_auth.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        mcp_client_auth.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_a_function_is_not_shadowed_by_a_module() -> None:
    for name in ("login", "alogin", "logout"):
        assert callable(getattr(mcp_client_auth, name))
