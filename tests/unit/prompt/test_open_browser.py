from __future__ import annotations

import json
import os
import shlex
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_client_auth.environment import Machine
from mcp_client_auth.errors import InsecureUrl
from mcp_client_auth.prompt import open_browser as browser
from mcp_client_auth.prompt.open_browser import can_open, checked_url, open_url

URL = "https://auth.example.com/authorize?client_id=a&state=s3cret&scope=x%20y"
posix = pytest.mark.skipif(os.name != "posix", reason="a script is no program here")

Script = Callable[..., Path]


@pytest.fixture(autouse=True)
def nothing_else_to_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No browser but the one that a test sets, and an empty PATH."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "CI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A program that writes its arguments to `NAME.json`, waits and exits."""

    def make(name: str, status: int = 0, seconds: float = 0) -> Path:
        path = tmp_path / "bin" / name
        path.write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys, time\n"
            "said = {'argv': sys.argv[1:], 'session': os.getsid(0), 'stdin': sys.stdin.read(),\n"
            "        'environment': dict(os.environ),\n"
            "        'tty': [os.path.realpath(f'/dev/fd/{n}') for n in range(3)]}\n"
            "open(sys.argv[0] + '.new', 'w').write(json.dumps(said))\n"
            "os.rename(sys.argv[0] + '.new', sys.argv[0] + '.json')\n"
            f"time.sleep({seconds})\n"
            f"sys.exit({status})\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


def said(path: Path) -> dict[str, object]:
    """What the script was given, as soon as it has written it."""
    told = path.with_name(path.name + ".json")
    end = time.monotonic() + 60
    while not told.exists() and time.monotonic() < end:
        time.sleep(0.01)
    result: dict[str, object] = json.loads(told.read_text())
    return result


def was_run(path: Path) -> bool:
    return path.with_name(path.name + ".json").exists()


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://auth.example.com",
        "HTTPS://auth.example.com/a",
        "https://auth.example.com:8443/a?b=c#d",
        "http://127.0.0.1:1234/authorize?x=y",
        "http://localhost:1234/a",
        "http://[::1]:1234/a",
        "https://xn--bcher-kva.example/a",
    ],
)
def test_an_address_that_may_be_opened_is_handed_back_as_it_is(url: str) -> None:
    assert checked_url(url) == url


REFUSED = [
    "javascript:alert(document.domain)//s3cret",
    "JavaScript://auth.example.com/%0aalert(1)?s3cret",
    "file:///etc/passwd?s3cret",
    "data:text/html,<script>alert(1)</script>s3cret",
    "ms-msdt:/id?s3cret",
    "vbscript:s3cret",
    "ftp://auth.example.com/?s3cret",
    "http://auth.example.com/?s3cret",
    "http://127.0.0.1.evil.example/?s3cret",
    "http://10.0.0.1/?s3cret",
    "https://user@auth.example.com/?s3cret",
    "https://user:s3cret@auth.example.com/",
    "https://@auth.example.com/?s3cret",
    "https://auth.example.com\\@evil.example/?s3cret",
    "https:///authorize?s3cret",
    "https://?s3cret",
    "https:auth.example.com?s3cret",
    "//auth.example.com/?s3cret",
    "-https://auth.example.com/?s3cret",
    "--profile=/s3cret",
    " https://auth.example.com/?s3cret",
    "https://auth.example.com/ --s3cret",
    "https://auth.example.com/\n?s3cret",
    "https://auth.example.com/\r\nX: s3cret",
    "https://auth.example.com/\t?s3cret",
    "https://auth.example.com/\x1b]8;;s3cret",
    "https://auth.example.com/\x00s3cret",
    "https://аuth.example.com/?s3cret",
    "https://auth.example.com/\u202es3cret",
    "https://auth.example.com:s3cret/",
    "https://auth.example.com:99999/?s3cret",
    "https://[::1/?s3cret",
    "s3cret",
    "",
]


@posix
@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_no_browser_may_see_is_refused_and_its_query_not_repeated(
    url: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script("trap")
    monkeypatch.setenv("BROWSER", str(path))
    for attempt in (checked_url, open_url):
        with pytest.raises(InsecureUrl) as caught:
            attempt(url)
        assert "s3cret" not in str(caught.value) + repr(vars(caught.value))
        assert str(caught.value).isprintable()
    assert not was_run(path)


@pytest.mark.parametrize(
    ("environ", "platform", "possible"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({"BROWSER": ""}, "linux", False),
        ({"BROWSER": "lynx"}, "linux", False),
        ({"BROWSER": "/usr/bin/w3m %s"}, "linux", False),
        ({"BROWSER": os.pathsep.join(("w3m", "firefox"))}, "linux", True),
        ({"BROWSER": "lynx", "DISPLAY": ":0"}, "linux", True),
        ({"BROWSER": "'"}, "linux", False),
        ({"CI": "true", "DISPLAY": ":0"}, "linux", False),
        ({"CI": "1", "BROWSER": "firefox"}, "darwin", False),
        ({"CI": "false", "DISPLAY": ":0"}, "linux", True),
        ({"CI": ""}, "darwin", True),
        ({"SSH_CONNECTION": "1 2 3 4"}, "linux", False),
        ({"SSH_CONNECTION": "1 2 3 4"}, "darwin", False),
        ({"SSH_TTY": "/dev/pts/0"}, "win32", False),
        ({"SSH_CONNECTION": "1 2 3 4", "DISPLAY": "localhost:10"}, "linux", True),
        ({"SSH_CONNECTION": "1 2 3 4", "BROWSER": "/x/helpers/browser.sh"}, "linux", True),
        ({"VSCODE_IPC_HOOK_CLI": "/run/x.sock", "BROWSER": "/x/browser.sh"}, "linux", True),
        ({"VSCODE_IPC_HOOK_CLI": "/run/x.sock"}, "linux", False),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", False),
        ({"JUPYTERHUB_API_URL": "http://hub/api", "DISPLAY": ":0"}, "linux", False),
        ({"JUPYTERHUB_API_URL": "http://hub/api"}, "darwin", False),
        ({"COLAB_RELEASE_TAG": "release-colab"}, "linux", False),
    ],
)
def test_whether_a_person_would_see_a_browser(
    environ: dict[str, str], platform: str, possible: bool
) -> None:
    assert can_open(Machine(environ, platform)) is possible


def test_without_arguments_this_process_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert can_open() is False
    monkeypatch.setenv("DISPLAY", ":0")
    assert can_open() is True


@posix
def test_the_key_of_our_files_is_not_handed_to_the_browser(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", str(script("netscape")))
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", "planted")
    monkeypatch.setenv("MINE", "kept")
    assert open_url(URL)
    environment = said(Path(os.environ["BROWSER"]))["environment"]
    assert isinstance(environment, dict)
    assert environment["MINE"] == "kept"
    assert "planted" not in environment.values()


@posix
def test_a_display_of_windows_below_linux_is_found(script: Script) -> None:
    script("wslview")
    assert can_open(Machine({"WSL_DISTRO_NAME": "Debian"}, "linux")) is True


@posix
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{0}", [URL]),
        ("{0} %s", [URL]),
        ("{0} --new-window %s --end", ["--new-window", URL, "--end"]),
        ("{0} --app=%s", [f"--app={URL}"]),
        ("{0} '--profile=a b'", ["--profile=a b", URL]),
        ("{0} &", [URL]),
        ("{0} %s &", [URL]),
        ("{0} '%s;id'", [f"{URL};id"]),
    ],
)
def test_the_browser_variable_is_a_list_of_arguments(
    template: str, expected: list[str], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script("my-browser")
    monkeypatch.setenv("BROWSER", template.format(shlex.quote(str(path))))
    assert open_url(URL) is True
    assert said(path)["argv"] == expected


@posix
def test_a_program_with_a_blank_in_its_path_needs_no_quotes(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script("my browser")
    monkeypatch.setenv("BROWSER", str(path))
    assert open_url(URL) is True
    assert said(path)["argv"] == [URL]


@posix
@pytest.mark.parametrize(
    ("tail", "sent"),
    [
        ("&b=c&d=e", "&b=c&d=e"),
        ("$(touch${IFS}x)", "%24%28touch%24%7BIFS%7Dx%29"),
        ("`id`", "%60id%60"),
        (";id", "%3Bid"),
        ("|id", "%7Cid"),
        ("'\"", "%27%22"),
        ("%USERPROFILE%", "%25USERPROFILE%25"),
        ("%s", "%25s"),
        ("%2F%3b", "%2F%3b"),
        ("*<>!^", "%2A%3C%3E%21%5E"),
        ("~#[]@,", "~#[]@,"),
    ],
)
@pytest.mark.parametrize("template", ["{0}", "{0} x %s"])
def test_an_address_with_shell_characters_stays_one_argument_and_is_escaped(
    tail: str, sent: str, template: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script("my-browser")
    monkeypatch.setenv("BROWSER", template.format(path))
    url = "https://auth.example.com/a?b="
    assert open_url(url + tail) is True
    argv = said(path)["argv"]
    assert isinstance(argv, list)
    assert argv[-1] == url + sent
    assert len(argv) == (1 if template == "{0}" else 2)


@posix
def test_a_browser_that_stays_does_not_make_us_wait_and_has_a_session_of_its_own(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script("stays", seconds=60)
    monkeypatch.setenv("BROWSER", str(path))
    started = time.monotonic()
    assert open_url(URL) is True
    assert time.monotonic() - started < 50
    told = said(path)
    assert told["session"] != os.getsid(0)
    assert told["stdin"] == ""
    assert set(told["tty"]) == {"/dev/null"}  # type: ignore[call-overload]


@posix
def test_after_one_that_fails_or_is_missing_the_next_is_tried(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fails, works = script("fails", status=3), script("works")
    monkeypatch.setattr(browser, "_MOMENT", 10)
    entries = (str(tmp_path / "missing"), "'", "", "lynx", str(fails), "works", "never")
    monkeypatch.setenv("BROWSER", os.pathsep.join(entries))
    assert open_url(URL) is True
    assert was_run(fails)
    assert was_run(works)


@posix
def test_a_browser_in_the_terminal_is_never_started(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    lynx, w3m, opener = script("lynx"), script("w3m"), script("xdg-open")
    monkeypatch.setenv("BROWSER", os.pathsep.join(("lynx", str(w3m))))
    monkeypatch.setattr(sys, "platform", "linux")
    assert open_url(URL) is False  # xdg-open without a display would start one
    assert not any(map(was_run, (lynx, w3m, opener)))


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_no_browser_at_all_is_no_error(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("BROWSER", "missing")
    assert open_url(URL) is False


@posix
def test_what_cannot_be_executed_is_no_error(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script("broken")
    path.write_bytes(b"\x7fELF this is none")
    monkeypatch.setenv("BROWSER", str(path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert open_url(URL) is False


@posix
def test_a_batch_file_is_never_given_an_address(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script("browser.CMD")
    monkeypatch.setenv("BROWSER", str(path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert open_url(URL) is False
    assert not was_run(path)


@posix
@pytest.mark.parametrize(
    ("platform", "environ", "programs", "opened"),
    [
        ("linux", {"DISPLAY": ":0"}, ["xdg-open", "gio"], ("xdg-open", [URL])),
        ("linux", {"WAYLAND_DISPLAY": "w"}, ["gio"], ("gio", ["open", URL])),
        ("linux", {"DISPLAY": ":0"}, ["firefox"], ("firefox", [URL])),
        ("linux", {"WSL_DISTRO_NAME": "x"}, ["wslview", "xdg-open"], ("wslview", [URL])),
        ("darwin", {}, ["open", "xdg-open"], ("open", [URL])),
    ],
)
def test_each_platform_has_its_way(
    platform: str,
    environ: dict[str, str],
    programs: list[str],
    opened: tuple[str, list[str]],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    paths = {name: script(name) for name in programs}
    assert open_url(URL) is True
    name, argv = opened
    assert said(paths[name])["argv"] == argv
    assert [path for path in paths.values() if was_run(path)] == [paths[name]]


def test_windows_opens_it_without_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "startfile", opened.append, raising=False)
    assert open_url(URL) is True
    assert opened == [URL]


def test_windows_without_a_browser_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def startfile(_: str) -> None:
        raise OSError("no application is associated")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "startfile", startfile, raising=False)
    assert open_url(URL) is False
