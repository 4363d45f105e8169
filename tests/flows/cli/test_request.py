"""`mcp-login request`: what is sent, to whom, and how the answer arrives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mcp_client_auth import FileStorage, Secret
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hostile import Exchange, World, cut, document, redirect, text
from tests.support.inside import Inside, credential
from tests.support.terminal import Terminal, command

LIST = '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
Heard = list[Exchange]


@pytest.fixture
def heard(world: World) -> Heard:
    """Every request with a token; each is answered with its own body."""
    heard: Heard = []

    def echo(exchange: Exchange) -> None:
        heard.append(exchange)
        exchange.reply(200, exchange.body)

    world.at("answer", echo)
    return heard


def listening(world: World, *urls: str) -> Heard:
    """What arrives at these addresses."""
    told: Heard = []

    def heard(exchange: Exchange) -> None:
        told.append(exchange)
        exchange.reply()

    for url in urls:
        world.put(url, heard)
    return told


@pytest.fixture
def logged_in(inside: Inside, world: World) -> Inside:
    inside.keep(credential(world.url, issuer=world.issuer))
    return inside


def test_a_call_is_answered_with_the_login(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    ran = inside("request", shared.url, "-d", LIST)
    assert (ran.code, ran.err) == (0, "")
    assert ran.answer["result"]["tools"]
    assert [r.status for r in shared.requests if r.path == "/mcp"] == [401, 200, 200]


def test_without_a_login_it_ends_with_3_and_nothing_else_is_sent(
    inside: Inside, shared: DemoServer
) -> None:
    ran = inside("request", shared.url, "-d", LIST)
    assert (ran.code, ran.out) == (3, "")
    assert f"Run: mcp-login {shared.url}" in ran.err
    assert [(r.path, r.status) for r in shared.requests] == [("/mcp", 401)]


def test_other_accounts_are_named(logged_in: Inside, world: World) -> None:
    ran = logged_in("request", world.url, "--account", "work")
    assert ran.code == 3
    assert "You are logged in as: default (--account LABEL)" in ran.err


def test_an_expired_token_is_renewed_first(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    inside.expire(shared.url)
    shared.clear_requests()
    assert inside("request", shared.url, "-d", LIST).code == 0
    assert [r.path for r in shared.requests] == ["/oauth2/token", "/mcp"]


def test_a_token_that_the_server_refuses_is_renewed_once(
    inside: Inside, shared: DemoServer
) -> None:
    inside.log_in(shared.url)
    shared.expire_access_tokens()
    inside.change(shared.url, issued_at=1000.0)
    shared.clear_requests()
    assert inside("request", shared.url, "-d", LIST).code == 0
    assert [r.path for r in shared.requests] == ["/mcp", "/oauth2/token", "/mcp"]


@pytest.mark.parametrize("server", [Settings(dpop="required")], indirect=True)
def test_a_login_that_is_bound_to_a_key_works(inside: Inside, server: DemoServer) -> None:
    inside.log_in(server.url)
    ran = inside("request", server.url, "-d", LIST)
    assert (ran.code, ran.err) == (0, "")
    assert ran.answer["result"]["tools"]


# What is sent


@pytest.mark.parametrize("way", ["@body.json", "@-", "text"])
def test_data_comes_from_a_file_from_stdin_or_from_the_word(
    logged_in: Inside, world: World, heard: Heard, way: str
) -> None:
    body = b'{"b\xc3\xa4r": 1}\n'
    Path("body.json").write_bytes(body)
    ran = logged_in("request", world.url, "-d", body.decode() if way == "text" else way, stdin=body)
    assert ran.raw == body
    assert heard[0].command == "POST"
    assert heard[0].headers["Content-Type"] == "application/json"
    assert heard[0].headers["Authorization"] == "Bearer planted-access"


def test_a_word_that_is_no_text_is_sent_as_it_was_typed(
    logged_in: Inside, world: World, heard: Heard
) -> None:
    ran = logged_in("request", world.url, "-d", os.fsdecode(b"\xff\xfe"))
    assert (ran.code, ran.raw) == (0, b"\xff\xfe")


def test_method_and_headers_are_the_persons(logged_in: Inside, world: World, heard: Heard) -> None:
    twice = ("-H", "X-Twice: 1", "-H", "x-twice: 2")
    more = ("-X", "delete", "-H", "X-Trace:  a b ", "-H", "Accept: text/plain", "-d", "x", *twice)
    assert logged_in("request", world.url, *more, "-H", "content-type: text/plain").code == 0
    assert heard[0].command == "DELETE"
    told = heard[0].headers
    assert told.get_all("X-Twice") == ["1", "2"]
    assert (told["X-Trace"], told["Accept"], told["Content-Type"]) == (
        "a b",
        "text/plain",
        "text/plain",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-H", "Authorization: Bearer mine"], "the header authorization comes from the login"),
        (["-H", "aUTHORIZATION : Basic mine"], "the header authorization comes from the login"),
        (["-H", "DPoP: mine"], "the header dpop comes from the login"),
        (["-H", "X-A: b\r\nAuthorization: mine"], "NAME: VALUE"),
        (["-H", "X-A"], "NAME: VALUE"),
        (["-H", ": b"], "NAME: VALUE"),
        (["-H", "X-Ä: b"], "NAME: VALUE"),
        (["-H", "X-A: ü中"], "NAME: VALUE"),
        (["-H", "X A: b"], "NAME: VALUE"),
        (["-X", "GET\r\nX-A: b"], "cannot be a method"),
        (["-X", "GE T"], "cannot be a method"),
        (["-X", "GÄT"], "cannot be a method"),
        (["-d", "@missing"], "cannot be read"),
        (["-d", "@."], "cannot be read"),
        (["-d", "@"], "cannot be read"),
        (["-d", "{}", "-H", "Content-Length: 5"], "not the length of the body"),
        (["-H", "Content-Length: 5"], "not the length of the body"),
        (["--timeout", "nan"], "seconds"),
    ],
    ids=lambda value: ascii(" ".join(value)) if isinstance(value, list) else "",
)
def test_what_cannot_be_sent_is_refused_before_anything_is(
    logged_in: Inside, world: World, words: list[str], said: str
) -> None:
    ran = logged_in("request", world.url, *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "mine" not in ran.err
    assert world.visited == []


def test_no_cookie_is_read(
    logged_in: Inside, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither from the answer to a request nor from those of the login."""

    def read(*_: object) -> None:
        raise AssertionError("a cookie was parsed")

    monkeypatch.setattr("http.cookiejar.CookieJar.make_cookies", read)
    cookie = {"Set-Cookie": "a=b; expires=" + "1 " * 2_000}
    world.at("answer", document({}, 200, **cookie))
    assert logged_in("request", world.url).out == "{}"
    world.at("refresh", document({}, 503, **cookie))
    monkeypatch.setattr("mcp_client_auth.session.decision._FIRST_PAUSE", 1e9)  # too long to retry
    logged_in.expire(world.url)
    assert logged_in("token", world.url).code == 6


@pytest.mark.parametrize(
    "words",
    [
        ["--proxy", "gopher://x"],
        ["--proxy", "http://x:port"],
        ["--proxy", "http://[::1"],
        ["--ca", "body.txt"],
    ],
    ids=str,
)
def test_settings_of_the_network_that_cannot_work_are_usage_errors(
    inside: Inside, words: list[str]
) -> None:
    Path("body.txt").write_text("no certificate")
    ran = inside("request", "https://mcp.example.invalid/mcp", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "settings cannot work" in ran.err or "is not the URL of a proxy" in ran.err


@pytest.mark.parametrize("host", ["xn--", "xn--a"])
def test_a_host_that_stands_for_no_name_is_a_usage_error(inside: Inside, host: str) -> None:
    ran = inside("request", f"https://{host}/mcp")
    assert (ran.code, ran.out) == (2, "")
    assert "the URL cannot be used" in ran.err


# To whom


def test_a_url_below_the_servers_directory_uses_its_login(logged_in: Inside, world: World) -> None:
    told = listening(world, world.origin + "/tenant/messages/1")
    assert logged_in("request", world.origin + "/tenant/messages/1?a=b").code == 0
    assert told[0].headers["Authorization"] == "Bearer planted-access"


@pytest.mark.parametrize(
    "path", ["/else", "/tenants/mcp", "/tenant/../else", "/tenant/%2e%2e/else"]
)
def test_a_url_outside_gets_no_token(logged_in: Inside, world: World, path: str) -> None:
    told = listening(world, world.origin + path, world.origin + "/else")
    assert logged_in("request", world.origin + path).code == 0
    assert told[0].headers["Authorization"] is None


def test_of_two_logins_that_cover_a_url_the_more_specific_one_counts(
    logged_in: Inside, world: World
) -> None:
    deep = world.origin + "/tenant/deep/mcp"
    logged_in.keep(credential(deep, "planted-deep"))
    told = listening(world, world.origin + "/tenant/deep/x")
    assert logged_in("request", world.origin + "/tenant/deep/x").code == 0
    assert told[0].headers["Authorization"] == "Bearer planted-deep"


@pytest.mark.parametrize("query", ["?project=a", "?project=long", ""])
def test_of_logins_that_differ_in_the_query_the_exact_one_counts(
    inside: Inside, world: World, heard: Heard, query: str
) -> None:
    for each in ("?project=a", "?project=long", ""):
        inside.keep(credential(world.url + each, f"planted{each[9:]}"))
    assert inside("request", world.url + query).code == 0
    assert [x.headers["authorization"] for x in heard] == [f"Bearer planted{query[9:]}"]


def test_where_several_logins_could_be_meant_none_is_sent(
    inside: Inside, world: World, heard: Heard
) -> None:
    for each in ("?project=a", "?project=b"):
        inside.keep(credential(world.url + each))
    ran = inside("request", world.url + "?project=c", "-d", "{}")
    assert (ran.code, ran.out, heard) == (2, "", [])
    assert "2 of your logins could go with this URL" in ran.err
    assert "?project=a" in ran.err


@pytest.mark.parametrize(
    ("url", "token"),
    [("/tenant/mcp/below", "access"), ("/tenant/x", ""), ("/x", "root"), ("/tenant/mcp", "access")],
)
def test_the_nearest_login_is_by_path_and_not_by_length(
    inside: Inside, world: World, url: str, token: str
) -> None:
    inside.keep(credential(world.url))
    inside.keep(credential(world.origin, "planted-root"))
    inside.keep(credential(world.url + "-of-another", "planted-for-another"))
    told = listening(world, world.origin + url)
    assert inside("request", world.origin + url).code == (0 if token else 2)
    sent = [x.headers["authorization"] for x in told]
    assert sent == ([f"Bearer planted-{token}"] if token else [])


def test_a_programs_own_login_is_not_the_persons(logged_in: Inside, world: World) -> None:
    deep = world.origin + "/tenant/deep/mcp"
    key = key_for(deep, client="service", grant="client_credentials")
    logged_in.keep(credential(deep, "planted-program", key=key))
    told = listening(world, world.origin + "/tenant/deep/x")
    assert logged_in("request", world.origin + "/tenant/deep/x").code == 0
    assert told[0].headers["Authorization"] == "Bearer planted-access"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(logged_in: Inside, world: World, status: int) -> None:
    world.at("answer", redirect(world.elsewhere + "/x", status))
    ran = logged_in("request", world.url, "-v")
    assert ran.code == 0
    assert f"location: {world.elsewhere}/x\n" in ran.err.lower()
    assert world.visited == ["answer"]


def test_another_origin_gets_no_token(logged_in: Inside, world: World) -> None:
    told = listening(world, world.elsewhere + "/tenant/mcp")
    assert logged_in("request", world.elsewhere + "/tenant/mcp").code == 0
    assert world.visited == ["elsewhere"]
    assert told[0].headers["Authorization"] is None


# What comes back


def test_a_stream_arrives_piece_by_piece(terminal: Terminal, world: World) -> None:
    FileStorage(terminal.store).save(credential(world.url))
    read = threading.Event()

    def events(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Type", "text/event-stream")
        exchange.end_headers()
        exchange.wfile.write(b"data: first\n\n")
        exchange.wfile.flush()
        assert read.wait(60)
        exchange.wfile.write(b"data: second\n\n")

    world.at("answer", events)
    words = command("request", world.url, "-d", "{}")
    with subprocess.Popen(words, env=terminal.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"data: first\n"
        read.set()
        assert process.stdout.read() == b"\ndata: second\n\n"
    assert process.returncode == 0


def test_what_is_no_text_reaches_a_pipe_byte_for_byte(logged_in: Inside, world: World) -> None:
    body = bytes(range(256)) * 300
    world.at("answer", text(body, kind="application/octet-stream"))
    assert logged_in("request", world.url).raw == body
    assert logged_in("request", world.url, "-v").raw == body


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_an_answer_of_400_or_more_is_printed_and_ends_with_1(
    logged_in: Inside, world: World, status: int
) -> None:
    world.at("answer", text('{"error": "x"}', status))
    ran = logged_in("request", world.url)
    assert (ran.code, ran.out) == (1, '{"error": "x"}')
    assert ran.err.startswith(f"mcp-login: HTTP {status} ")


@pytest.mark.parametrize("server", [Settings(sessions=True)], indirect=True)
def test_a_server_that_keeps_sessions_is_explained_once_there_is_a_need(
    inside: Inside, server: DemoServer
) -> None:
    inside.log_in(server.url)
    without = inside("request", server.url, "-d", LIST)
    assert without.code == 1
    assert "Missing session ID" in without.out
    assert "This server keeps sessions: send initialize first" in without.err
    hello = inside("request", server.url, "-d", LIST.replace("tools/list", "initialize"), "-v")
    named = re.search(r"^ *(mcp-session-id: .*)$", hello.err, re.MULTILINE)
    assert named
    early = inside("request", server.url, "-d", LIST, "-H", named[1])
    assert (early.code, "keeps sessions" in early.err) == (1, False)


def test_verbose_shows_status_and_headers_beside_the_body(
    logged_in: Inside, world: World, heard: Heard
) -> None:
    ran = logged_in("request", world.url, "-v", "-d", "{}")
    assert ran.out == "{}"
    head = [line.strip() for line in ran.err.splitlines()]
    assert "HTTP/1.1 200 OK" in head
    assert "content-type: application/json" in map(str.lower, head)


def test_no_cookie_is_shown(logged_in: Inside, world: World) -> None:
    world.at("answer", document({}, 200, **{"Set-Cookie": "id=planted"}))
    err = logged_in("request", world.url, "-v").err
    assert "set-cookie: …" in err.lower()
    assert "planted" not in err


def test_a_server_that_is_gone_ends_with_6(logged_in: Inside, world: World) -> None:
    world.at("answer", lambda exchange: exchange.connection.close())
    ran = logged_in("request", world.url)
    assert (ran.code, ran.out) == (6, "")
    assert world.url in ran.err


def test_a_server_that_is_silent_is_waited_for_so_long(logged_in: Inside, world: World) -> None:
    world.at("answer", world.hang)
    ran = logged_in("request", world.url, "--timeout", "0.2")
    assert ran.code == 6
    assert "--timeout" in ran.err


def test_an_answer_that_breaks_off_is_not_called_none(logged_in: Inside, world: World) -> None:
    world.at("answer", cut)
    ran = logged_in("request", world.url)
    assert (ran.code, ran.out) == (6, '{"issuer":')
    assert "mcp-login: the answer broke off: “" in ran.err
    assert f"  at {world.url}\n" in ran.err


def test_nor_is_one_that_stops(logged_in: Inside, world: World) -> None:
    def pieces(response: httpx.Response) -> Iterator[bytes]:
        yield b"half"
        raise httpx.ReadTimeout("timed out", request=response.request)

    logged_in.patch.setattr(httpx.Response, "iter_bytes", pieces)
    ran = logged_in("request", world.url)
    assert (ran.code, ran.out) == (6, "half")
    assert "mcp-login: the answer broke off: “timed out”" in ran.err
    assert "See --timeout" in ran.err


def test_a_reader_that_has_gone_is_no_traceback(terminal: Terminal, world: World) -> None:
    FileStorage(terminal.store).save(credential(world.url))
    world.at("answer", text(b"x" * 4_000_000))
    words = command("request", world.url)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=terminal.environment, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_a_terminal_is_not_steered_by_what_comes(terminal: Terminal, world: World) -> None:
    from tests.support.ptys import at_a_pty

    FileStorage(terminal.store).save(credential(world.url))
    world.at(
        "answer", text("a\x1b]0;title\x07b\x9bc\x08\td\r\ne\u202ef ü\n\xc3", kind="text/plain")
    )
    with at_a_pty(command("request", world.url), terminal.environment) as running:
        assert running.end() == 0
        running.wait_for("Ã")
    assert running.text == "a�]0;title�b�c�\td\r\ne�f ü\r\nÃ\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
@pytest.mark.parametrize(
    ("body", "kind", "shown"),
    [
        ('{"a":[1,"ü"]}', "application/json", '{\n  "a": [\n    1,\n    "ü"\n  ]\n}\n'),
        (
            '{"a\\u001b\u202e":"\x9b"}',
            "application/a+json",
            '{\n  "a\\u001b\\u202e": "\\u009b"\n}\n',
        ),
        ('{"a":\x1b', "application/json", '{"a":�\n'),
        ("data: {}\n\n", "text/event-stream", "data: {}\n\n"),
        ("", "application/json", ""),
        ("[" + " " * 1_500_000 + "1]\n", "application/json", "[" + " " * 1_500_000 + "1]\n"),
    ],
    ids=["json", "what steers", "no json", "a stream", "nothing", "too much to indent"],
)
def test_a_terminal_gets_json_indented_and_ends_with_a_line(
    terminal: Terminal, world: World, body: str, kind: str, shown: str
) -> None:
    from tests.support.ptys import at_a_pty

    FileStorage(terminal.store).save(credential(world.url))
    world.at("answer", text(body, kind=kind))
    environment = {**terminal.environment, "NO_COLOR": "1"}
    with at_a_pty(command("request", world.url), environment) as running:
        assert running.end() == 0
    assert running.text == shown.replace("\n", "\r\n")


def test_colours_are_for_who_wants_them(terminal: Terminal, world: World) -> None:
    from tests.support.ptys import at_a_pty

    FileStorage(terminal.store).save(credential(world.url))
    world.at("answer", text('{"a":1}', kind="application/json"))
    environment = {**terminal.environment, "TERM": "xterm"}
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        with at_a_pty(command("request", world.url), {**environment, **more}) as running:
            assert running.end() == 0
        assert ("\x1b[" in running.text) == coloured


def test_at_a_terminal_what_we_say_begins_a_line(terminal: Terminal, world: World) -> None:
    from tests.support.ptys import at_a_pty

    FileStorage(terminal.store).save(credential(world.url))
    world.at("answer", text("no such thing", 404))
    with at_a_pty(command("request", world.url), terminal.environment) as running:
        assert running.end() == 1
    assert running.text == "no such thing\r\n\x1b[31mmcp-login:\x1b[0m HTTP 404 Not Found\r\n"
    world.at("answer", cut)
    with at_a_pty(command("request", world.url), terminal.environment) as running:
        assert running.end() == 6
    assert running.text.startswith('{"issuer":\r\n\x1b[31mmcp-login:\x1b[0m the answer broke off')


def test_no_token_is_said(logged_in: Inside, world: World, heard: Heard) -> None:
    logged_in.change(world.url, access_token=Secret("planted-one"))
    told = logged_in("request", world.url, "-v").err
    assert "planted" not in told
