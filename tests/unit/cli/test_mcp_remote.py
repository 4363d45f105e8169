"""What is read out of a cache of mcp-remote, and what is not believed in it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.cli.mcp_remote import Cache, CachedLogin, Launch, assign, read_cache
from tests.support.mcp_remote_files import (
    ACCESS,
    REFRESH,
    SECRET,
    CacheDirectory,
    cached_tokens,
    client,
    without_issuer,
)

URL, ISSUER = "https://mcp.example.com/mcp", "https://login.example.com"
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX links and pipes")


@pytest.fixture
def cache(tmp_path: Path) -> CacheDirectory:
    return CacheDirectory(tmp_path / ".mcp-auth")


def read(cache: CacheDirectory) -> Cache:
    return read_cache(cache.root, time.time())


def only(cache: CacheDirectory) -> CachedLogin:
    found = read(cache)
    assert found.skipped == ()
    assert len(found.logins) == 1
    return found.logins[0]


def test_a_login_is_read(cache: CacheDirectory) -> None:
    cache.plant(URL, cached_tokens(ISSUER), client(ISSUER))
    login = only(cache)
    assert login.name == Launch(URL).name
    assert login.tokens.access_token.reveal() == ACCESS
    assert login.tokens.refresh_token is not None
    assert login.tokens.refresh_token.reveal() == REFRESH
    assert login.tokens.scope == ("notes:read",)
    assert login.tokens.issued_at == pytest.approx(time.time() - 60, abs=30)
    assert login.tokens.expires_at == pytest.approx(time.time() + 3540, abs=60)
    assert login.issuer == ISSUER
    assert login.client is not None
    assert (login.client.client_id, login.client.issuer) == ("cached-client", ISSUER)
    assert login.client.redirect_uris == ("http://localhost:11894/oauth/callback",)


def test_what_earlier_versions_have_left_beside_it_is_not_read(cache: CacheDirectory) -> None:
    cache.plant(URL, cached_tokens(ISSUER), client(ISSUER))
    for directory in (cache.root, cache.root / "mcp-remote-0.1.37"):
        directory.mkdir(exist_ok=True)
        name = Launch("https://old.example/mcp").name
        (directory / f"{name}_tokens.json").write_text('{"access_token": "old"}')
    assert [login.name for login in read(cache).logins] == [Launch(URL).name]


@pytest.mark.parametrize(
    ("client_age", "issuer"), [(90, ISSUER), (60, ISSUER), (30, "")], ids=["older", "same", "newer"]
)
def test_tokens_without_an_issuer_are_of_the_client_that_was_there(
    cache: CacheDirectory, client_age: float, issuer: str
) -> None:
    """Its early refresh drops the tokens' issuer; a client of later may be of anybody."""
    cache.plant(URL, without_issuer(), client(ISSUER), client_age=client_age)
    assert only(cache).issuer == issuer


def test_an_issuer_of_the_tokens_is_not_overruled_by_the_clients(cache: CacheDirectory) -> None:
    cache.plant(URL, cached_tokens("https://other.example"), client(ISSUER), client_age=90)
    assert only(cache).issuer == "https://other.example"


def test_nothing_read_shows_a_secret(cache: CacheDirectory) -> None:
    cache.plant(URL, cached_tokens(ISSUER), client(ISSUER, client_secret=SECRET))
    shown = repr(read(cache))
    assert all(secret not in shown for secret in (ACCESS, REFRESH, SECRET))
    headers = (("Authorization", "Bearer of-a-config"),)
    assert "of-a-config" not in repr(Launch(URL, headers=headers))


def test_a_recorded_expiry_counts_more_than_the_files_age(cache: CacheDirectory) -> None:
    until = time.time() + 100
    cache.plant(URL, cached_tokens(ISSUER, expires_at=until * 1000), age=5000)
    assert only(cache).tokens.expires_at == pytest.approx(until, abs=1)


@pytest.mark.parametrize("expires_in", [None, "soon", True, {}])
def test_a_token_without_an_expiry_may_live(cache: CacheDirectory, expires_in: Any) -> None:
    cache.plant(URL, without_issuer(expires_in=expires_in, expires_at=None))
    assert only(cache).tokens.expires_at is None


def test_a_file_of_tomorrow_is_of_now(cache: CacheDirectory) -> None:
    cache.plant(URL, without_issuer(expires_at=None), age=-86_400)
    assert only(cache).tokens.expires_at == pytest.approx(time.time() + 3600, abs=60)


# Names as mcp-remote 0.15.1 computes them: MD5 of the parts that are there, joined by a bar.
NAMES = {
    URL: Launch(URL),
    f"{URL}|urn:r": Launch(URL, resource="urn:r"),
    f'{URL}|urn:r|{{"a":"1","b":"é \\"q\\""}}|{{"X-A":"2","X-B":"1"}}|https://c.example/c': Launch(
        URL,
        "urn:r",
        (("b", 'é "q"'), ("a", "1")),
        (("X-B", "1"), ("X-A", "0"), ("X-A", "2")),
        "https://c.example/c",
    ),
}


@pytest.mark.parametrize("named", NAMES)
def test_a_login_is_assigned_by_how_it_was_started(cache: CacheDirectory, named: str) -> None:
    cache.plant(named, without_issuer())
    found, unknown = assign(read(cache), [Launch("https://else.example/"), NAMES[named]])
    assert ([launch for launch, _ in found], unknown) == ([NAMES[named]], 0)


def test_a_cache_of_an_old_version_is_told_as_one(cache: CacheDirectory) -> None:
    old = cache.root / "mcp-remote-0.1.37"
    old.mkdir(parents=True)
    (old / f"{'0' * 32}_tokens.json").write_text("{}")
    (cache.root / "mcp-remote-0.0.9").mkdir()  # nothing is in it
    [line] = read(cache).skipped
    assert line.startswith("mcp-remote-0.1.37: ")


def test_what_nobody_named_is_counted(cache: CacheDirectory) -> None:
    cache.plant(URL, without_issuer())
    cache.plant("https://other.example/mcp", without_issuer())
    found, unknown = assign(read(cache), [Launch(URL)])
    assert (len(found), unknown) == (1, 1)


def test_a_debug_log_and_an_unfinished_login_name_servers(cache: CacheDirectory) -> None:
    tokens = cache.plant(URL, without_issuer())
    log = f"[2026-01-01][1] Starting mcp-remote with server URL: {URL}\nsee (https://a.example).\n"
    tokens.with_name(tokens.name.replace("tokens.json", "debug.log")).write_text(log)
    other = "https://other.example/mcp"
    state = tokens.with_name("0" * 32 + "_discovery_state_x.json")
    state.write_text(f'{{"resourceMetadata": {{"resource": "{other}"}}}}')
    assert set(read(cache).urls) == {URL, other, "https://a.example"}


DAMAGED = {
    "no JSON": b"\x00\xff{",
    "half": b'{"access_token": "cached',
    "a list": b"[]",
    "a text": b'"cached-access"',
    "deep": b"[" * 200_000,
    "half a character": b'{"access_token": "\\ud800"}',
    "no token": b"{}",
    "a number": b'{"access_token": 7}',
    "an object": b'{"access_token": {"value": "cached-access"}}',
    "an empty one": b'{"access_token": ""}',
    "a header of its own": b'{"access_token": "cached-access\\r\\nX: y"}',
    "an error beside it": b'{"access_token": "cached-access", "error": "cached-access"}',
    "bound to a key": b'{"access_token": "cached-access", "token_type": "DPoP"}',
    "huge": b'{"access_token": "' + b"a" * (2 << 20) + b'"}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_a_line_and_no_login(cache: CacheDirectory, content: bytes) -> None:
    cache.plant(URL, content)
    cache.plant("https://other.example/mcp", without_issuer())
    found = read(cache)
    assert [login.name for login in found.logins] == [Launch("https://other.example/mcp").name]
    assert len(found.skipped) == 1
    assert found.skipped[0].startswith(f"{Launch(URL).name}_tokens.json: ")
    assert found.skipped[0].isprintable()
    assert ACCESS not in found.skipped[0]


@pytest.mark.parametrize("content", [*DAMAGED.values(), b'{"client_id": 7}', b'{"client_id": ""}'])
def test_a_damaged_client_is_none(cache: CacheDirectory, content: bytes) -> None:
    cache.plant(URL, cached_tokens(ISSUER), content)
    assert only(cache).client is None


@pytest.mark.parametrize("uris", [7, {}, [7], "not-a-url", ["javascript:x", "http://[", ""]])
def test_redirect_uris_that_are_none_are_left_out(cache: CacheDirectory, uris: Any) -> None:
    cache.plant(URL, without_issuer(), client(redirect_uris=uris))
    found = only(cache).client
    assert found is not None
    assert found.redirect_uris == ()


@posix
def test_links_are_not_followed(cache: CacheDirectory, tmp_path: Path) -> None:
    elsewhere = CacheDirectory(tmp_path / "elsewhere")
    target = elsewhere.plant(URL, without_issuer(), client())
    cache.plant("https://other.example/mcp", without_issuer())
    (cache.root / "mcp-remote-v1" / target.name).symlink_to(target)
    found = read(cache)
    assert Launch(URL).name not in [login.name for login in found.logins]
    assert found.skipped == (f"{target.name}: not a regular file",)


@posix
def test_a_pipe_is_not_waited_for(cache: CacheDirectory) -> None:
    path = cache.plant(URL, without_issuer())
    path.unlink()
    os.mkfifo(path)
    assert read(cache).skipped == (f"{path.name}: not a regular file",)


def test_names_of_nothing_known_are_passed_over(cache: CacheDirectory) -> None:
    directory = cache.plant(URL, without_issuer()).parent
    for name in ("x_tokens.json", "0" * 31 + "_tokens.json", "\x1b]0;hi\x07_tokens.json", "notes"):
        (directory / name).write_text("{")
    found = read(cache)
    assert (len(found.logins), found.skipped) == (1, ())


def test_reading_changes_nothing(cache: CacheDirectory) -> None:
    cache.plant(URL, cached_tokens(ISSUER), client(ISSUER))
    cache.plant("https://other.example/mcp", b"damaged")
    before = cache.state()
    read(cache)
    assert cache.state() == before
