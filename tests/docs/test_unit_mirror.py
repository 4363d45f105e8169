"""`tests/unit` mirrors the package: if a module moves, its test moves with it.

`mcp_client_auth/a/b.py` is tested by `tests/unit/a/test_b.py`, or by several `test_b_<topic>.py`;
the `__init__` of the package `a` by `tests/unit/a/test_a.py`. A module with code and without such
a test is in `ELSEWHERE`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.support.python_path import ROOT

PACKAGE, UNIT = ROOT / "mcp_client_auth", ROOT / "tests" / "unit"
# Modules, the test below `tests` that tests them, and why it is there.
ELSEWHERE = """
__main__ | slow/packaging/test_built.py | it is there for `python -m`
adapters.aiohttp | flows/test_http_libraries.py | a plug for another library, which has to be there
adapters.requests | flows/test_http_libraries.py | a plug for another library, which has to be there
adapters.urllib3 | flows/test_http_libraries.py | a plug for another library, which has to be there
api | flows/test_signin.py | it is how all of it is called
cli.__init__ | flows/cli/test_exit_codes.py | a run of the command and how it ends
cli.answers | flows/cli/test_json.py | what a run prints
cli.arguments | flows/cli/test_client_options.py | what a run was told, and what became of it
cli.client | flows/cli/test_request.py | a request of a run, and what became of it
cli.execute | flows/cli/test_exec.py | it becomes another program
cli.json_text | flows/cli/test_request.py | what is seen at a terminal
cli.offers | flows/cli/test_refused_login.py | words for a login that has failed
cli.progress | slow/terminals/test_what_is_seen.py | what is drawn at a terminal
cli.project | flows/cli/test_project_account.py | what a directory asks of a run
cli.report | flows/doctor/test_command.py | what a run prints
cli.sessions | flows/cli/test_refresh.py | it opens what is stored
cli.sources | flows/cli/test_request.py | a file or stdin of a run
cli.storage | flows/cli/test_storing.py | its question is asked at a terminal
cli.streams | slow/terminals/test_trouble.py | streams that a process was not given
cli.token_file | flows/test_static_token.py | a file that becomes a login
cli.trace | flows/cli/test_quiet_and_trace.py | what a run prints
cli.values | flows/cli/test_client_options.py | what a run was told, and what became of it
cli.verbs.__init__ | unit/cli/test_commands.py | one part of what all verbs share
cli.verbs.bridge | slow/interop/test_bridge.py | a verb is a run of the command
cli.verbs.call | flows/cli/test_tools.py | a verb is a run of the command
cli.verbs.client_metadata | slow/terminals/test_client_metadata.py | a verb is a run of the command
cli.verbs.completion | slow/terminals/test_completion.py | a shell reads it
cli.verbs.demo | slow/terminals/test_verbs.py | a verb is a run of the command
cli.verbs.doctor | flows/doctor/test_command.py | a verb is a run of the command
cli.verbs.exec | flows/cli/test_exec.py | a verb is a run of the command
cli.verbs.headers | flows/cli/test_headers.py | a verb is a run of the command
cli.verbs.import_ | slow/terminals/test_import.py | a verb is a run of the command
cli.verbs.list | flows/cli/test_status.py | a verb is a run of the command
cli.verbs.log* | flows/cli/test_refused_login.py | a verb is a run of the command
cli.verbs.refresh | flows/cli/test_refresh.py | a verb is a run of the command
cli.verbs.request | flows/cli/test_request.py | a verb is a run of the command
cli.verbs.status | flows/cli/test_status.py | a verb is a run of the command
cli.verbs.store | slow/fleet/test_command.py | a verb is a run of the command, at a real engine
cli.verbs.token | flows/cli/test_stored_login.py | a verb is a run of the command
cli.verbs.tools | flows/cli/test_tools.py | a verb is a run of the command
doctor.* | flows/doctor/test_faults.py | a fault and its finding, at a server that has it
events | flows/cli/test_quiet_and_trace.py | what a login tells of itself
grants.authorization_code | flows/test_signin.py | a grant is what comes of it
grants.base | flows/test_own_grant.py | a grant of one's own is a part of it
grants.client_credentials | flows/test_unattended.py | a grant is what comes of it
grants.clients | flows/test_client_identity.py | a client is found, registered or refused
grants.enterprise_managed | flows/test_unattended.py | a grant is what comes of it
grants.person | flows/test_signin.py | somebody signs in
grants.probe | flows/test_redirected.py | the first request of a login
grants.revocation | flows/test_logout.py | what a logout asks of a server
grants.workload_identity | flows/test_unattended.py | a grant is what comes of it
keys.assertion_source | flows/test_unattended.py | an assertion is what a grant makes of it
mcp.open_exchange | unit/mcp/test_connection.py | what a connection sends with
prompt.base | flows/test_signin.py | a prompt by its promises
prompt.browser_prompt | flows/test_signin.py | somebody signs in
prompt.device | flows/test_device_code.py | a code on another device
prompt.terminal.* | unit/prompt/terminal/test_reader.py | the reader's two kinds of keys
protocol._authlib | unit/protocol/test_authorization.py | its one use
protocol.dynamic_registration | unit/protocol/test_registration.py | how a client is had
protocol.endpoints | unit/protocol/test_options.py | a part of the options
protocol.gateway | attacks/test_gateway_headers.py | it matters who sees them
protocol.management | flows/test_logout.py | a client is deleted with its login
protocol.json_text | unit/protocol/test_document.py | its reader is that of documents
protocol.registration_errors | unit/protocol/test_registration.py | how a client is not had
protocol.token_set | unit/protocol/test_tokens.py | what it is read from
session.static_token | flows/test_static_token.py | what an operator issued by hand
session.* | unit/session/test_session_stored.py | its parts decide for one session, as a whole
web.split_login | flows/test_split_login.py | two halves of what `login` is in one
storage.keyring_thread | unit/storage/test_keyring.py | where the keyring is called
storage.memory | unit/storage/test_storage.py | one of the backends that keep the same promises
storage.engine | slow/fleet/test_laws.py | a law is a law at a real engine
storage.leases | slow/fleet/test_laws.py | a law is a law at a real engine
storage.records | slow/fleet/test_laws.py | a law is a law at a real engine
storage.shared | slow/fleet/test_laws.py | a law is a law at a real engine
storage.settings | unit/storage/test_placement.py | where a storage is named
testing.__main__ | slow/test_demo_process.py | the server as a process
testing.identity_provider | flows/test_unattended.py | who signs for a grant
testing.rpc | unit/testing/test_mcp_server.py | a part of the MCP server
testing.sessions | unit/testing/test_mcp_server.py | a part of the MCP server
testing.tools | unit/testing/test_mcp_server.py | a part of the MCP server
testing.trusted_assertions | flows/test_unattended.py | whom a server trusts
testing.* | unit/testing/test_authorization_server.py | a part of the authorization server
web.logins | flows/test_web.py | users of an application sign in
transport.addresses | attacks/test_address_rebinding.py | addresses that nobody may be sent to
transport.tls | flows/test_mutual_tls.py | certificates of a server and of a client
transport.* | unit/transport/test_http.py | a part of one request
"""
ROWS = [line.split(" | ") for line in ELSEWHERE.strip().splitlines()]


def modules_of(room: Path) -> set[str]:
    """The names that a test of this room may have: without the `_` of `_authlib` and `login_`."""
    here = {file.stem.strip("_") for file in room.glob("*.py")} - {"init"}
    return here | ({room.name} if (room / "__init__.py").exists() else set())


def strays(package: Path, unit: Path) -> Iterator[str]:
    """Tests without a module."""
    for test in sorted(unit.rglob("test_*.py")):
        place = test.parent.relative_to(unit)
        name = test.stem.removeprefix("test_")
        known = modules_of(package / place)
        if not any(name == module or name.startswith(f"{module}_") for module in known):
            yield (place / test.name).as_posix()


def test_every_unit_test_has_its_module() -> None:
    assert list(strays(PACKAGE, UNIT)) == []


def without_a_test(package: Path, unit: Path) -> Iterator[str]:
    """Modules with code of their own; `a.__init__` is tested as `a/test_a.py`."""
    for file in sorted(package.rglob("*.py")):
        name = file.parent.name if file.stem == "__init__" else file.stem.strip("_")
        here = unit / file.parent.relative_to(package)
        makes = (ast.FunctionDef, ast.ClassDef)
        made = [node for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, makes)]
        code = {node.name for node in made} - {"__getattr__", "__dir__"}  # lead elsewhere
        tests = [*here.glob(f"test_{name}.py"), *here.glob(f"test_{name}_*.py")]
        if (code or file.stem == "__main__") and not tests:
            yield ".".join(file.relative_to(package).with_suffix("").parts)


def row_of(module: str) -> list[str]:
    """The first row that fits, as the file that tests it and why; empty if there is none."""
    return next((rest for pattern, *rest in ROWS if fnmatch(module, pattern)), [])


@cache
def bare() -> list[str]:
    """The package's modules without a test."""
    return list(without_a_test(PACKAGE, UNIT))


def test_every_module_has_its_unit_test_or_a_row() -> None:
    assert [name for name in bare() if not row_of(name)] == []


def test_a_row_is_needed_and_names_a_test() -> None:
    rows = {name: row_of(name) for name in bare()}
    for pattern, test, why in ROWS:
        needed = [name for name, row in rows.items() if row == [test, why]]
        assert [name for name in needed if fnmatch(name, pattern)], (pattern, "has its test")
        assert "def test_" in (ROOT / "tests" / test).read_text("utf-8"), (pattern, test)


def test_a_module_without_a_test_is_seen(tmp_path: Path) -> None:
    package, unit = tmp_path / "package", tmp_path / "unit"
    for place in (package / "room", unit / "room"):
        place.mkdir(parents=True)
    for name in ("room/here.py", "room/there.py", "room/__init__.py"):
        (package / name).write_text("def code(): ...")
    (package / "room" / "empty.py").write_text("VALUE = 1")
    (unit / "room" / "test_here_and_now.py").touch()
    assert list(without_a_test(package, unit)) == ["room.__init__", "room.there"]


@pytest.mark.parametrize(
    ("name", "stray"),
    [
        ("protocol/test_tokens.py", False),
        ("protocol/test_tokens_refreshed.py", False),
        ("protocol/test_protocol.py", False),
        ("protocol/test_authlib.py", False),
        ("protocol/test_token.py", True),
        ("test_tokens.py", True),
        ("grants/test_tokens.py", True),
    ],
)
def test_a_test_without_a_module_is_seen(name: str, stray: bool, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert list(strays(PACKAGE, tmp_path)) == ([name] if stray else [])
