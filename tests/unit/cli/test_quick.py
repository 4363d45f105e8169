"""The quick way of `token` prints what the long way would, or leaves it to that one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import mcp_client_auth.cli
from mcp_client_auth import Secret
from mcp_client_auth.cli.quick import HOST_URL, quick_exec, quick_headers, quick_token
from mcp_client_auth.credential import key_for
from tests.support.inside import Inside, Ran, credential
from tests.support.key_samples import jwk

URL = "https://mcp.example.invalid/mcp"
ELSEWHERE = "https://elsewhere.example.invalid/mcp"
TOKEN = "planted-access"
Spoil = Callable[[Inside], object]


@dataclass(frozen=True)
class Case:
    """What is stored, what is asked, and what the quick way prints (None where it does not know).

    `began` and `ends` of what is `kept` are seconds from now.
    """

    words: tuple[str, ...] = (URL,)
    kept: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    spoil: Spoil = lambda inside: None
    quick: str | None = None
    url: str = URL


def rewrite(ending: str = ".secret", **changes: Any) -> Spoil:
    def spoil(inside: Inside) -> None:
        file = inside.record(URL, ending)
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return spoil


def text(ending: str, words: str) -> Spoil:
    return lambda inside: inside.record(URL, ending).write_text(words)


def tokens(**changes: Any) -> Spoil:
    def spoil(inside: Inside) -> None:
        file = inside.record(URL)
        raw = json.loads(file.read_text())
        file.write_text(json.dumps({**raw, "tokens": {**raw["tokens"], **changes}}))

    return spoil


def linked(ending: str) -> Spoil:
    def spoil(inside: Inside) -> None:
        if os.name != "posix":
            pytest.skip("links of POSIX")
        file = inside.record(URL, ending)
        file.rename(inside.home / "elsewhere")
        file.symlink_to(inside.home / "elsewhere")

    return spoil


KNOWN = {
    "fresh": Case(quick=TOKEN),
    "header": Case((URL, "--header"), quick=f"Authorization: Bearer {TOKEN}"),
    "header first": Case(("--header", URL), quick=f"Authorization: Bearer {TOKEN}"),
    "without an end": Case(kept={"expires_at": None}, quick=TOKEN),
    "outside the margin": Case(kept={"ends": 500}, quick=TOKEN),
    "clock set back": Case(kept={"began": 9000, "ends": 500}, quick=TOKEN),
    "short-lived": Case(kept={"ends": 100}, quick=TOKEN),
    "min-valid": Case((URL, "--min-valid", "100"), quick=TOKEN),
    "min-valid as one word": Case((URL, "--min-valid=1e2"), quick=TOKEN),
    "the last min-valid": Case((URL, "--min-valid", "9000", "--min-valid=1"), quick=TOKEN),
    "account": Case((URL, "--account", "work"), {"account": "work"}, quick=TOKEN),
    "account of the environment": Case(
        (URL,), {"account": "work"}, {"MCP_CLIENT_AUTH_ACCOUNT": "work"}, quick=TOKEN
    ),
    "account before the environment's": Case(
        (URL, "--account=work"), {"account": "work"}, {"MCP_CLIENT_AUTH_ACCOUNT": "x"}, quick=TOKEN
    ),
    "empty account of the environment": Case(env={"MCP_CLIENT_AUTH_ACCOUNT": ""}, quick=TOKEN),
    "another spelling": Case(("HTTPS://MCP.example.INVALID:443/mcp/#x",), quick=TOKEN),
    "blanks around it": Case((f" {URL} ",), quick=TOKEN),
    "query": Case((URL + "?a=b",), url=URL + "?a=b", quick=TOKEN),
    "keyring wanted": Case(env={"MCP_CLIENT_AUTH_STORAGE": "keyring"}, quick=TOKEN),
    "no storage named": Case(env={"MCP_CLIENT_AUTH_STORAGE": ""}, quick=TOKEN),
}
UNKNOWN = {
    "expired": Case(kept={"issued_at": 1.0, "expires_at": 2.0}),
    "near its end": Case(kept={"began": -3500, "ends": 50}),
    "bound": Case(kept={"bound": True, "dpop_key": Secret(jwk("P-256", alg="ES256"))}),
    "a key beside a Bearer token": Case(kept={"dpop_key": Secret(jwk("P-256", alg="ES256"))}),
    "another account": Case((URL, "--account", "work")),
    "an account like a server": Case(("--account", ELSEWHERE, URL), {"account": ELSEWHERE}),
    "another account's login": Case(kept={"account": "work"}),
    "another query": Case((URL + "?a=b",)),
    "no query": Case(url=URL + "?a=b"),
    "another path": Case((URL + "/more",)),
    "entry missing": Case(spoil=lambda inside: inside.record(URL, ".json").unlink()),
    "entry in a keyring": Case(spoil=rewrite(".json", storage="keyring")),
    "record missing": Case(spoil=lambda inside: inside.record(URL).unlink()),
    "record damaged": Case(spoil=text(".secret", "{")),
    "record no object": Case(spoil=text(".secret", "[]")),
    "record no text": Case(spoil=lambda inside: inside.record(URL).write_bytes(b"\xff\xfe")),
    "entry damaged": Case(spoil=text(".json", "null")),
    "newer version": Case(spoil=rewrite(version=2)),
    "older generation": Case(spoil=rewrite(".json", generation=7)),
    "another key": Case(spoil=rewrite(key={"server": "https://evil.example"})),
    "token no text": Case(spoil=tokens(access_token=5)),
    "token with a control character": Case(spoil=tokens(access_token="a\x1b]0;b")),
    "token beyond ASCII": Case(spoil=tokens(access_token="ä")),
    "end no number": Case(spoil=tokens(expires_at="soon")),
    "end not a number": Case(spoil=tokens(expires_at=float("nan"))),
    "record too large": Case(spoil=text(".secret", " " * (1 << 20) + "{}")),
    "record a link": Case(spoil=linked(".secret")),
    "entry a link": Case(spoil=linked(".json")),
    "memory": Case(env={"MCP_CLIENT_AUTH_STORAGE": "memory"}),
    "unknown storage": Case(env={"MCP_CLIENT_AUTH_STORAGE": "floppy"}),
    "a program's grant": Case(env={"MCP_CLIENT_AUTH_GRANT": "client_credentials"}),
    "min-valid too long": Case((URL, "--min-valid", "9000")),
    "min-valid of years": Case((URL, "--min-valid", "1e9"), {"expires_at": None}),
    "min-valid infinite": Case((URL, "--min-valid", "inf"), {"expires_at": None}),
    "min-valid not a number": Case((URL, "--min-valid", "nan"), {"expires_at": None}),
    "min-valid negative": Case((URL, "--min-valid", "-1")),
    "min-valid no number": Case((URL, "--min-valid", "soon")),
    "min-valid missing": Case((URL, "--min-valid")),
    "account missing": Case((URL, "--account"), {"account": "nothing"}),
    "account empty": Case((URL, "--account", "")),
    "two servers": Case((URL, URL)),
    "no server": Case(()),
    "a name": Case(("work",)),
    "no URL": Case(("https://",)),
    "user info": Case(("https://me@mcp.example.invalid/mcp",)),
    "flag with a value": Case((URL, "--header=no")),
    "json": Case((URL, "--json")),
    "help": Case((URL, "--help")),
    "another option": Case((URL, "-v")),
}


@pytest.fixture
def case(request: pytest.FixtureRequest, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Case:
    made: Case = request.param
    moments = {"began": "issued_at", "ends": "expires_at"}
    kept = {
        moments.get(name, name): time.time() + value if name in moments else value
        for name, value in made.kept.items()
    }
    inside.keep(credential(made.url, TOKEN, **kept))
    made.spoil(inside)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made


def long_way(inside: Inside, words: tuple[str, ...], patch: pytest.MonkeyPatch) -> Ran:
    patch.setattr("mcp_client_auth.cli.quick.quick_token", lambda words: None)
    return inside("token", *words)


@pytest.mark.parametrize("case", KNOWN.values(), indirect=True, ids=KNOWN.keys())
def test_what_it_knows_it_prints_as_the_long_way_does(
    case: Case, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quick_token(list(case.words)) == case.quick
    ran = long_way(inside, case.words, monkeypatch)
    assert (ran.code, ran.out) == (0, f"{case.quick}\n")


@pytest.mark.parametrize("case", UNKNOWN.values(), indirect=True, ids=UNKNOWN.keys())
def test_what_it_does_not_know_it_leaves_alone(case: Case, inside: Inside) -> None:
    before = {f.name: f.read_bytes() for f in (inside.home / "logins").iterdir()}
    assert quick_token(list(case.words)) is None
    assert {f.name: f.read_bytes() for f in (inside.home / "logins").iterdir()} == before


REFUSED = [
    name
    for name in UNKNOWN
    if name.startswith(("min-valid", "account m", "account e", "two", "no s", "unknown", "flag"))
    and name != "min-valid too long"
]


@pytest.mark.parametrize("case", [UNKNOWN[n] for n in REFUSED], indirect=True, ids=REFUSED)
def test_what_the_long_way_refuses_is_refused(case: Case, inside: Inside) -> None:
    ran = inside("token", *case.words)
    assert (ran.code, ran.out) == (2, "")


HEADERS = {
    "default": Case(),
    "host": Case((), env={HOST_URL: URL}),
    "both": Case((URL,), env={HOST_URL: URL}),
    "account": Case(("--account=work",), {"account": "work"}, {HOST_URL: URL}),
    "min-valid": Case((URL, "--min-valid", "0"), {"ends": 250}),
}
NO_HEADERS = {
    "none": Case(()),
    "soon": Case(kept={"ends": 250}),
    "other": Case((URL,), env={HOST_URL: URL + "/more"}),
    "an account like the host's": Case(
        ("--account", ELSEWHERE, URL), {"account": ELSEWHERE}, {HOST_URL: ELSEWHERE}
    ),
    "name": Case(("work",), env={HOST_URL: URL}),
    "header": Case((URL, "--header")),
}


@pytest.mark.parametrize("case", HEADERS.values(), indirect=True, ids=HEADERS.keys())
def test_headers_are_printed_as_the_long_way_does(
    case: Case, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = quick_headers(list(case.words))
    assert quick is not None
    assert json.loads(quick) == {"Authorization": f"Bearer {TOKEN}"}
    monkeypatch.setattr("mcp_client_auth.cli.quick.quick_headers", lambda words: None)
    ran = inside("headers", *case.words)
    assert (ran.code, ran.out) == (0, f"{quick}\n")


@pytest.mark.parametrize("case", NO_HEADERS.values(), indirect=True, ids=NO_HEADERS.keys())
def test_other_headers_are_left_alone(case: Case) -> None:
    assert quick_headers(list(case.words)) is None


def test_a_sealed_record_is_left_alone(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    monkeypatch.delenv("MCP_CLIENT_AUTH_STORAGE")
    from mcp_client_auth.storage import choose_storage

    choose_storage(None, key_for(URL)).save(credential(URL, TOKEN))
    assert TOKEN.encode() not in b"".join(
        file.read_bytes() for file in (inside.home / "logins").iterdir()
    )
    assert quick_token([URL]) is None
    assert inside("token", URL).out == f"{TOKEN}\n"


@pytest.mark.skipif(os.name != "posix", reason="POSIX owners")
def test_a_strangers_file_is_left_alone(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.keep(credential(URL))
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    assert quick_token([URL]) is None
    ran = inside("token", URL)
    assert (ran.code, ran.out) == (7, "")
    assert "belongs to another user" in ran.err


def test_the_command_goes_this_way(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.keep(credential(URL))

    def called(arguments: list[str]) -> int:
        raise AssertionError(arguments)

    monkeypatch.setattr(mcp_client_auth.cli, "_called", called)
    assert inside("token", URL).out == f"{TOKEN}\n"


@pytest.mark.parametrize(
    ("verb", "out"), [("token", TOKEN), ("headers", f'{{"Authorization": "Bearer {TOKEN}"}}')]
)
def test_nothing_heavy_is_loaded(inside: Inside, verb: str, out: str) -> None:
    inside.keep(credential(URL))
    heavy = ("click", "httpx", "authlib", "joserfc", "dataclasses", "typing", "keyring", "asyncio")
    code = (
        "import sys; before = set(sys.modules); from mcp_client_auth.cli import run;"
        f"assert run([{verb!r}, {URL!r}]) == 0;"
        f"print(sorted(set({heavy!r}) & (set(sys.modules) - before)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == (f"{out}\n", "[]\n")


def test_an_account_that_looks_like_a_server_is_none(inside: Inside) -> None:
    """The program would be told to send the token there."""
    inside.keep(credential(URL, TOKEN, account=ELSEWHERE))
    found = quick_exec(["--account", ELSEWHERE, URL, "--", "env"])
    assert found is None
