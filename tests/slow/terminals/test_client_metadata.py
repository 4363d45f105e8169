"""`mcp-login client-metadata` as a process: a document is written, hosted, checked and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hosted_document import HostedDocument
from tests.support.key_samples import jwk, pem, planted
from tests.support.terminal import Terminal

URL: Final = "https://app.example.com/oauth/client.json"
USAGE: Final = 2
BROKEN: Final = 8
REFUSED: Final = 4


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[HostedDocument]:
    with HostedDocument(tmp_path) as hosted:
        yield hosted


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_text(pem("P-256"))
    return path


def test_the_document_is_all_that_stands_on_stdout(terminal: Terminal) -> None:
    answer = terminal.run("client-metadata", URL, "--write", "-", "--client-name", "Größe")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    assert (document["client_id"], document["client_name"]) == (URL, "Größe")
    assert "application/json" in answer.err
    assert f"mcp-login SERVER --client-metadata-url {URL}\n" in answer.err


def test_what_is_written_passes_its_check_once_it_is_hosted(
    terminal: Terminal, hosted: HostedDocument, key: Path, tmp_path: Path
) -> None:
    file = tmp_path / "client.json"
    words = ["--client-key-file", str(key), "--device", "--redirect-uri", "http://[::1]:9/cb"]
    written = terminal.run("client-metadata", hosted.url, "--write", str(file), *words)
    assert written.code == 0, written.err
    assert written.out == ""
    hosted.host(json.loads(file.read_text()))
    checked = terminal.run("client-metadata", hosted.url, "--ca", hosted.ca)
    assert checked.code == 0, checked.out
    assert "ERROR" not in checked.out
    assert "--redirect-uri 'http://[::1]:9/cb' --client-key-file KEY" in written.err
    assert checked.err.startswith("checking document.url")


@pytest.mark.parametrize("form", [pem("RSA"), jwk("RSA", kid="k1", key_ops=["sign"])])
def test_the_private_part_of_a_key_is_shown_nowhere(
    terminal: Terminal, key: Path, form: str
) -> None:
    key.write_text(form)
    answer = terminal.run("client-metadata", URL, "--write", "-", "--client-key-file", str(key))
    assert answer.code == 0, answer.err
    (public,) = json.loads(answer.out)["jwks"]["keys"]
    assert public["kty"] == "RSA"
    said = answer.out + answer.err
    assert not [secret for secret in planted("RSA") if secret in said]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--write", "-", "--redirect-uri", "http://x.example/cb"], "beyond loopback"),
        (["--write", "-", "--client-key-file", "/nowhere/key.pem"], "cannot be read"),
        (["--write", "-", "--json"], "cannot be combined"),
        (["--write", "/nowhere/client.json"], "cannot be written"),
        (["--write", "-", "--client-name", "a\tb"], "printable"),
        (["--write", "-", "--redirect-uri", f"https://x.example/{'x' * 5200}"], "larger"),
        (["--device"], "--device needs --write"),
        (["--redirect-uri", "http://127.0.0.1/"], "--redirect-uri needs --write"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_written(
    terminal: Terminal, words: list[str], said: str
) -> None:
    answer = terminal.run("client-metadata", URL, *words)
    assert answer.code == USAGE
    assert said in answer.err
    assert '"client_id"' not in answer.out


@pytest.mark.parametrize("form", [["--write", "-"], []], ids=["write", "check"])
def test_a_url_that_can_be_no_client_id_is_refused(terminal: Terminal, form: list[str]) -> None:
    answer = terminal.run("client-metadata", "https://ada:planted@app.example.com/c.json", *form)
    assert answer.code == USAGE
    assert "planted" not in answer.out + answer.err


def test_a_key_is_not_overwritten_by_the_document(terminal: Terminal, key: Path) -> None:
    words = ["--write", str(key), "--client-key-file", str(key)]
    assert terminal.run("client-metadata", URL, *words).code == USAGE
    assert key.read_text() == pem("P-256")


def test_json_tells_what_was_written(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "client.json"
    answer = terminal.run("client-metadata", URL, "--write", str(file), "--json")
    told = json.loads(answer.out)
    assert told["file"] == str(file)
    assert told["document"] == json.loads(file.read_text())


def test_a_bad_document_gives_the_exit_code_and_the_report_of_the_doctor(
    terminal: Terminal, hosted: HostedDocument
) -> None:
    hosted.host({"client_id": URL, "client_secret": "planted-secret"})
    answer = terminal.run("client-metadata", hosted.url, "--ca", hosted.ca, "--json")
    report = json.loads(answer.out)
    assert answer.code == report["exit_code"] == BROKEN
    assert (report["server"], report["worst"]) == (hosted.url, "error")
    errors = {f["check"] for f in report["findings"] if f["level"] == "error"}
    names = ("client_id", "client_name", "redirect_uris", "secrets")
    assert errors == {f"document.{name}" for name in names}
    assert "planted" not in answer.out + answer.err


def test_warnings_count_only_where_they_shall(terminal: Terminal, hosted: HostedDocument) -> None:
    written = terminal.run("client-metadata", hosted.url, "--write", "-")
    hosted.host(json.loads(written.out))
    words = ["client-metadata", hosted.url, "--ca", hosted.ca]
    assert terminal.run(*words).code == 0
    assert terminal.run(*words, "--strict").code == 1


def test_a_login_whose_document_is_refused_names_the_check(terminal: Terminal) -> None:
    settings = Settings(
        client_id_metadata_documents=True, refuse_document_clients=True, registration=False
    )
    with DemoServer(settings) as server:
        answer = terminal.run(server.url, "--client-metadata-url", URL)
    assert answer.code == REFUSED
    assert f"mcp-login client-metadata {URL} checks" in answer.err
