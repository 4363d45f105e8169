"""`--quiet`, `--verbose` and `--trace`: what each one shows, and that it holds no secret."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import __version__
from mcp_client_auth.events import STEPS
from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.hostile import ACCESS, CODE, REFRESH, World
from tests.support.inside import Inside, credential

URL = "https://mcp.example.invalid/mcp"
SECRET = "planted-client-secret"
CLIENT = RegisteredClient("ours", SECRET, "client_secret_post", ("http://127.0.0.1/callback",))


def lines(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def test_a_trace_has_every_step_as_a_line_of_json(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url, "--trace", "trace")
    first, *steps = lines("trace")
    assert first["version"] == 1
    assert first["mcp_client_auth"] == __version__
    told = [step["name"] for step in steps if "step" in step]
    assert told == list(STEPS)
    assert all({"time", "name"} <= step.keys() for step in steps)
    assert all(re.fullmatch(r"\d{4}-.*\+00:00", step["time"]) for step in steps)


def test_no_secret_is_in_trace_or_words_or_log(
    inside: Inside, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = inside.log_in(world.url, "-v", "--trace", "login").err
    inside.expire(world.url)
    ran = [
        inside("token", world.url, "-v", "--trace", "token"),
        inside("refresh", world.url, "-v", "--trace", "refresh"),
        inside("request", world.url, "-v", "--trace", "request"),
        inside("status", "--check", "-v", "--trace", "status"),
        inside("logout", world.url, "-v", "--trace", "logout"),
    ]
    assert [each.code for each in ran] == [0] * 5
    bodies = b" ".join(body for _, body in world.bodies).decode()
    verifiers = re.findall(r"code_verifier=([^&\s]+)", bodies)
    traces = "".join(Path(n).read_text() for n in ("login", "token", "refresh", "status", "logout"))
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("mcp_client_auth")]
    shown = re.sub(r"^  http://\S+$", "", said, flags=re.MULTILINE)  # the address to open
    text = "\n".join([shown, traces, *ours, *(each.err for each in ran)])
    assert verifiers
    for secret in (ACCESS, REFRESH, CODE, *verifiers, *re.findall(r"state=([\w-]+)", said)):
        assert secret not in text


@pytest.mark.parametrize("server", [Settings(registration=False, clients=(CLIENT,))], indirect=True)
def test_a_clients_secret_is_not_in_it(
    inside: Inside, server: DemoServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Path("secret").write_text(SECRET)
    client = ("--client-id", "ours", "--client-secret-file", "secret")
    said = inside.log_in(server.url, *client, "-v", "--trace", "trace").err
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("mcp_client_auth")]
    assert SECRET not in "\n".join([said, Path("trace").read_text(), *ours])


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize("there", [False, True])
def test_only_its_owner_can_read_a_trace(inside: Inside, there: bool) -> None:
    if there:
        Path("trace").write_text("old " * 1000)
        Path("trace").chmod(0o644)
    assert inside("token", URL, "--trace", "trace").code == 3
    assert stat.S_IMODE(Path("trace").stat().st_mode) == 0o600
    assert lines("trace")[0]["version"] == 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
@pytest.mark.parametrize("path", ["link", "no/such/directory", ".", "/dev/full"])
@pytest.mark.parametrize("verb", ["login", "token", "request", "status", "logout", "refresh"])
def test_a_trace_that_cannot_be_written_ends_it_before_anything_is_sent(
    inside: Inside, shared: DemoServer, path: str, verb: str
) -> None:
    if not Path(path).exists() and path == "/dev/full":
        pytest.skip("/dev/full")
    Path("target").write_text("precious")
    Path("link").symlink_to("target")
    inside.keep(credential(shared.url))
    words = ["--check"] if verb == "status" else ["--force"] if verb == "login" else []
    ran = inside(verb, shared.url, *words, "--trace", path)
    assert (ran.code, ran.out) == (2, "")
    assert "the trace cannot be written to" in ran.err
    assert shared.requests == []
    assert Path("target").read_text() == "precious"


def test_the_sessions_of_one_run_share_a_trace(inside: Inside, shared: DemoServer) -> None:
    for account in ("default", "work"):
        inside.log_in(shared.url, "--account", account)
    for words in (["status", "--check"], ["logout", "--all", "--yes"]):
        shared.clear_requests()
        assert inside(*words, "--trace", "trace").code == 0
        told = lines("trace")
        assert [line.get("version") for line in told] == [1] + [None] * (len(told) - 1)
        if words[0] == "logout":
            assert [line.get("name") for line in told].count("revocation") >= 2


def test_a_trace_may_go_to_stderr(inside: Inside) -> None:
    ran = inside("token", URL, "--trace", "-")
    assert json.loads(ran.err.splitlines()[0])["version"] == 1


# Pipes: a login does not end with its trace


@pytest.fixture
def pipe(inside: Inside) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("named pipes")
    os.mkfifo("pipe")
    return Path("pipe")


def test_a_pipe_that_no_program_reads_is_said_at_once(
    inside: Inside, shared: DemoServer, pipe: Path
) -> None:
    ran = inside(shared.url, "--trace", "pipe")
    assert ran.code == 2
    assert "it is a pipe that no program reads" in ran.err
    assert shared.requests == []


@pytest.mark.parametrize("reader", ["reads", "is gone", "is full"])
def test_a_login_outlives_the_reader_of_its_trace(
    inside: Inside, server: DemoServer, pipe: Path, reader: str
) -> None:
    handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    if reader == "is full":  # with room for the first line only
        writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.read(handle, 4096)
    elif reader == "is gone":

        def leave_and_open(url: str) -> bool:
            os.close(handle)
            return inside.browser(url)

        inside.patch.setattr("mcp_client_auth.prompt.open_browser.open_url", leave_and_open)
    inside.log_in(server.url, "--trace", "pipe")
    if reader == "reads":
        told = [json.loads(line) for line in os.read(handle, 1 << 20).splitlines()]
        assert {line["name"] for line in told[1:]} >= set(STEPS)
    if reader != "is gone":
        os.close(handle)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="/dev/fd")
def test_a_pipe_of_the_shell_takes_a_trace(inside: Inside) -> None:
    out, into = os.pipe()
    inside("token", URL, "--trace", f"/dev/fd/{into}")
    assert json.loads(os.read(out, 1 << 16).splitlines()[0])["version"] == 1
    os.close(out)
    os.close(into)


# Quiet


def test_a_quiet_login_says_only_the_address(inside: Inside, shared: DemoServer) -> None:
    said = inside.log_in(shared.url, "-q").err
    assert re.search(r"^  http://\S+authorize\?\S+$", said, re.MULTILINE)
    for words in ("Logged in", "asked the server", "account", "signed in", "expires"):
        assert words not in said
    assert inside.log_in(shared.url, "-q").err == ""
    assert inside.log_in(shared.url, "-q", "--force", "-v").err.count("HTTP") == 0


@pytest.mark.parametrize(
    "words", [["refresh"], ["status"], ["token"], ["request", "-d", "{}"], ["logout"]], ids=str
)
def test_the_other_verbs_say_nothing_when_quiet(
    inside: Inside, shared: DemoServer, words: list[str]
) -> None:
    inside.log_in(shared.url)
    verb, *more = words
    ran = inside(verb, shared.url, *more, "-q")
    assert ran.err.replace("mcp-login: HTTP 400 Bad Request\n", "") == ""
    assert bool(ran.out) == (verb in ("status", "token", "request"))


def test_errors_are_said_in_any_case(inside: Inside) -> None:
    ran = inside("token", URL, "-q")
    assert ran.code == 3
    assert "you are not logged in" in ran.err


def test_nothing_but_the_answer_is_on_stdout(inside: Inside, shared: DemoServer) -> None:
    assert inside.log_in(shared.url, "-v").out == ""
    assert inside("token", shared.url, "-v").out.count("\n") == 1
    assert inside("refresh", shared.url, "-v").out == ""
    assert inside("logout", shared.url, "-v").out == ""
