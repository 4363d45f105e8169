"""Each word of mcp-remote 0.15: the same in our words, dropped, or refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from mcp_client_auth import UsageError
from mcp_client_auth.cli.mcp_remote_words import client_of, ours
from mcp_client_auth.cli.verbs.bridge import command as bridge

URL = "https://mcp.example.com/sse"
TAKING = ["--account", "--timeout", "--param", "--resource", "--ignore-tool"]


def read(*words: str) -> list[str]:
    return ours([*words], TAKING)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ([], []),
        (["--account", "9696"], ["--account", "9696"]),
        (["--timeout=60", "-v"], ["--timeout=60", "-v"]),
        (["--ignore-tool", "delete*"], ["--ignore-tool", "delete*"]),
        (["--resource", "https://a.example/"], ["--resource", "https://a.example/"]),
        (["--disable-resource-parameter"], ["--resource", ""]),
        (["--authorize-param", "a=b"], ["--param", "a=b"]),
        (["--authorize-param=a=b"], ["--param=a=b"]),
        (
            ["--allow-http", "--debug", "--silent"],
            ["--allow-insecure-http", "--verbose", "--quiet"],
        ),
        (["--device-code"], ["--device", "--no-browser"]),
        (["--protocol", "legacy"], []),
        (["--protocol=legacy"], []),
        (["--header", "X-Key:${KEY}"], ["--gateway-header", "X-Key: ${KEY}"]),
        (["--header=X-Key: Key ${KEY}"], ["--gateway-header", "X-Key: Key ${KEY}"]),
        (["--header", "X-Key: @file"], ["--gateway-header", "X-Key: @file"]),
        (
            ["--static-oauth-client-metadata", '{"scope": "a b", "client_name": "Host"}'],
            ["--scope=a b", "--client-name=Host"],
        ),
        (["9696"], ["--redirect-uri", "http://localhost:9696/oauth/callback"]),
        (
            ["9696", "--host", "127.0.0.1", "--callback-path", "/cb"],
            ["--redirect-uri", "http://127.0.0.1:9696/cb"],
        ),
        (["--host=127.0.0.1"], ["--redirect-uri", "http://127.0.0.1/oauth/callback"]),
        (["--callback-path=/cb"], ["--redirect-uri", "http://localhost/cb"]),
        *(
            ([name, "7"], [])
            for name in (
                *("--transport", "--auth-success-url", "--connect-timeout"),
                *("--headers-timeout", "--body-timeout", "--ping-interval"),
            )
        ),
        (["--keep-alive", "--enable-proxy", "--disable-cookies", "--ipv4"], []),
    ],
)
def test_a_word_means_the_same_here(words: list[str], kept: list[str]) -> None:
    assert read(URL, *words) == [URL, *kept]


def test_a_port_is_one_behind_the_server_only() -> None:
    assert read("9696") == ["9696"]  # a name of a server, perhaps
    assert read("--account", "a", "9696") == ["--account", "a", "9696"]
    assert read(URL, "9696", "9697")[:2] == [URL, "9697"]  # which click refuses


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--header", "Authorization: Bearer ${TOKEN}"], "--token-file"),
        (["--header", "X-Key: planted-secret"], "--header 'NAME: ${VARIABLE}'"),
        (["--header-file", "f"], "--gateway-header"),
        (["--use-id-token"], "ID token"),
        (["--client-credentials"], "ClientCredentials"),
        (["--token-endpoint", "https://a.example"], "--issuer"),
        (["--protocol", "auto"], "as they are"),
        (["--static-oauth-client-metadata", '{"jwks": {}}'], "scope and client_name"),
        (["--static-oauth-client-metadata", "[]"], ""),
        (["--static-oauth-client-metadata", "@/nowhere"], ""),
        (["--host"], ""),
    ],
)
def test_what_would_be_something_else_is_refused_in_a_sentence(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(URL, *words)
    text = f"{refused.value.summary} {refused.value.hint}"
    assert said in text
    assert words[0].removesuffix("er") in text or "Authorization" in text
    assert "planted-secret" not in text


def test_a_client_has_its_secret_from_a_variable_or_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET", 'a"b')
    text = '{"client_id": "ours", "client_secret": "${SECRET}"}'
    client_id, secret, method = client_of(text)
    assert secret
    assert (client_id, secret.reveal(), method) == ("ours", 'a"b', "")
    file = tmp_path / "client.json"
    given = {"client_id": "i", "client_secret": "s", "token_endpoint_auth_method": "none"}
    file.write_text(json.dumps(given))
    client_id, secret, method = client_of(f"@{file}")
    assert secret
    assert (client_id, secret.reveal(), method) == ("i", "s", "none")
    assert client_of('{"client_id": "public"}') == ("public", None, "")


@pytest.mark.parametrize(
    "text",
    [
        '{"client_id": "ours", "client_secret": "planted-secret"}',
        '{"client_id": "ours", "client_secret": 7}',
        '{"client_secret": ""}',
        "[]",
        "not json",
        "@/nowhere",
    ],
)
def test_what_is_no_client_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        client_of(text)
    assert "planted-secret" not in f"{refused.value.summary} {refused.value.hint}"


def test_a_shell_that_completes_is_not_told_what_is_missing() -> None:
    bridge.make_context("bridge", [URL, "--host"], resilient_parsing=True)
    with pytest.raises(UsageError, match="--host needs a value"):
        bridge.make_context("bridge", [URL, "--host"])


def test_a_variable_that_is_not_set_is_said() -> None:
    with pytest.raises(click.BadParameter, match="NOT_THERE is not set"):
        client_of('{"client_id": "ours", "client_secret": "${NOT_THERE}"}')
