"""Wrote the files beside it, with version 0.1.0 of the product (commit e50588a).

They are what that version left behind on people's machines, so they are never written anew:
this script stays as the account of how they came to be. It runs with that commit's package and
`tests/support` only: PYTHONPATH=tests/support python tests/data/0.1.0/write.py TARGET
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import keyring
import pytest
from hostile import World, challenge, tokens
from hostile import document as answered
from inside import Inside, Ran
from key_samples import pem, public_pem
from keyring.backend import KeyringBackend
from public_hosts import Named, Person, PublicHosts

from mcp_client_auth import (
    AuthError,
    DeviceCode,
    DevicePrompt,
    EnterpriseManaged,
    HttpTransport,
    MCPAuth,
    PreRegistered,
    StorageError,
    login,
)
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.index import Index
from mcp_client_auth.storage.keyring_thread import SHARED
from mcp_client_auth.testing import (
    DemoServer,
    IdentityProvider,
    RegisteredClient,
    Settings,
)

LASTING = 2_000_000_000  # seconds, of which the product believes ten years
FOLDER = Path("/var/tmp/mcp-client-auth-0.1.0")  # where the client's key lay
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SECRET = "the secret of a client"
CALLBACK = ("http://127.0.0.1/callback",)
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class Vault(KeyringBackend):
    """Items in memory, as a keyring keeps them."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.items[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.items[service, username]

    def dump(self) -> list[dict[str, str]]:
        return [{"service": s, "user": u, "value": v} for (s, u), v in sorted(self.items.items())]


class SmallVault(Vault):
    """As little as Windows takes; what is larger is sealed in a file."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password.encode("utf-16-le")) > 2560:
            raise RuntimeError(1783, "CredWrite", "The stub received bad data")
        super().set_password(service, username, password)


# of these the product knows that they take a record of any size
Vault.__module__ = "keyring.backends.SecretService"


@dataclass
class Place:
    """One home that is being filled."""

    inside: Inside
    hosts: PublicHosts

    @contextmanager
    def server(self, name: str, **settings: Any) -> Iterator[Named]:
        usual = {"access_token_seconds": LASTING}
        with Named(name, Settings(**{**usual, **settings})) as server:
            server.routed(self.hosts)
            yield server

    def run(self, *words: str, code: int = 0) -> Ran:
        ran = self.inside(*words, **self.hosts.environment, MCP_CLIENT_AUTH_TIMEOUT="20")
        assert ran.code == code, (words, ran)
        self.inside.browser.join(60)
        return ran

    def secret_file(self) -> str:
        path = self.inside.home / "secret"
        path.write_text(SECRET)
        return str(path)

    def transport(self, server: DemoServer) -> HttpTransport:
        return HttpTransport(server.url, verify=self.hosts.ca, proxy=self.hosts.proxy)


def browser(place: Place) -> None:
    with place.server("browser") as server:
        place.run("login", server.url, "--name", "notes")


def renewed(place: Place) -> None:
    """The second generation of a record."""
    with place.server("renewed") as server:
        place.run("login", server.url)
        place.run("refresh", server.url)


def expired(place: Place) -> None:
    with place.server("expired", access_token_seconds=1) as server:
        place.run("login", server.url, "--name", "old")


def ended(place: Place) -> None:
    """Expired, and without a refresh token."""
    few = {"offline_access": False, "refresh_always": False}
    with place.server("ended", access_token_seconds=1, **few) as server:
        place.run("login", server.url)


def endless(place: Place) -> None:
    """The server does not say how long the token lives, nor for what."""
    with place.server("endless") as server:
        answer = {"access_token": server.mint_token(), "token_type": "bearer"}
        server.fail_next("/token", 200, 1, json.dumps(answer).encode())
        place.run("login", server.url)


def registered(place: Place) -> None:
    """A client that the operator registered, with a secret."""
    for name, method in (("basic", "client_secret_basic"), ("post", "client_secret_post")):
        client = RegisteredClient(f"the-{name}-client", SECRET, method, CALLBACK)  # type: ignore[arg-type]
        for seconds in (LASTING, 1):
            host = name if seconds > 1 else f"expired-{name}"
            with place.server(host, clients=(client,), access_token_seconds=seconds) as server:
                given = ["--client-id", client.client_id, "--client-auth-method", method]
                place.run("login", server.url, *given, "--client-secret-file", place.secret_file())


def library(place: Place) -> None:
    """The same as a program logs in: a login of its own, under the client's id."""
    client = RegisteredClient("the-app", SECRET, "client_secret_basic", CALLBACK)
    with place.server("library", clients=(client,)) as server:
        login(
            server.url,
            client=PreRegistered("the-app", SECRET, "client_secret_basic"),
            transport=place.transport(server),
        )


def secret_registered(place: Place) -> None:
    """A registration that is answered with a secret, and can be deleted."""
    more: dict[str, Any] = {
        "registration_method": "client_secret_post",
        "registration_management": True,
    }
    for host, seconds in (("managed", LASTING), ("expired-managed", 1)):
        with place.server(host, access_token_seconds=seconds, **more) as server:
            place.run("login", server.url)


def document(place: Place) -> None:
    with place.server("document", client_id_metadata_documents=True) as server:
        url = "https://apps.example.com/client.json"
        place.run("login", server.url, "--client-metadata-url", url)


def assertion(place: Place) -> None:
    """private_key_jwt; the record holds the path of the key."""
    path = FOLDER / "client-key.pem"
    path.write_text(pem("P-256"))
    client = RegisteredClient(
        "key-client", None, "private_key_jwt", CALLBACK, public_key=public_pem("P-256")
    )
    for host, seconds in (("assertion", LASTING), ("expired-assertion", 1)):
        with place.server(host, clients=(client,), access_token_seconds=seconds) as server:
            given = ["--client-id", "key-client", "--client-key-file", str(path)]
            place.run("login", server.url, *given)


def device(place: Place) -> None:
    settings = {"device_authorization": True, "device_interval": 1}
    for host, seconds in (("device", LASTING), ("expired-device", 1)):
        with place.server(host, access_token_seconds=seconds, **settings) as server:
            login(
                server.url,
                grant=DeviceCode(),
                prompt=DevicePrompt(lambda asked, server=server: server.decide_device() and None),  # type: ignore[misc]
                transport=place.transport(server),
            )


def client_credentials(place: Place) -> None:
    client = RegisteredClient("the-service", SECRET, "client_secret_basic")
    settings = {"client_credentials": True, "clients": (client,)}
    for host, seconds in (("service", LASTING), ("expired-service", 1)):
        with place.server(host, access_token_seconds=seconds, **settings) as server:
            place.run(
                *("token", server.url, "--grant", "client_credentials"),
                *("--client-id", "the-service", "--client-secret-file", place.secret_file()),
                *("--client-auth-method", "client_secret_basic"),
            )


def workload_identity(place: Place) -> None:
    with (
        IdentityProvider() as provider,
        place.server("workload", trusted_issuers=(provider.trusted,)) as server,
    ):
        file = FOLDER / "assertion"
        file.write_text(provider.workload_token(server.issuer, "the-workload", 300))
        given = ["--grant", "workload_identity", "--assertion-file", str(file)]
        place.run("token", server.url, *given)


def enterprise_managed(place: Place) -> None:
    at_provider = RegisteredClient("at-the-provider", SECRET, "client_secret_basic")
    at_server = RegisteredClient("at-the-server", SECRET, "client_secret_basic")
    with IdentityProvider([at_provider], client_at="at-the-server") as provider:
        known: dict[str, Any] = {"trusted_issuers": (provider.trusted,), "clients": (at_server,)}
        with place.server("enterprise", **known) as server:
            place.hosts.route("idp.example.com", int(provider.issuer.rpartition(":")[2]))
            grant = EnterpriseManaged(
                assertion=provider.id_token("at-the-provider", "ada", 300),
                idp_client=PreRegistered("at-the-provider", SECRET, "client_secret_basic"),
                idp_token_endpoint="https://idp.example.com/token",
            )
            login(
                server.url,
                grant=grant,
                client=PreRegistered("at-the-server", SECRET, "client_secret_basic"),
                transport=place.transport(server),
            )


def dpop(place: Place) -> None:
    for host, seconds in (("dpop", LASTING), ("expired-dpop", 1)):
        with place.server(host, access_token_seconds=seconds, dpop="required") as server:
            place.run("login", server.url, "--dpop")


def accounts(place: Place) -> None:
    with place.server("accounts") as server:
        for label in ("default", "work", "home office"):
            place.run("login", server.url, "--account", label)


def options(place: Place) -> None:
    """What a login was told is kept with it."""
    with place.server("options") as server:
        place.run(
            *("login", server.url, "--issuer", server.issuer, "--resource", server.url),
            *("--audience", "https://audience.example.com", "--login-hint", "ada"),
            *("--scope", "notes:read notes:write", "--refresh-scope", "--assume-pkce-s256"),
            *("--allow-private-addresses", "--client-name", "A program of Ada's"),
        )


def endpoints(place: Place) -> None:
    """An authorization server without metadata."""
    client = RegisteredClient("known", None, "none", CALLBACK)
    with place.server("endpoints", clients=(client,)) as server:
        named = {name: f"{server.issuer}/oauth2/{name}" for name in ("token", "authorize")}
        place.run(
            *("login", server.url, "--issuer", server.issuer, "--client-id", "known"),
            *("--endpoint", f"authorization={named['authorize']}"),
            *("--endpoint", f"token={named['token']}"),
        )


def no_resource(place: Place) -> None:
    """A server that is to be sent no resource, which the demo server would not have."""
    with World() as world:
        for host, here in ((0, world.origin), (1, world.issuer)):
            name = ("no-resource.example.com", "no-resource-login.example.com")[host]
            place.hosts.route(name, int(here.rpartition(":")[2]))
        world.url = "https://no-resource.example.com/tenant/mcp"
        world.issuer = "https://no-resource-login.example.com"
        place_of = "https://no-resource.example.com/.well-known/oauth-protected-resource/tenant/mcp"
        world.at("probe", challenge(place_of))
        world.at("resource", answered(world.resource_metadata()))
        world.at("server", answered(world.server_metadata()))
        world.at("token", answered(tokens(expires_in=LASTING)))
        place.run("login", world.url, "--resource", "")


def denied(place: Place) -> None:
    """The person said no: a note that keeps the next program from asking at once."""
    with place.server("denied") as server:
        place.inside.browser.decision = "deny"
        auth = MCPAuth(server.url, transport=place.transport(server))
        trusted = ssl.create_default_context(cafile=place.hosts.ca)
        with httpx.Client(auth=auth, verify=trusted, proxy=place.hosts.proxy) as client:
            try:
                client.post(server.url, json=LIST)
            except AuthError:
                place.inside.browser.decision = "allow"
            else:
                raise AssertionError("the person said no")


def gone(place: Place) -> None:
    """Logged out: what is left is the word that nothing of it may come back."""
    with place.server("gone") as server:
        place.run("login", server.url)
        place.run("logout", server.url)


def mended(place: Place) -> None:
    """A damaged record was set aside by the login that replaced it."""
    if os.environ["MCP_CLIENT_AUTH_STORAGE"] != "file":
        return
    with place.server("mended") as server:
        place.run("login", server.url)
        place.inside.record(server.url).write_text('{"version": 1, "key": {')
        place.run("login", server.url, "--force")


def moved(place: Place) -> None:
    """From a file into the keyring, when the file could not be removed at once."""
    if os.environ["MCP_CLIENT_AUTH_STORAGE"] == "file":
        return
    with place.server("moved") as server:
        place.run("login", server.url, "--store", "file")
        with patch.object(FileStorage, "delete", side_effect=StorageError("a test")):
            place.run("login", server.url, "--store", "keyring", "--force")
    with place.server("in-a-file") as server:
        place.run("login", server.url, "--store", "file")


def settings(place: Place) -> None:
    Index().choose("file" if os.environ["MCP_CLIENT_AUTH_STORAGE"] == "file" else "keyring")
    place.run("login", "https://browser.example.com/mcp", "--name", "work")


LOGINS: list[Callable[[Place], None]] = [
    browser,
    renewed,
    expired,
    ended,
    endless,
    registered,
    library,
    secret_registered,
    document,
    assertion,
    device,
    client_credentials,
    workload_identity,
    enterprise_managed,
    dpop,
    accounts,
    options,
    endpoints,
    no_resource,
    denied,
    gone,
    mended,
    moved,
    settings,
]


@contextmanager
def scratch() -> Iterator[tuple[Inside, pytest.MonkeyPatch]]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        for name in ("CI", "BROWSER", "MCP_CLIENT_AUTH_KEY", "MCP_CLIENT_AUTH_KEY_FILE"):
            patched.delenv(name, raising=False)
        here = Path.cwd()
        yield Inside(Path(folder), patched), patched
        os.chdir(here)


def write_home(target: Path, vault: Vault | None = None, key: str = "") -> None:
    """One home as one file: the texts of its files, and the items of its keyring."""
    with scratch() as (inside, patched), PublicHosts(inside.home) as hosts:
        SHARED.reset()
        if vault is not None:
            patched.setenv("MCP_CLIENT_AUTH_STORAGE", "keyring")
            keyring.set_keyring(vault)
        if key:
            patched.setenv("MCP_CLIENT_AUTH_KEY", key)
        inside.browser = Person(hosts)
        for write in LOGINS:
            print(target.name, write.__name__)
            write(Place(inside, hosts))
        files = {p.name: p.read_text() for p in sorted((inside.home / "logins").iterdir())}
        items = vault.dump() if vault else []
    put(target, {"key": key, "keyring": items, "files": files})


def put(target: Path, value: dict[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


URL = "https://browser.example.com/mcp"
NOBODY = "https://nobody.example.com/mcp"
# What is typed at the home of `file.json` by somebody without a network; each begins there anew.
OFFLINE: dict[str, list[str]] = {
    "list": ["list"],
    "status": ["status"],
    "status of one": ["status", URL],
    "status of a name": ["status", "notes"],
    "status of an account": ["status", "https://accounts.example.com/mcp", "--account", "work"],
    "status of nothing": ["status", NOBODY],
    "status with a check": ["status", "notes", "--check"],
    "token": ["token", URL],
    "token that never ends": ["token", "https://endless.example.com/mcp"],
    "token that is bound": ["token", "https://dpop.example.com/mcp"],
    "token of a service": ["token", "https://service.example.com/mcp"],
    "token that cannot be renewed": ["token", "https://ended.example.com/mcp"],
    "token that cannot be renewed now": ["token", "https://expired.example.com/mcp"],
    "token of nothing": ["token", NOBODY],
    "token in clear text": ["token", "http://mcp.lan/mcp"],
    "token without a server": ["token"],
    "token with nonsense": ["token", URL, "--min-valid", "x"],
    "token of an unknown name": ["token", "nobody"],
    "token of a damaged record": ["token", "https://damaged.example.com/mcp"],
    "token of a newer record": ["token", "https://newer.example.com/mcp"],
    "refresh without a refresh token": ["refresh", "https://ended.example.com/mcp"],
    "refresh": ["refresh", URL],
    "login": ["login", URL],
    "login by its name": ["notes"],
    "login elsewhere": ["login", NOBODY],
    "login with nonsense": ["login", URL, "--store", "floppy"],
    "login under a bad name": ["login", URL, "--name", "a.b"],
    "logout": ["logout", URL, "--local"],
    "logout that is not heard": ["logout", URL],
    "logout of nothing": ["logout", NOBODY],
    "logout of all": ["logout", "--all", "--yes", "--local"],
    "logout without a server": ["logout"],
    "doctor": ["doctor", URL],
    "doctor of this machine": ["doctor"],
    "client-metadata": ["client-metadata", "https://apps.example.com/client.json"],
    "client-metadata written": ["client-metadata", "https://a.example.com/c.json", "--write", "-"],
    "client-metadata with nonsense": ["client-metadata", "http://a.example.com/c.json"],
    "a verb that is none": ["tokne", URL],
    "nothing": [],
    **{f"{verb} answers none": [verb] for verb in ("exec", "import", "demo", "completion")},
    "request answers none": ["request", URL],
}
# What is typed one after the other at one home, before a demo server, and what happens before.
ONLINE: list[tuple[str, list[Any], list[str]]] = [
    ("login", [], ["login", "{url}", "--name", "notes"]),
    ("login again", [], ["login", "{url}"]),
    ("list", [], ["list"]),
    ("status with a check", [], ["status", "--check"]),
    ("token", [], ["token", "notes"]),
    ("refresh", [], ["refresh", "{url}"]),
    ("doctor", [], ["doctor", "{url}"]),
    ("doctor with a registration", [], ["doctor", "{url}", "--register"]),
    ("refresh later", ["fail", "/token", 503, "", {"Retry-After": "120"}], ["refresh", "notes"]),
    ("login of another account", [], ["login", "{url}", "--account", "work"]),
    ("logout with trouble", ["fail", "/revoke", 500, "", {}], ["logout", "notes"]),
    ("status when ended", ["revoke"], ["status", "{url}", "--account", "work", "--check"]),
    ("refresh when ended", [], ["refresh", "{url}", "--account", "work"]),
    ("logout", [], ["logout", "{url}", "--account", "work"]),
    ("login denied", ["decide", "deny"], ["login", "{url}"]),
    ("login that nobody answers", ["decide", "ignore"], ["login", "{url}", "--timeout", "0.5"]),
    (
        "login refused",
        ["fail", "/register", 400, '{"error": "invalid_client_metadata"}', {}],
        ["login", "{url}", "--new-client"],
    ),
    (
        "login with a broken document",
        ["fail", "/oauth-protected-resource/mcp", 200, '{"resource": "{url}"}', {}],
        ["login", "{url}"],
    ),
    (
        "login with the document of another",
        ["fail", "/oauth-authorization-server", 200, '{"issuer": "https://evil.example"}', {}],
        ["login", "{url}"],
    ),
    ("logout of all", [], ["logout", "--all", "--yes"]),
]


def write_answers(target: Path) -> None:
    file = json.loads((target / "file.json").read_text())
    for name, words in OFFLINE.items():
        with scratch() as (inside, patched):
            home = inside.home / "logins"
            home.mkdir(mode=0o700)
            for each, text in {**file["files"], **odd_records()}.items():
                (home / each).write_text(text)
            patched.setenv("MCP_CLIENT_AUTH_PROXY", "http://127.0.0.1:1")
            keep_answer(target / "answers" / "offline" / name, inside, [], words, {})
    with scratch() as (inside, _), DemoServer() as server:
        for number, (name, before, words) in enumerate(ONLINE, 1):
            if before:
                happen(before, server, inside)
            typed = [word.replace("{url}", server.url) for word in words]
            place = target / "answers" / "online" / f"{number:02} {name}"
            origins = {server.url.removesuffix("/mcp"): "http://127.0.0.1:8001"}
            origins[server.issuer] = "http://127.0.0.1:8002"
            keep_answer(place, inside, before, typed, origins)
            inside.browser.decision = "allow"


def odd_records() -> dict[str, str]:
    from mcp_client_auth.credential import key_for

    odd = {"damaged": '{"version": 1, "key": {', "newer": '{"version": 9}'}
    server = "https://{}.example.com/mcp".format
    return {key_for(server(name)).id + ".secret": text for name, text in odd.items()}


def happen(before: list[Any], server: DemoServer, inside: Inside) -> None:
    match before:
        case ["fail", suffix, status, body, headers]:
            told = body.replace("{url}", server.url).encode()
            server.fail_next(suffix, status, 1, told, headers.items())
        case ["revoke"]:
            server.revoke_everything()
        case ["decide", decision]:
            inside.browser.decision = decision


def keep_answer(
    place: Path, inside: Inside, before: list[Any], words: list[str], names: dict[str, str]
) -> None:
    """What was typed, how it ended, and what it said: addresses and paths as they might be."""
    place = place.with_name(place.name.replace(" ", "-") + ".json")
    print(*place.parts[-2:])
    with patch("mcp_client_auth.session.session.Renewal.patiently", lambda self, x: self.now(x)):
        ran = inside(*words, "--json")
    names = {**names, str(inside.home): "/home/ada"}

    def plain(text: str) -> str:
        for one, other in names.items():
            text = text.replace(one, other)
        return re.sub(r"http://127\.0\.0\.1:\d{5}", "http://127.0.0.1:8003", text)

    answer = json.loads(plain(ran.out)) if ran.out else None
    kept = {"before": before, "words": [plain(word) for word in words], "exit_code": ran.code}
    put(place, {**kept, "answer": answer, "stderr": plain(ran.err)})


def main() -> None:
    target = Path(sys.argv[1]).absolute()
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        write_home(target / "file.json")
        write_home(target / "sealed.json", key=KEY)
        write_home(target / "keyring.json", Vault())
        write_home(target / "keyring-sealed.json", SmallVault())
        shutil.copy(FOLDER / "client-key.pem", target / "client-key.pem")
    finally:
        shutil.rmtree(FOLDER)
    write_answers(target)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
