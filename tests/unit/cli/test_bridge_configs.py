"""The configuration for each client is well-formed, and starts the bridge as it was asked for."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.cli.bridge_configs import CLIENTS, start_of
from tests.support.inside import Inside
from tests.support.python_path import ROOT

URL = "https://mcp.example.com/mcp"
FORMS = {"codex": "toml", "continue": "yaml", "goose": "yaml", "librechat": "yaml"}


def started(entry: dict[str, Any]) -> list[str]:
    command = entry["command"] if "command" in entry else entry["cmd"]
    return [*command] if isinstance(command, list) else [command, *entry["args"]]


def read(client: str, text: str) -> dict[str, Any]:
    """The entry of the one server."""
    form = FORMS.get(client, "json")
    if form == "yaml":
        yaml = pytest.importorskip("yaml")
        [found] = yaml.safe_load(text).values()
    else:
        [found] = (tomllib.loads(text) if form == "toml" else json.loads(text)).values()
    if isinstance(found, list):
        [entry] = found
        assert entry["name"] == "work"
    else:
        assert [*found] == ["work"]
        entry = found["work"]
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize("client", CLIENTS)
def test_a_configuration_starts_the_bridge(inside: Inside, client: str) -> None:
    from mcp_client_auth.storage.settings import Settings

    Settings().name("work", URL)
    Path("ca.pem").write_text("")
    words = ["--allow-tool", 'get_"*', "--ca", "ca.pem", "-v", "--no-browser"]
    ran = inside("bridge", "work", "--print-config", client, *words)
    assert ran.code == 0, ran.err
    command, *args = started(read(client, ran.out))
    assert Path(command).is_absolute()
    ca = str(Path("ca.pem").absolute())
    given = ["--no-browser", "--allow-tool", 'get_"*', "--ca", ca, "--verbose"]
    assert args[args.index("bridge") :] == ["bridge", URL, *given]


def test_no_secret_goes_into_a_configuration(inside: Inside) -> None:
    header = ["--gateway-header", "X-Key: ${KEY}"]
    ran = inside("bridge", URL, "--print-config", "cursor", *header, KEY="planted-key")
    assert ran.code == 2
    assert "planted-key" not in ran.out + ran.err


def test_what_a_file_has_stays_there_and_is_found_from_anywhere(inside: Inside) -> None:
    Path("place").write_text("redis://:planted-password@127.0.0.1:1/0")
    Path("client").write_text('{"client_id": "ours", "client_secret": "planted-secret"}')
    words = ["--store", "@place", "--static-oauth-client-info", "@client", "--param", "a=b=c"]
    ran = inside("bridge", URL, "--print-config", "cursor", *words, "--timeout", "30")
    assert ran.code == 0, ran.err
    assert "planted" not in ran.out + ran.err
    [entry] = json.loads(ran.out)["mcpServers"].values()
    said = entry["args"][entry["args"].index(URL) + 1 :]
    pairs = dict(zip(said[::2], said[1::2], strict=True))
    assert pairs == {
        "--store": f"@{Path('place').absolute()}",
        "--static-oauth-client-info": f"@{Path('client').absolute()}",
        "--param": "a=b=c",
        "--timeout": "30",
    }


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--secret-file", "x"], "--listen"),
        (["--client-id", "x", "--client-secret-file", "-"], "standard input"),
        (["--callback-port", "3334", "--redirect-uri", "http://127.0.0.1:1/x"], "--redirect-uri"),
        (["--client-id", "x", "--static-oauth-client-info", "{}"], "--client-id"),
        (["--idp-issuer", "https://idp.example"], "--grant"),
    ],
)
def test_no_configuration_is_printed_that_could_not_start(
    inside: Inside, words: list[str], named: str
) -> None:
    ran = inside("bridge", URL, "--print-config", "cursor", *words)
    assert (ran.code, ran.out) == (2, "")
    assert named in ran.err


@pytest.mark.parametrize("form", ["=", " "])
def test_a_configuration_of_mcp_remote_is_said_in_our_words(inside: Inside, form: str) -> None:
    words = ["9696", "--debug", "--transport", "http-only", "--authorize-param", "a=b"]
    client = '{"client_id": "ours", "client_secret": "${SECRET}"}'
    words += f"--static-oauth-client-info{form}".split()
    words = [*words[:-1], words[-1] + client] if form == "=" else [*words, client]
    ran = inside("bridge", URL, *words, "--print-config", "cursor")
    assert ran.code == 0, ran.err
    [entry] = json.loads(ran.out)["mcpServers"].values()
    said = entry["args"][entry["args"].index(URL) + 1 :]
    assert sorted(said) == sorted(
        [
            *("--verbose", "--param", "a=b", "--static-oauth-client-info", client),
            *("--redirect-uri", "http://localhost:9696/oauth/callback"),
        ]
    )


def test_a_secret_in_a_configuration_of_mcp_remote_is_refused(inside: Inside) -> None:
    client = '{"client_id": "ours", "client_secret": "planted-secret"}'
    for more in ([], ["--print-config", "cursor"]):
        ran = inside("bridge", URL, "--static-oauth-client-info", client, *more)
        assert ran.code == 2
        assert "${VARIABLE}" in ran.err
        assert "planted-secret" not in ran.out + ran.err


def test_what_a_client_has_of_the_listener_is_no_command(inside: Inside) -> None:
    ran = inside("bridge", URL, "--listen", "127.0.0.1:0", "--print-config", "cursor")
    assert ran.code == 2
    assert "--listen" in ran.err
    assert inside("bridge", URL, "--secret-file", "x").code == 2


def test_no_secret_is_read_from_the_clients_stdin(inside: Inside) -> None:
    ran = inside("bridge", URL, "--client-id", "ours", "--client-secret-file", "-")
    assert ran.code == 2
    assert "standard input" in ran.err


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (URL, "example"),
        ("https://api.mcp.notes.example/x", "notes"),
        ("http://127.0.0.1:8000/mcp", "server"),
        ("http://[::1]:8000/mcp", "server"),
        ("http://localhost/mcp", "localhost"),
    ],
)
def test_a_server_without_a_name_has_that_of_its_host(url: str, name: str) -> None:
    assert start_of(url, {}, []).name == name
    assert start_of(url, {"my server": url}, []).name == "my-server"


def test_the_page_lists_each_client() -> None:
    page = (ROOT / "docs" / "bridge.md").read_text("utf-8")
    assert {*re.findall(r"^\| [^|]+ \| `([a-z][a-z-]+)` \|", page, re.MULTILINE)} == {*CLIENTS}
