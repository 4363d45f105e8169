"""Which server a word means, and that no file nearby can put another in its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.cli.servers import known_name, require_name, server_url
from mcp_client_auth.errors import UsageError
from mcp_client_auth.storage.settings import Settings
from mcp_client_auth.testing import DemoServer
from tests.support.inside import Inside, credential

EVIL = "https://evil.example.invalid/mcp"
GOOD = "https://good.example.invalid/mcp"


@pytest.mark.parametrize(
    ("word", "url"),
    [
        ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp"),
        (" https://mcp.example.com/mcp ", "https://mcp.example.com/mcp"),
        ("http://mcp.lan/mcp", "http://mcp.lan/mcp"),
        ("mcp.example.com", "https://mcp.example.com"),
        ("mcp.example.com:8443/mcp?a=b", "https://mcp.example.com:8443/mcp?a=b"),
        ("localhost", "http://localhost"),
        ("localhost:8000/mcp", "http://localhost:8000/mcp"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000/mcp", "http://[::1]:8000/mcp"),
        ("127.0.0.1.example.com/mcp", "https://127.0.0.1.example.com/mcp"),
        ("localhost.example.com", "https://localhost.example.com"),
        ("10.0.0.1:8000", "https://10.0.0.1:8000"),
        ("http:8000/mcp", "https://http:8000/mcp"),
    ],
)
def test_a_url_is_itself_and_a_host_is_understood_as_https(
    inside: Inside, word: str, url: str
) -> None:
    inside.names({word.strip(): EVIL})
    assert server_url(word) == url


@pytest.mark.parametrize(
    "word", ["http:/host", "https:ada:planted@host", "HTTPS:/127.0.0.1:8000", "https//host/mcp"]
)
def test_a_url_without_its_slashes_is_not_a_host_that_is_called_http(word: str) -> None:
    with pytest.raises(UsageError, match=r"(?i)which has to be “https?://”") as caught:
        server_url(word)
    assert "planted" not in str(caught.value)


def test_a_name_from_a_login_is_found_by_every_verb(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url, "--name", "work")
    assert inside("token", "work").code == 0
    assert inside("status", "work").code == 0
    assert inside("request", "work", "-d", "{}").code == 1
    assert inside("refresh", "work").code == 0
    assert inside("work").err.startswith(f"You are already logged in to {shared.url}")
    assert inside("list").out.splitlines()[1].startswith(f"work  {shared.url}")
    assert inside("logout", "work").code == 0
    assert not known_name("work"), "it goes with the last login"


def test_a_name_can_be_given_later_and_to_another_server(
    inside: Inside, shared: DemoServer
) -> None:
    inside.keep(credential(GOOD))
    inside.keep(credential(EVIL))
    assert inside("login", GOOD, "--name", "work").code == 0
    assert server_url("work") == GOOD
    ran = inside("login", EVIL, "--name", "work")
    assert ran.code == 0
    assert f"The name “work” was {GOOD} until now." in ran.err
    assert Settings().names() == {"work": EVIL}


@pytest.mark.parametrize(
    "name",
    ["a.b", "a:b", "a/b", "a\\b", "a b", "", "-a", "login", "localhost", "a\x1b[2J", "é" * 61],
)
def test_what_could_be_anything_else_is_no_name_and_nothing_is_sent(
    inside: Inside, shared: DemoServer, name: str
) -> None:
    with pytest.raises(UsageError):
        require_name(name)
    ran = inside("login", shared.url, "--name", name)
    assert ran.code == 2
    assert "cannot be the name of a server" in ran.err
    assert "\x1b" not in ran.err
    assert shared.requests == []


# From a configuration at hand


@pytest.mark.parametrize("key", ["url", "httpUrl", "serverUrl"])
def test_a_name_from_a_file_is_said_with_its_url_and_the_file(
    inside: Inside, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    Path(".mcp.json").write_text(json.dumps({"mcpServers": {"work": {key: GOOD}}}))
    assert server_url("work") == GOOD
    assert capsys.readouterr() == ("", f"“work” is {GOOD} (from {Path.cwd() / '.mcp.json'})\n")


def test_a_password_in_a_files_url_is_not_said(inside: Inside) -> None:
    inside.names({"notes": "https://ada:planted@mcp.example.com/mcp?tenant=a"})
    ran = inside("token", "notes")
    assert ran.code == 2
    assert "https://mcp.example.com/mcp?tenant=a" in ran.err
    assert "planted" not in ran.err


def test_it_is_said_when_quiet_too(inside: Inside) -> None:
    inside.names({"work": GOOD})
    assert "(from " in inside("token", "work", "-q").err


def own(inside: Inside, names: dict[str, str], file: str = ".cursor/mcp.json") -> None:
    """The person's own configuration names these servers."""
    place = inside.home / file
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps({"mcpServers": {n: {"url": url} for n, url in names.items()}}))


def test_ones_own_configuration_comes_before_a_file_nearby(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(inside, {"work": GOOD}, ".claude.json")
    project = inside.home / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    for place in (".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json"):
        Path(place).parent.mkdir(exist_ok=True)
        Path(place).write_text(json.dumps({"mcpServers": {"work": {"url": EVIL}}}))
    assert server_url("work") == GOOD


def test_a_name_for_several_servers_is_refused(inside: Inside) -> None:
    projects = {f"/{url}": {"mcpServers": {"work": {"url": url}}} for url in (GOOD, EVIL)}
    (inside.home / ".claude.json").write_text(json.dumps({"projects": projects}))
    ran = inside("token", "work")
    assert ran.code == 2
    assert "“work” stands for 2 servers in" in ran.err


def belongs_to_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        return
    inode = path.stat().st_ino
    monkeypatch.setattr(
        "mcp_client_auth.cli.mcp_configs.is_foreign", lambda state: state.st_ino == inode
    )


@pytest.mark.skipif(os.name != "posix", reason="Windows has no owner that is a number")
@pytest.mark.parametrize("file", [".mcp.json", ".cursor/mcp.json", ".claude.json"])
def test_another_users_file_is_not_believed(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    own(inside, {"work": EVIL}, file)
    belongs_to_another(inside.home / file, monkeypatch)
    ran = inside("login", "work")
    assert ran.code == 2
    assert "is not a known server" in ran.err
    assert "evil" not in ran.err
    if file == ".mcp.json":
        assert f"{inside.home / file}” was not read" in ran.err


@pytest.mark.skipif(os.name != "posix", reason="POSIX links")
def test_a_link_in_a_directory_is_not_followed_and_one_in_the_home_is(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(inside, {"work": GOOD}, "dotfiles.json")
    project = inside.home / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    Path(".mcp.json").symlink_to(inside.home / "dotfiles.json")
    ran = inside("login", "work")
    assert (ran.code, "was not read" in ran.err) == (2, True)
    (inside.home / ".claude.json").symlink_to(inside.home / "dotfiles.json")
    assert server_url("work") == GOOD


def test_nor_is_a_certificate_shown_there_before_a_login(
    inside: Inside, shared: DemoServer
) -> None:
    inside.names({"notes": shared.url})
    Path("cert.pem").touch()
    ran = inside("login", "notes", "--cert", "cert.pem", MCP_CLIENT_AUTH_TIMEOUT="1")
    assert (ran.code, shared.requests) == (3, [])


SENDING = {
    "tools": [],
    "call": ["whoami"],
    "request": ["-d", '{"secret": "planted"}'],
    "token": [],
    "exec": ["--", "true"],
    "headers": [],
    "refresh": [],
    "status": ["--check"],
}


@pytest.mark.parametrize("verb", SENDING)
@pytest.mark.parametrize("account", ["default", "work"])
def test_a_name_from_a_file_nearby_sends_nothing_to_a_server_without_a_login(
    inside: Inside,
    shared: DemoServer,
    verb: str,
    account: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.execvpe", pytest.fail)  # it would end this process
    inside.keep(credential(shared.url + "/other"))
    inside.keep(credential(shared.url, account="another"))
    inside.names({"notes": shared.url})
    ran = inside(verb, "notes", "--account", account, *SENDING[verb])
    assert (ran.code, ran.out) == (3, "")
    assert "which may be someone else's" in ran.err
    assert f"mcp-login {shared.url}" in ran.err
    assert shared.requests == []


@pytest.mark.parametrize("verb", ["tools", "call", "request", "token", "refresh", "status"])
def test_it_is_good_for_a_server_with_a_login(
    inside: Inside, shared: DemoServer, verb: str
) -> None:
    inside.names({"notes": shared.url})
    inside.log_in("notes")
    hello = '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
    words = {**SENDING, "request": ["-d", hello]}[verb]
    assert inside(verb, "notes", *words).code == 0


def test_logout_and_a_look_need_no_login(inside: Inside) -> None:
    inside.names({"notes": GOOD})
    assert "not logged in" in inside("status", "notes").err
    assert inside("logout", "notes").code == 0


@pytest.mark.parametrize("name", ["work", "notes"])
def test_ones_own_names_send_what_they_are_told(
    inside: Inside, shared: DemoServer, name: str
) -> None:
    Settings().name("work", shared.url)
    own(inside, {"notes": shared.url})
    assert "notes" not in inside("request", name, "-d", "{}", "-q").err
    assert [request.path for request in shared.requests] == ["/mcp"]


@pytest.mark.parametrize(
    "words",
    [
        ["login", "work", "--client-id", "x", "--client-secret-file", "secret"],
        ["login", "work", "--client-id", "x", "--client-key-file", "secret"],
        ["login", "work", "--initial-access-token-file", "secret"],
        [
            *("token", "work", "--grant", "client_credentials"),
            *("--client-id", "x", "--client-secret-file", "secret"),
        ],
        ["token", "work", "--grant", "workload_identity", "--assertion-file", "secret"],
    ],
    ids=lambda words: words[0] + words[-2],
)
def test_no_secret_goes_with_a_name_from_a_file_nearby(
    inside: Inside, shared: DemoServer, words: list[str]
) -> None:
    Path("secret").write_text("planted")
    inside.log_in(shared.url)
    shared.clear_requests()
    inside.names({"work": shared.url})
    ran = inside(*words, MCP_CLIENT_AUTH_TIMEOUT="1")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be used with it" in ran.err
    assert "planted" not in ran.err
    assert shared.requests == []


def test_nor_does_one_of_the_environment(inside: Inside, shared: DemoServer) -> None:
    Path("secret").write_text("planted")
    inside.names({"work": shared.url})
    inside.patch.setenv("MCP_CLIENT_AUTH_CLIENT_ID", "x")
    inside.patch.setenv("MCP_CLIENT_AUTH_CLIENT_SECRET_FILE", "secret")
    ran = inside("login", "work", MCP_CLIENT_AUTH_TIMEOUT="1")
    assert (ran.code, shared.requests) == (2, [])


def test_a_name_that_has_become_a_verb_is_reached_through_login(
    inside: Inside, shared: DemoServer
) -> None:
    Settings().name("doctor", shared.url)
    inside.log_in("login", "doctor")
    assert inside("status", "doctor").code == 0
    assert inside("login", shared.url, "--name", "doctor").code == 2


def test_ones_own_name_comes_before_a_files(inside: Inside) -> None:
    inside.names({"work": EVIL})
    Settings().name("work", GOOD)
    assert server_url("work") == GOOD


def test_the_nearest_file_counts(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.names({"work": EVIL, "other": EVIL})
    below = inside.home / "project"
    below.mkdir()
    monkeypatch.chdir(below)
    inside.names({"work": GOOD})
    assert server_url("work") == GOOD
    assert server_url("other") == EVIL, "a directory above"


@pytest.mark.parametrize(
    "word",
    ["good.example.invalid", "good.example.invalid/mcp", "localhost", "a:1", "login", "token"],
)
def test_a_file_cannot_stand_for_a_host_or_a_verb(inside: Inside, word: str) -> None:
    inside.names({word: EVIL})
    ran = inside(word, "--timeout", "0.1") if word in ("login", "token") else None
    assert ran is None or (ran.code, "evil" in ran.err) == (2, False)
    if ran is None:
        assert "evil" not in server_url(word)


@pytest.mark.parametrize(
    "url", ["https://evil.example/${SECRET}", "https://${HOST}/mcp", "${input:url}", "${env:URL}"]
)
@pytest.mark.parametrize("verb", ["login", "token", "request", "logout"])
def test_a_variable_in_it_is_refused(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, url: str, verb: str
) -> None:
    monkeypatch.setenv("SECRET", "planted")
    inside.names({"work": url})
    ran = inside(verb, "work")
    assert (ran.code, ran.out) == (2, "")
    assert "has a variable in it" in ran.err
    assert ".mcp.json" in ran.err
    assert "planted" not in ran.err


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/\x1b]0;x\x07",
        "https://evil.example/a b",
        "javascript:alert(1)",
        "",
        "file:///etc/passwd",
        "https://me:secret@evil.example/",
        "https://evil\u202e.example/",
    ],
)
def test_what_is_no_url_there_is_none_here(inside: Inside, url: str) -> None:
    inside.names({"work": url})
    ran = inside("token", "work")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.isprintable() or set(ran.err) - {"\n"} <= {c for c in ran.err if c.isprintable()}


@pytest.mark.skipif(os.name != "posix", reason="names that Windows does not allow")
@pytest.mark.parametrize("url", [GOOD, "${X}"])
def test_a_directory_with_a_strange_name_does_not_steer_the_terminal(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    strange = inside.home / "a\x1b]0;b\nc"
    strange.mkdir()
    monkeypatch.chdir(strange)
    inside.names({"work": url})
    err = inside("token", "work").err
    assert "\x1b" not in err
    assert "a ]0;b c/.mcp.json" in err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"mcpServers": []}',
        '{"mcpServers": {"work": []}}',
        "\x00",
        "1" * 100,
        '{"mcpServers": {"work": {"url": 5}}}',
        "[" * 100000,
        '{"mcpServers": {"Work": {}}}',
    ],
    ids=range(10),
)
def test_a_file_that_is_none_is_passed_over(inside: Inside, content: str) -> None:
    Path(".mcp.json").write_text(content)
    ran = inside("token", "work")
    assert ran.code == 2
    assert "“work” is not a known server" in ran.err
    assert (".mcp.json” was not read: not a JSON object" in ran.err) == ("mcpS" not in content)


@pytest.mark.parametrize("place", [".mcp.json", ".vscode/mcp.json"])
def test_a_file_with_comments_is_named_where_a_name_is_not_known(
    inside: Inside, place: str
) -> None:
    own(inside, {"work": GOOD}, place)
    file = inside.home / place
    file.write_text("// my servers\n" + file.read_text())
    ran = inside("login", "work")
    assert ran.code == 2
    assert "was not read: not a JSON object (comments" in ran.err


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
@pytest.mark.parametrize("kind", ["pipe", "directory", "loop", "device"])
def test_what_is_no_file_is_passed_over(inside: Inside, kind: str) -> None:
    make: dict[str, Any] = {
        "pipe": lambda: os.mkfifo(".mcp.json"),
        "directory": lambda: os.mkdir(".mcp.json"),
        "loop": lambda: os.symlink(".mcp.json", ".mcp.json"),
        "device": lambda: os.symlink("/dev/zero", ".mcp.json"),
    }
    make[kind]()
    assert inside("token", "work").code == 2


def test_a_directory_that_is_gone_is_no_traceback(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = inside.home / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert inside("token", "work").code == 2


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["lgoin", GOOD], "login"),
        (["tokne", GOOD], "token"),
        (["staus"], "status"),
        (["log-out"], "logout"),
        (["requst", GOOD], "request"),
        (["zzz"], ""),
        (["a\x1b[2J"], ""),
    ],
    ids=lambda value: ascii(" ".join(value)) if isinstance(value, list) else "",
)
def test_a_mistyped_verb_suggests_the_right_one(
    inside: Inside, words: list[str], meant: str
) -> None:
    ran = inside(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "is neither a command nor a known server" in ran.err
    assert (f"Did you mean {meant}?" in ran.err) == bool(meant)
    assert "\x1b" not in ran.err


@pytest.mark.parametrize("words", [["wrok"], ["token", "wrok"], ["login", "works"]])
def test_a_mistyped_name_suggests_the_right_one(inside: Inside, words: list[str]) -> None:
    Settings().name("work", GOOD)
    ran = inside(*words)
    assert (ran.code, ran.out) == (2, "")
    assert f"“{words[-1]}” is n" in ran.err
    assert "server. Did you mean work?\n" in ran.err


@pytest.mark.parametrize("words", [["--json", "list"], ["-q", "status"], ["-v", "token", GOOD]])
def test_an_option_before_the_verb_is_told_its_place(inside: Inside, words: list[str]) -> None:
    inside.names({words[1]: EVIL})
    ran = inside(*words)
    assert ran.code == 2
    assert f"then its options: mcp-login {words[1]}" in ran.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--bogus", ""),
        ("--nonsense", ""),
        ("--accout=work", "--account"),
        ("--client-secret=planted", "--client-secret-file"),
        ("--nobrowser", "--no-browser"),
        ("--quite", "--quiet"),
        ("--x", ""),
        ("-Z", ""),
    ],
)
def test_a_mistyped_option_suggests_only_what_is_close(
    inside: Inside, typed: str, meant: str
) -> None:
    ran = inside("login", GOOD, typed)
    assert ran.code == 2
    assert "planted" not in ran.err
    _, asked, suggested = ran.err.splitlines()[0].partition("Did you mean ")
    assert (bool(asked), suggested) == (bool(meant), f"{meant}?" if meant else "")
