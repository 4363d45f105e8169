"""What version 0.1.0 wrote is read, renewed and deleted, and `--json` answers as it did then.

The files in `tests/data/0.1.0` never change. The tests go through the command and public names.
"""

from __future__ import annotations

import json
import ssl
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.jwk import ECKey
from keyring.backend import KeyringBackend

from mcp_client_auth import (
    AuthorizationDenied,
    FileStorage,
    HttpTransport,
    Key,
    KeyringStorage,
    MCPAuth,
    Options,
)
from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.hostile import Exchange, World
from tests.support.inside import Inside, Ran
from tests.support.ports import await_port
from tests.support.public_hosts import Named, Person, PublicHosts
from tests.support.python_path import ROOT

DATA: Final = ROOT / "tests" / "data" / "0.1.0"
KINDS: Final = ("file", "sealed", "keyring", "keyring-sealed")
USER: Final = "mcp-client-auth"
# Fields added to `--json` since then. None may go, or change its type.
ADDED: Final = (
    ".login.issued_by_hand",
    ".logins[].issued_by_hand",
    ".login.refused",
    ".logins[].refused",
    ".verdict",
    *(f".findings[].{name}" for name in ("fault", "paste", "where", "why", "unproven")),
    ".clients",
    ".changes",
    ".reports",
)
# What scenes say about their error now, if it was changed on purpose, and why.
PROXY: Final = {"code": "proxy"}  # if it is the proxy that fails, it is named
CHANGED: Final[dict[str, dict[str, Any]]] = {
    "login-elsewhere": PROXY,
    "refresh": PROXY,
    "token-that-cannot-be-renewed-now": PROXY,
}


# Removed options, and what has the same effect in their scene: here another registration.
GONE: Final = {"--new-client": ("--redirect-uri", "http://127.0.0.1/again")}


class Vault(KeyringBackend):
    """A keyring with the items of a fixture."""

    priority = 5

    def __init__(self, items: list[dict[str, str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.items = {(item["service"], item["user"]): item["value"] for item in items}

    def get_password(self, service: str, username: str) -> str | None:
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.items[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.items[service, username]


@dataclass
class Left:
    """A home as 0.1.0 left it; `raw` holds its texts, `vault` is its keyring."""

    kind: str
    raw: dict[str, Any]
    vault: Vault
    inside: Inside

    @property
    def home(self) -> Path:
        return self.inside.home / "logins"

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What the index says, read without the product."""
        named = (json.loads(t) for n, t in self.raw["files"].items() if n.endswith(".json"))
        return sorted(named, key=lambda entry: json.dumps(entry["key"]))

    def record(self, key: dict[str, str], file: str) -> dict[str, Any]:
        """One record, read and opened without the product."""
        held = {i["service"]: i["value"] for i in self.raw["keyring"]}
        item = held.get(f"mcp-client-auth:{file}") or self.raw["files"][f"{file}.secret"]
        value: dict[str, Any] = json.loads(item)
        if "seal" in value:
            sealed = json.loads(self.raw["files"][f"{file}.sealed"])
            return opened(sealed, value["seal"], key)
        return opened(value, self.raw["key"], key) if "sealed" in value else value

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """Every record, by the name of its files."""
        names = [n.removesuffix(".json") for n in self.raw["files"] if n.endswith(".json")]
        keys = {name: json.loads(self.raw["files"][f"{name}.json"])["key"] for name in names}
        return {name: self.record(key, name) for name, key in keys.items()}

    def one(self, host: str, account: str = "default") -> dict[str, Any]:
        """The record of the login to this host."""
        [found] = [
            record
            for record in self.records.values()
            if f"//{host}." in record["key"]["server"] and record["key"]["account"] == account
        ]
        return found

    def text_of_all(self) -> str:
        """Everything that is kept now."""
        files = [path.read_text() for path in self.home.iterdir()]
        return "\n".join([*files, *self.vault.items.values()])


def opened(sealed: dict[str, Any], secret: str, key: dict[str, str]) -> dict[str, Any]:
    """AES-256-GCM, bound to the version and to what the record is about."""
    about = [1, "credential", *(key[name] for name in ("server", "account", "grant", "client"))]
    nonce, data = b64decode(sealed["nonce"]), b64decode(sealed["data"])
    text = AESGCM(b64decode(secret)).decrypt(nonce, data, json.dumps(about).encode())
    value: dict[str, Any] = json.loads(text)
    return value


def left(kind: str, inside: Inside, patch: pytest.MonkeyPatch) -> Left:
    raw = json.loads((DATA / f"{kind}.json").read_text())
    home = inside.home / "logins"
    home.mkdir(mode=0o700)
    for name, text in raw["files"].items():
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    patch.delenv("MCP_CLIENT_AUTH_STORAGE")
    patch.setenv("MCP_CLIENT_AUTH_KEY", raw["key"])
    vault = Vault(raw["keyring"])
    patch.setattr("keyring.core._keyring_backend", vault)
    return Left(kind, raw, vault, inside)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Left:
    return left(request.param, inside, monkeypatch)


@pytest.fixture
def files(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Left:
    """The home of plain files, for tests that would be the same with each kind."""
    return left("file", inside, monkeypatch)


@pytest.fixture
def hosts(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublicHosts]:
    """The internet, where no host answers until a test routes one."""
    with PublicHosts(inside.home) as hosts:
        for name, value in hosts.environment.items():
            monkeypatch.setenv(name, value)
        inside.browser = Person(hosts)
        yield hosts


def ok(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran
    return ran.answer


# Reading


def test_every_login_is_listed(home: Left) -> None:
    listed = ok(home.inside("list", "--json"))["logins"]
    assert len(listed) == len(home.entries) >= 30

    def shown(entry: dict[str, Any]) -> list[Any]:
        return [entry[n] for n in ("issuer", "renewable", "storage", "client_id")]

    by_key = {tuple(entry["key"].values()): entry for entry in home.entries}
    assert {(e["server"], e["account"], e["grant"]) for e in listed} == {k[:3] for k in by_key}
    for entry in home.entries:
        key = entry["key"]
        [there] = [
            each
            for each in listed
            if [each[n] for n in ("server", "account", "grant")]
            == [key[n] for n in ("server", "account", "grant")]
            and each["client_id"] == entry["client_id"]
        ]
        assert shown(there) == shown(entry)
        assert there["scopes"] == entry["scope"]


def test_every_record_is_read_as_it_was_written(home: Left) -> None:
    keyring, file = KeyringStorage(), FileStorage()
    records = home.records
    assert len(records) >= 30
    for record in records.values():
        key = Key(**record["key"])
        storages = [found for s in (keyring, file) if (found := s.load(key))]
        assert len(storages) == (2 if "//moved." in key.server else 1), key
        credential, tokens = storages[0], record["tokens"]
        assert credential.key == key
        assert credential.tokens.access_token.reveal() == tokens["access_token"]
        refresh = credential.tokens.refresh_token
        assert (refresh and refresh.reveal()) == tokens["refresh_token"]
        assert credential.tokens.expires_at == tokens["expires_at"]
        assert credential.tokens.scope == (tokens["scope"] and tuple(tokens["scope"]))
        client, secret = record["client"], credential.client.secret
        assert (secret and secret.reveal()) == client["secret"]
        for name in ("client_id", "method", "kind", "issuer"):
            assert getattr(credential.client, name) == client[name]
        assert list(credential.client.redirect_uris) == client["redirect_uris"]
        for name in ("issuer", "token_endpoint", "revocation_endpoint", "resource", "generation"):
            assert getattr(credential, name) == record[name]
        assert dict(credential.options) == record["options"]
        bound = credential.dpop_key
        assert (bound and bound.reveal()) == record.get("dpop_key")


LIVING: Final = (
    ("browser", "default"),
    ("renewed", "default"),
    ("endless", "default"),
    ("basic", "default"),
    ("post", "default"),
    ("managed", "default"),
    ("document", "default"),
    ("assertion", "default"),
    ("device", "default"),
    ("dpop", "default"),
    ("accounts", "work"),
    ("accounts", "home office"),
    ("options", "default"),
    ("endpoints", "default"),
)


def test_a_living_token_is_handed_out_without_a_network(home: Left) -> None:
    for host, account in LIVING:
        url = f"https://{host}.example.com/mcp"
        ran = home.inside("token", url, "--account", account, "--json")
        there = home.one(host, account)["tokens"]["access_token"]
        assert ok(ran)["token"]["access_token"] == there


def test_status_tells_what_has_ended(home: Left) -> None:
    for host in ("ended", "expired", "browser"):
        ran = home.inside("status", f"https://{host}.example.com/mcp", "--json")
        [login] = ran.answer["logins"]
        assert (ran.code, login["renewable"]) == (3 if host == "ended" else 0, host != "ended")
        assert (login["expires_in"] > 0) == (host == "browser")


def test_names_and_the_chosen_storage_are_kept(home: Left, hosts: PublicHosts) -> None:
    [login] = ok(home.inside("status", "work", "--json"))["logins"]
    assert sorted(login["names"]) == ["notes", "work"]
    with Named("another", Settings()) as server:
        server.routed(hosts)
        kept = ok(home.inside("login", server.url, "--json"))["login"]["storage"]
    assert kept == ("keyring" if home.kind.startswith("keyring") else "file")


def test_a_registration_serves_the_next_login(home: Left, hosts: PublicHosts) -> None:
    client = home.one("browser")["client"]
    known = RegisteredClient(client["client_id"], redirect_uris=tuple(client["redirect_uris"]))
    for uri in known.redirect_uris:
        await_port(urlsplit(uri).port or 80)
    with Named("browser", Settings(clients=(known,))) as server:
        server.routed(hosts)
        login = ok(home.inside("login", server.url, "--force", "--json"))["login"]
        assert server.count("/register") == 0
    assert login["client_id"] == client["client_id"]


# Renewing


class Endpoint:
    """Answers token requests for every host, and keeps what it was sent."""

    def __init__(self, world: World) -> None:
        self.forms: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.token_type = "Bearer"
        world.put(world.issuer + "/oauth2/token", self._answer)

    def _answer(self, exchange: Exchange) -> None:
        self.forms.append(exchange.form)
        self.headers.append(dict(exchange.headers))
        token = {"access_token": "renewed", "token_type": self.token_type, "expires_in": 3600}
        exchange.reply(200, json.dumps({**token, "refresh_token": "rotated"}).encode())


@pytest.fixture
def endpoint(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with World() as world:
        port = int(world.issuer.rpartition(":")[2])
        with PublicHosts(inside.home, otherwise=port) as hosts:
            for name, value in hosts.environment.items():
                monkeypatch.setenv(name, value)
            yield Endpoint(world)


RENEWED: Final = {
    "expired": [],
    "expired-basic": [],
    "expired-post": [],
    "expired-managed": [],
    "expired-device": [],
    "expired-dpop": [],
    "expired-assertion": ["--client-id", "key-client", "--client-key-file", "client-key.pem"],
}


@pytest.mark.parametrize("host", RENEWED)
def test_an_expired_login_is_renewed(home: Left, endpoint: Endpoint, host: str) -> None:
    record, url = home.one(host), f"https://{host}.example.com/mcp"
    (home.inside.home / "client-key.pem").write_text((DATA / "client-key.pem").read_text())
    endpoint.token_type = "DPoP" if host == "expired-dpop" else "Bearer"
    words = ["login", url, *RENEWED[host]] if RENEWED[host] else ["token", url]
    ok(home.inside(*words, "--json"))
    [form], [headers] = endpoint.forms, endpoint.headers
    assert form["grant_type"] == "refresh_token"
    assert form["refresh_token"] == record["tokens"]["refresh_token"]
    assert form["resource"] == url
    assert proven(record["client"], form, headers)
    assert ("DPoP" in headers) == (host == "expired-dpop")
    token = ok(home.inside("token", url, "--json"))["token"]
    assert (token["access_token"], len(endpoint.forms)) == ("renewed", 1)
    kept = home.text_of_all()
    assert record["tokens"]["refresh_token"] not in kept


def proven(client: dict[str, Any], form: dict[str, str], headers: dict[str, str]) -> bool:
    """Whether the client has authenticated as its record says."""
    match client["method"]:
        case "none":
            return form["client_id"] == client["client_id"] and "client_secret" not in form
        case "client_secret_post":
            named = form["client_id"] == client["client_id"]
            return named and bool(form["client_secret"] == client["secret"])
        case "client_secret_basic":
            value = headers["Authorization"].removeprefix("Basic ")
            asked = f"{client['client_id']}:{client['secret']}"
            return unquote_plus(b64decode(value).decode()) == asked
        case "private_key_jwt":
            key = ECKey.import_key((DATA / "client-key.pem").read_text())
            claims = jwt.decode(form["client_assertion"], key, algorithms=["ES256"]).claims
            return bool(claims["sub"] == client["client_id"] and claims["aud"] == client["issuer"])
    return False


def test_a_grant_without_a_person_is_asked_again(home: Left, endpoint: Endpoint) -> None:
    url, secret = "https://expired-service.example.com/mcp", home.inside.home / "secret"
    secret.write_text("the secret of a client")
    grant = ["--grant", "client_credentials", "--client-id", "the-service"]
    more = ["--client-secret-file", str(secret), "--client-auth-method", "client_secret_basic"]
    token = ok(home.inside("token", url, *grant, *more, "--json"))["token"]
    assert token["access_token"] == "renewed"
    assert [form["grant_type"] for form in endpoint.forms] == ["client_credentials"]


# Ending


def test_one_logout_deletes_one_login(home: Left) -> None:
    record = home.one("accounts", "work")
    url = record["key"]["server"]
    [done] = ok(home.inside("logout", url, "--account", "work", "--local", "--json"))["logged_out"]
    assert done["found"] is True
    assert home.inside("token", url, "--account", "work").code == 3
    assert home.inside("token", url).code == 0
    assert record["tokens"]["refresh_token"] not in home.text_of_all()


def test_logout_of_all_leaves_no_token(home: Left) -> None:
    records = home.records.values()
    ran = home.inside("logout", "--all", "--yes", "--local", "--json")
    assert len(ok(ran)["logged_out"]) == len(records)
    assert ok(home.inside("list", "--json"))["logins"] == []
    kept = home.text_of_all()
    for record in records:
        assert record["tokens"]["access_token"] not in kept
        assert (record["tokens"]["refresh_token"] or "\0") not in kept
    services = {service for service, _ in home.vault.items}
    assert not services & {f"mcp-client-auth:{file}" for file in home.records}


def test_what_was_left_in_the_other_storage_is_deleted_with_its_login(home: Left) -> None:
    if not home.kind.startswith("keyring"):
        assert not any("//moved." in entry["key"]["server"] for entry in home.entries)
        return
    [file] = [n for n, r in home.records.items() if "//moved." in r["key"]["server"]]
    assert (home.home / f"{file}.secret").exists()
    ok(home.inside("logout", "https://moved.example.com/mcp", "--local", "--json"))
    assert not (home.home / f"{file}.secret").exists()
    assert (f"mcp-client-auth:{file}", USER) not in home.vault.items


# Notes


def test_a_refused_login_is_remembered_while_it_is_fresh(files: Left, hosts: PublicHosts) -> None:
    """The note is about a login that the person denied in the browser."""
    [note] = files.home.glob("*.cooling.note")
    told = json.loads(note.read_text())
    told["login"]["until"] = time.time() + 30
    note.write_text(json.dumps(told))
    with Named("denied", Settings()) as server:
        transport = HttpTransport(server.routed(hosts).url, verify=hosts.ca, proxy=hosts.proxy)
        auth = MCPAuth(server.url, transport=transport)
        with (
            httpx.Client(auth=auth, verify=trusting(hosts), proxy=hosts.proxy) as client,
            pytest.raises(AuthorizationDenied, match="the person said no"),
        ):
            client.post(server.url, json={})
    assert files.inside.browser.visits == 0


def trusting(hosts: PublicHosts) -> Any:
    return ssl.create_default_context(cafile=hosts.ca)


def test_a_login_that_failed_long_ago_keeps_nobody_from_the_next(
    files: Left, hosts: PublicHosts
) -> None:
    texts = [json.loads(text) for n, text in files.raw["files"].items() if n.endswith(".secret")]
    [client] = [each for each in texts if each.get("issuer", "").startswith("https://denied-")]
    known = RegisteredClient(client["client_id"], redirect_uris=tuple(client["redirect_uris"]))
    for uri in known.redirect_uris:
        await_port(urlsplit(uri).port or 80)
    with Named("denied", Settings(clients=(known,))) as server:
        server.routed(hosts)
        assert ok(files.inside("login", server.url, "--json"))["already"] is False


def test_a_record_that_comes_back_after_its_logout_is_dead(files: Left) -> None:
    """An abandoned write may still arrive late; the logout has left a marker in the home."""
    [grave] = files.home.glob("*.deleted")
    record = files.one("browser")
    server = "https://gone.example.com/mcp"
    late = {**record, "key": {**record["key"], "server": server}}
    path = grave.with_suffix(".secret")
    path.write_text(json.dumps(late))
    assert files.inside("token", server, "--json").code == 3
    assert not path.exists()


# The answers


def fields(value: Any, where: str = "") -> dict[str, set[str]]:
    """The types at each place; the elements of a list share one place."""
    places = {where: {type(value).__name__}}
    if isinstance(value, dict):
        inside = [fields(each, f"{where}.{name}") for name, each in value.items()]
    else:
        inside = [fields(each, f"{where}[]") for each in value] if isinstance(value, list) else []
    for each in inside:
        for place, types in each.items():
            places[place] = places.get(place, set()) | types
    return places


def compare(scene: dict[str, Any], name: str, ran: Ran) -> None:
    now: Any = json.loads(ran.out) if ran.out else None
    assert ran.code == scene["exit_code"], ran.err
    before, after = fields(scene["answer"]), fields(now)
    assert {place: after.get(place) for place in before} == before
    new = [place for place in after if place not in before and not is_added(place)]
    assert not new, "name them in ADDED"
    if ".error" in before:
        expected = {**scene["answer"]["error"], **CHANGED.get(name, {})}
        for field in ("type", "code", "exit_code"):
            assert now["error"][field] == expected[field]


def is_added(place: str) -> bool:
    return any(place == each or place.startswith((each + ".", each + "[")) for each in ADDED)


OFFLINE: Final = sorted(path.stem for path in (DATA / "answers" / "offline").iterdir())
ONLINE: Final = sorted(path.stem for path in (DATA / "answers" / "online").iterdir())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a fault to pass."""
    made = Options.__init__

    def hasty(self: Options, *given: Any, **named: Any) -> None:
        made(self, *given, **{"patience": 0.0, **named})

    monkeypatch.setattr(Options, "__init__", hasty)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", OFFLINE)
def test_an_answer_without_a_network(
    files: Left, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    scene = json.loads((DATA / "answers" / "offline" / f"{name}.json").read_text())
    monkeypatch.setenv("MCP_CLIENT_AUTH_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "file")
    odd = {"damaged": '{"version": 1, "key": {', "newer": '{"version": 9}'}
    for host, text in odd.items():
        files.inside.record(f"https://{host}.example.com/mcp").write_text(text)
    compare(scene, name, files.inside(*scene["words"], "--json"))


@pytest.mark.usefixtures("impatient")
def test_the_answers_of_a_life_before_a_server(inside: Inside) -> None:
    with DemoServer() as server:
        addresses = {
            "http://127.0.0.1:8001": server.url.removesuffix("/mcp"),
            "http://127.0.0.1:8002": server.issuer,
        }
        for name in ONLINE:
            scene = json.loads((DATA / "answers" / "online" / f"{name}.json").read_text())
            inside.browser.decision = "allow"
            happen(scene["before"], server, inside)
            words = scene["words"]
            for then, now in addresses.items():
                words = [word.replace(then, now) for word in words]
            words = [now for word in words for now in GONE.get(word, (word,))]
            compare(scene, name, inside(*words, "--json"))


def happen(before: list[Any], server: DemoServer, inside: Inside) -> None:
    match before:
        case ["fail", suffix, status, body, headers]:
            told = body.replace("{url}", server.url).encode()
            server.fail_next(suffix, status, 1, told, headers.items())
        case ["revoke"]:
            server.revoke_everything()
        case ["decide", decision]:
            inside.browser.decision = decision
