"""Imports point down only, with one level for each module, so that no cycle can form."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mcp_client_auth

PACKAGE = Path(mcp_client_auth.__file__).parent
# The rooms of the package, top to bottom. Those on one line do not import each other.
ROOMS = """
    __main__
    web
    api extending
    cli
    adapters doctor mcp
    session
    grants
    keys storage
    prompt transport
    credential
    paths protocol
    threads
    events
    errors
    origin
    environment testing
    secret
"""
# The modules of each room, top to bottom. A new module needs a place here.
INSIDE = {
    "cli": """
        verbs.client_metadata verbs.doctor
        examination
        report verbs.import_ verbs.status
        other_clients
        __init__
        verbs.bridge verbs.call verbs.headers verbs.list verbs.login verbs.logout verbs.refresh
        verbs.store verbs.token verbs.tools
        answers offers
        flags token_file verbs.completion verbs.demo verbs.exec verbs.request
        commands tools
        client
        sessions
        arguments
        project servers
        mcp_configs
        mcp_remote_words
        mcp_remote progress values
        bridge_configs describe execute host_prompt json_text listening quick sources stdio storage
        streams trace verbs
        quick_keyring
    """,
    "adapters": """
        mcp_sdk
        aiohttp httpx requests urllib3
        __init__ authorizer
        rpc
    """,
    "mcp": """
        __init__
        bridge relay
        mirroring
        serving tools
        upstream
        connection
        older
        open_exchange
        introduced lines
        exchange
        events offers patience
        gate messages
    """,
    "doctor": """
        formats.html formats.junit formats.markdown formats.sarif
        formats
        __init__
        clients.check
        clients.rules clients.trial
        clients.look clients.ways
        clients.seen
        issuer resource
        endpoints person
        client_metadata
        challenge connections cors machine metadata_places methods registration
        stored_login walk
        exam
        products report
        clients.verdict faults
        clients.facts remedies
        remedies.challenge remedies.connections remedies.cors remedies.documents
        remedies.endpoints remedies.issuer remedies.registration remedies.tokens
        clients remedies.row
    """,
    "testing": """
        __init__ __main__ plugin
        secrecy
        server
        authorization_server identity_provider
        client_authentication mcp_server token_endpoint
        assertions device_endpoint pages registration tools
        browser ledger proofs redirects sessions trusted_assertions
        journal
        changed_answers discovery_document faults html_forms rpc secret_service serving settings
    """,
    "web": """
        logins
        split_login
        __init__
    """,
    "session": """
        open
        session
        split_login step_up
        login logout static_token
        login_required
        renewal
        acceptance cooldown provider
        decision steps unauthorized
        store_tokens
        audit notes
        knowledge lease single_flight
        turns
    """,
    "grants": """
        identity_provider selection
        authorization_code
        device_code enterprise_managed
        client_credentials pending workload_identity
        unattended
        clients person probe revocation static_token
        login
        base
        gathering retry
    """,
    "keys": """
        assertion_source client_key dpop_key
    """,
    "transport": """
        __init__
        http
        ahead
        flow
        guarded
        exchange racing
        pools
        connect
        addresses answers faults sender tls
    """,
    "prompt": """
        console notebook
        browser_prompt device paste
        base loopback terminal.reader
        callback_advice open_browser page race screen short_address terminal.posix terminal.windows
        terminal.line
        __init__ terminal
    """,
    "storage": """
        __init__
        placement
        keyring postgres redis
        shared
        leases records
        file keys memory
        store
        sealed
        settings
        index keyring_thread
        backend
        engine groups keyring_backends plugin_output
        directory
    """,
    "protocol": """
        device
        pushed tokens
        authorization client_auth client_choice client_document dynamic_registration
        management redirects
        registration
        dpop registration_errors scopes
        discovery
        absence
        id_token metadata oauth_error probe
        document times
        assertions
        _authlib challenge client flow jose json_text options token_set
        endpoints frozen gateway urls
    """,
}
# They use the package as its users do: its public names load what they need.
FRONT = {"api", "web", "adapters", "mcp", "cli", "doctor", "testing", "__main__"}
EDGES = {"keys", "prompt", "storage", "transport"}
WORLD = {
    "asyncio", "concurrent", "datetime", "http", "httpx", "httpx2", "keyring", "logging", "os",
    "pathlib", "random", "secrets", "select", "shutil", "signal", "socket", "ssl", "subprocess",
    "sys", "tempfile", "threading", "time", "uuid", "webbrowser",
}  # fmt: skip
MAKERS = {
    "ResourceMetadata": {"protocol/metadata.py"},
    "ServerMetadata": {"protocol/metadata.py", "grants/pending.py"},  # and from a sealed text
    "AuthorizationRequest": {"protocol/authorization.py", "grants/pending.py"},
    "AuthorizationCode": {"protocol/authorization.py"},
    "TokenSet": {"protocol/tokens.py", "credential.py"},  # from an answer, and from a record
    "DeviceAuthorization": {"protocol/device.py"},
    "Challenge": {"protocol/challenge.py"},
}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def levels(plan: str) -> dict[str, int]:
    rows = [line.split() for line in plan.strip().splitlines()]
    return {name: len(rows) - row for row, names in enumerate(rows) for name in names}


def module_of(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def place_of(module: str) -> tuple[str, str]:
    room, _, inside = module.partition(".")
    return room, inside or "__init__"


FLOOR = levels(ROOMS)
LEVEL = {room: levels(plan) for room, plan in INSIDE.items()}
OURS = [file for file in FILES if file != "__init__.py"]
MODULES = {module_of(file) for file in FILES}
PACKAGES = {module.partition(".")[0] for module in MODULES if "." in module}


@cache
def tree_of(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text("utf-8"))


def imports(file: str) -> Iterator[str]:
    """The absolute name of every import, also of those inside functions and for types only."""
    package = ["mcp_client_auth", *file.split("/")[:-1]]
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield full if full.removeprefix("mcp_client_auth.") in MODULES else module


def files_of(room: str) -> list[str]:
    return [file for file in OURS if file.startswith(f"{room}/")]


def world_of(file: str) -> set[str]:
    """What a module imports from `WORLD`."""
    return {module.partition(".")[0] for module in imports(file)} & WORLD


@cache
def imported(file: str) -> frozenset[str]:
    """The modules of the package that a file imports."""
    names = {name.removeprefix("mcp_client_auth.") for name in imports(file)}
    return frozenset(names & MODULES - {module_of(file), "__init__"})


def test_every_module_has_one_place() -> None:
    places = {file: place_of(module_of(file)) for file in OURS}
    assert [file for file, (room, _) in places.items() if room not in FLOOR] == []
    inner = [(file, place) for file, place in places.items() if place[1] != "__init__"]
    assert [file for file, (room, inside) in inner if inside not in LEVEL[room]] == []


def test_imports_point_down_only() -> None:
    arrows = [(file, module) for file in OURS for module in sorted(imported(file))]
    assert len(arrows) > 500
    assert [arrow for arrow in arrows if not points_down(*arrow)] == []


def points_down(file: str, module: str) -> bool:
    (own, inside), (room, there) = place_of(module_of(file)), place_of(module)
    if room != own:
        return FLOOR[room] < FLOOR[own]
    order = LEVEL.get(room, {})
    return inside not in order or there not in order or order[there] < order[inside]


def test_only_the_front_uses_the_public_names() -> None:
    behind = [file for file in OURS if place_of(module_of(file))[0] not in FRONT]
    assert [file for file in behind if "mcp_client_auth" in imports(file)] == []


@pytest.mark.parametrize("room", sorted(PACKAGES))
def test_no_room_has_a_circle(room: str) -> None:
    inside = {module_of(file): imported(file) for file in files_of(room)}
    graph = {module: used & inside.keys() for module, used in inside.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("edge", sorted(EDGES))
def test_an_edge_does_not_know_another_edge(edge: str) -> None:
    known = {file: {place_of(module)[0] for module in imported(file)} for file in files_of(edge)}
    assert [file for file, rooms in known.items() if rooms & EDGES - {edge}] == []


def test_the_protocol_has_no_clock_no_chance_and_no_io() -> None:
    forbidden = {"open", "print", "input", "global"}
    for file in files_of("protocol"):
        assert world_of(file) == set(), file
        names = {node.id for node in ast.walk(tree_of(file)) if isinstance(node, ast.Name)}
        assert names & forbidden == set(), file


# What a grant may import from the world; everything else comes through its ports.
TAKEN = {
    "grants/base.py": {"secrets", "time"},  # the defaults of the ports
    "grants/device_code.py": {"threading"},  # one that polls beside a browser
    "grants/gathering.py": {"threading"},  # a lock
}


def test_a_grant_touches_the_world_through_its_ports() -> None:
    assert {file: world_of(file) for file in files_of("grants") if world_of(file)} == TAKEN


GRANTS = {"BrowserSignIn", "ClientCredentials", "DeviceCode", "EnterpriseManaged", "PersonGrant"}
GRANTS |= {"ProviderSignIn", "SignedIn", "StoredGrant", "UnattendedGrant", "WorkloadIdentity"}
IDENTITIES = {"PreRegistered", "ClientMetadataDocument"}


def test_no_one_asks_a_grant_or_an_identity_for_its_class() -> None:
    """What callers need to know is a member of the class."""
    deciding = [*files_of("adapters"), *files_of("grants"), *files_of("session"), "api.py"]
    checks = [
        f"{file}: {ast.unparse(node)}"
        for file in deciding
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "isinstance"
        and {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        & (GRANTS | IDENTITIES)
    ]
    assert checks == []


@pytest.mark.parametrize("value", MAKERS)
def test_only_its_reader_makes_a_checked_value(value: str) -> None:
    ours = [file for file in FILES if not file.startswith("testing/")]  # it has words of its own
    assert {file for file in ours if value in called(file)} == MAKERS[value]


@cache
def called(file: str) -> frozenset[str]:
    calls = [node.func for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)]
    return frozenset(
        call.id if isinstance(call, ast.Name) else call.attr
        for call in calls
        if isinstance(call, ast.Name | ast.Attribute)
    )
