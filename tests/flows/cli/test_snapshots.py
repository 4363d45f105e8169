"""What people read, as text; `SNAPSHOTS=write pytest tests/flows/cli/test_snapshots.py` writes it.

Words replace addresses, times, ports and ids there. A change of wording changes these files, so
that a reviewer reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_client_auth import Secret
from mcp_client_auth.session.renewal import Renewal
from tests.support.hostile import World, challenge, document, html, text, tokens
from tests.support.inside import Inside, Ran, credential
from tests.support.key_samples import jwk
from tests.support.snapshots import is_reviewed

PLACE = Path(__file__).with_name("snapshots")
Step = Callable[[Inside, World], object]


@dataclass(frozen=True)
class Scene:
    """What is prepared, and what is typed; `URL` stands for the server."""

    words: str
    before: Step = lambda inside, world: None


def held(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, revocation_endpoint=end_of(world)))


def end_of(world: World) -> str:
    return world.issuer + "/revoke"


def two(inside: Inside, world: World) -> None:
    held(inside, world)
    inside.keep(credential(world.url, account="work", refresh_token=None, issuer=world.issuer))


def named(inside: Inside, world: World) -> None:
    from mcp_client_auth.storage.settings import Settings

    two(inside, world)
    Settings().name("notes", world.url)


def ended(inside: Inside, world: World) -> None:
    inside.keep(
        credential(world.url, refresh_token=None, issued_at=1.0, expires_at=2.0, scope=None)
    )


def bound(inside: Inside, world: World) -> None:
    key = Secret(jwk("P-256", alg="ES256"))
    inside.keep(credential(world.url, bound=True, dpop_key=key))


def answering(status: int) -> Step:
    def step(inside: Inside, world: World) -> None:
        held(inside, world)
        world.at("answer", text("what the server says", status, "text/plain"))

    return step


def configured(url: str) -> Step:
    return lambda inside, world: inside.names({"notes": url or world.url})


def at(spot: str, status: int = 200, **changes: object) -> Step:
    """Serve the document at this place, with changes or with another status."""

    def step(inside: Inside, world: World) -> None:
        usual = {"server": world.server_metadata, "resource": world.resource_metadata}
        body = usual[spot](**changes) if spot in usual else changes
        world.at(spot, document(body, status))  # type: ignore[arg-type]

    return step


def after_login(*steps: Step) -> Step:
    def step(inside: Inside, world: World) -> None:
        for each in (held, *steps):
            each(inside, world)

    return step


def few_scopes(inside: Inside, world: World) -> None:
    value = 'Bearer error="insufficient_scope", scope="notes:write"'
    world.at("answer", lambda exchange: exchange.reply(403, headers=[("WWW-Authenticate", value)]))


def denied(inside: Inside, world: World) -> None:
    world.at("authorize", world.callback(code=None, error="access_denied"))


def wrong_server(inside: Inside, world: World) -> None:
    world.at("authorize", world.callback(error="server_error", code=None))


def no_keyring(inside: Inside, world: World) -> None:
    inside.patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


def damaged(inside: Inside, world: World) -> None:
    held(inside, world)
    inside.record(world.url).write_text("{")


def newer(inside: Inside, world: World) -> None:
    held(inside, world)
    inside.record(world.url).write_text('{"version": 9}')


def patience(inside: Inside, world: World) -> None:
    settle = Renewal.settle
    inside.patch.setattr(Renewal, "settle", lambda self, need, patience=0: settle(self, need, 0))


def out_of_order(inside: Inside, world: World) -> None:
    patience(inside, world)
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0, expires_at=2.0))
    world.at("refresh", document({}, 503))


SCENES: dict[str, list[Scene]] = {
    "login": [
        Scene("URL"),
        Scene("URL", held),
        Scene("URL --device --no-browser", held),
        Scene("URL --name notes -q", held),
        Scene("notes", named),
        Scene("notes --force", configured("")),
    ],
    "logout": [
        Scene("logout URL"),
        Scene("logout URL", held),
        Scene("logout URL --local", held),
        Scene("logout URL", after_login(at("revoke", 500))),
        Scene("logout URL", ended),
        Scene("logout URL --account other", two),
        Scene("logout --all", two),
        Scene("logout --all --yes", two),
        Scene("logout --all"),
        Scene("logout"),
    ],
    "list": [Scene("list"), Scene("list", held), Scene("list", named), Scene("list", ended)],
    "status": [
        Scene("status"),
        Scene("status", named),
        Scene("status URL", held),
        Scene("status URL", ended),
        Scene("status URL --check", held),
        Scene("status URL --check", answering(503)),
        Scene(
            "status URL --check",
            after_login(at("answer", 401), at("refresh", 400, error="invalid_grant")),
        ),
        Scene("status URL"),
        Scene("status URL --account other", two),
    ],
    "token": [
        Scene("token URL", held),
        Scene("token URL --header", held),
        Scene("token URL", bound),
        Scene("token URL --header", bound),
        Scene("headers URL", held),
        Scene("headers"),
        Scene("token URL", ended),
        Scene("token URL"),
        Scene("token URL --min-valid 9000", after_login(patience, at("refresh", **tokens()))),
        Scene("token URL", out_of_order),
    ],
    "request": [
        Scene("request URL -d {}", held),
        Scene("request URL", answering(404)),
        Scene("request URL"),
        Scene("request URL", after_login(few_scopes)),
        Scene("request URL -H Authorization:x", held),
        Scene("request URL -d @missing", held),
        Scene("request notes -d {}", configured("")),
        Scene("request http://127.0.0.1:1/mcp"),
    ],
    "exec": [
        Scene("exec URL -- no-such-program", held),
        Scene("exec URL -- true"),
        Scene("exec URL -- true", bound),
        Scene("exec URL", held),
        Scene("exec URL --env A=B -- true", held),
    ],
    "refresh": [
        Scene("refresh URL", held),
        Scene("refresh URL"),
        Scene("refresh URL", ended),
        Scene("refresh URL", after_login(at("refresh", 400, error="invalid_grant"))),
        Scene("refresh URL", after_login(patience, at("refresh", 503))),
    ],
    "import": [Scene("import"), Scene("import URL")],
    "words": [
        Scene(""),
        Scene("tokne URL"),
        Scene("frobnicate"),
        Scene("-q list"),
        Scene("login nobody"),
        Scene("token notes", configured("https://mcp.example.com/${USER}")),
        Scene("notes --client-id x --client-secret-file /dev/null", configured("")),
        Scene("ftp://mcp.example.com/"),
        Scene("https://me:secret@mcp.example.com/"),
        Scene("URL --name a.b"),
        Scene("URL --nonsense"),
        Scene("URL --acount work"),
        Scene("URL more"),
        Scene("URL --timeout soon"),
        Scene("URL --timeout 0"),
        Scene("URL --account ''"),
        Scene("URL --store floppy"),
        Scene("URL --callback-port 0"),
        Scene("URL --callback-port 8000 --redirect-uri http://127.0.0.1:8000/"),
        Scene("URL --client-auth-method none"),
        Scene("URL --client-id x --client-metadata-url https://x.example/client"),
        Scene("URL --client-id x --client-secret-file missing"),
        Scene("URL --ca missing"),
        Scene("URL --cert missing"),
        Scene("URL --cert-key ."),
        Scene("URL --proxy x.example:3128"),
        Scene("URL --proxy http://me:secret@x.example"),
        Scene("URL --endpoint token=https://x.example/token"),
        Scene("URL --param x"),
        Scene("URL --trace no/such/file"),
        Scene("token URL --grant client_credentials"),
        Scene("token URL --client-id x"),
    ],
    "errors": [
        Scene("URL", denied),
        Scene("URL", wrong_server),
        Scene("URL", at("token", 400, error="invalid_grant", error_description="code is old")),
        Scene("URL", at("register", 400, error="invalid_client_metadata")),
        Scene("URL", at("server", registration_endpoint=None)),
        Scene("URL", at("server", issuer="https://evil.example")),
        Scene("URL", at("resource", resource="https://evil.example/mcp")),
        Scene("URL", at("resource", authorization_servers=["http://evil.example"])),
        Scene("URL", at("server", code_challenge_methods_supported=["plain"])),
        Scene("URL", at("resource", dpop_bound_access_tokens_required=True)),
        Scene("URL", at("resource", authorization_servers=None)),
        Scene("URL", at("server", 503)),
        Scene("URL", at("token", token_type="Bearer")),
        Scene("URL", lambda inside, world: world.at("answer", challenge("x"))),
        Scene("URL", lambda inside, world: world.at("answer", html(502))),
        Scene("URL --timeout 1", lambda inside, world: inside.decide("ignore")),
        Scene("http://mcp.lan/mcp"),
        Scene("http://127.0.0.1:1/mcp"),
        Scene("URL --store keyring", no_keyring),
        Scene("token URL", damaged),
        Scene("token URL", newer),
    ],
}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], str]:
    """Plays a scene in a world and a home of its own."""

    def play(scene: Scene) -> str:
        home = tmp_path / f"home-{len(list(tmp_path.iterdir()))}"
        home.mkdir()
        with World() as world, monkeypatch.context() as patch:
            inside = Inside(home, patch)
            scene.before(inside, world)
            ran = inside(*_typed(scene.words, world.url))
            inside.browser.join(60)
        return _shown(scene.words, _worded(ran, world, home))

    return play


def _typed(words: str, url: str) -> list[str]:
    return [word.strip("'") for word in words.replace("URL", url).split()]


def _worded(ran: Ran, world: World, home: Path) -> str:
    said = f"{ran.err}{ran.out}(exit code {ran.code})\n"
    for what, word in (
        (world.url, "URL"),
        (world.issuer, "ISSUER"),
        (world.origin, "ORIGIN"),
        (str(home), "HOME"),
    ):
        said = said.replace(what, word)
    for pattern, word in (
        (r"(/authorize\?)\S+", r"\1…"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE TIME"),
        (r"in \d+ ms", "in N ms"),
        (r"\(9:5\d left", "(10:00 left"),  # on a busy machine
        (r"\(0:0[01] left", "(0:0N left"),
        (r"date: .* GMT", "date: DATE"),
        (r"Python/[\d.]+", "Python/3"),
        (r"[0-9a-f]{32}\.secret", "ID.secret"),
    ):
        said = re.sub(pattern, word, said)
    return said


def _shown(words: str, said: str) -> str:
    return f"$ mcp-login {words}".rstrip() + f"\n{said}"


@pytest.mark.parametrize("name", SCENES)
def test_what_people_read_is_what_was_reviewed(name: str, stage: Callable[[Scene], str]) -> None:
    told = "\n".join(map(stage, SCENES[name]))
    is_reviewed(PLACE / f"{name}.txt", told)


def test_no_file_is_left_of_what_is_gone() -> None:
    assert {file.stem for file in PLACE.iterdir()} == {*SCENES, "demo"}


def test_the_demo_tells_its_fifteen_steps(inside: Inside) -> None:
    ran = inside("demo", "--no-browser")
    said = f"{ran.err}{ran.out}"
    ports = dict.fromkeys(re.findall(r"127\.0\.0\.1:(\d+)", said))
    for port, word in zip(ports, ("PORT", "OTHER", "CALLBACK"), strict=True):
        said = said.replace(port, word)
    said = re.sub(r"in \d+ ms", "in N ms", said)
    said = re.sub(r"demo-[0-9a-f]{16}", "CLIENT", said)
    said = re.sub(r"/callback/[0-9a-f]+", "/callback/ID", said)
    is_reviewed(PLACE / "demo.txt", said)


def test_no_secret_is_in_them() -> None:
    told = "".join(file.read_text("utf-8") for file in PLACE.iterdir())
    allowed = len(re.findall(r'(?:\n|Bearer )planted-access(?:"})?\n', told))
    assert told.count("planted") == allowed, "only where the token is the answer"
