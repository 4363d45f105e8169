"""The command as the client under test: what the conformance suite calls as `bridged.py URL`.

A small client over stdio with `mcp-login bridge` between it and the suite. As `client.py` it is
blind: options come from the keys of the context, never from the scenario's name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcp_client_auth import errors
from tests.slow.conformance.client import (
    CLIENT_ID_DOCUMENT,
    STATELESS_SINCE,
    TIMEOUT,
    Message,
    conversation,
    report,
)
from tests.support.terminal import Terminal, command

_OPTIONS = {"client_id": "--client-id", "issuer": "--issuer"}
_FILES = {"client_secret": "--client-secret-file", "private_key_pem": "--client-key-file"}
_UNDERSTOOD = {"name", "signing_algorithm", *_OPTIONS, *_FILES}


class Failed(Exception):
    """`kind` is the class of the error, or a word of ours; `code` that of the error."""

    def __init__(self, kind: str, code: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.code = kind, code


def options(context: Mapping[str, str], home: Path) -> Iterator[str]:
    """What the suite tells a client, as options of the command."""
    if foreign := sorted(set(context) - _UNDERSTOOD):
        raise Failed("NotImplementedYet", "", f"no option for {', '.join(foreign)}")
    if "client_id" not in context:
        yield from ("--client-metadata-url", CLIENT_ID_DOCUMENT)
    for name, flag in _OPTIONS.items():
        if name in context:
            yield from (flag, context[name])
    for name, flag in _FILES.items():
        if name in context:
            (home / name).write_text(context[name])
            yield from (flag, str(home / name))


def talk(url: str, version: str, context: Mapping[str, str], home: Path) -> None:
    words = command("bridge", url, *options(context, home))
    environment = Terminal(home).environment
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            for message in conversation(version):
                exchange(process, message)
            assert process.stdin
            process.stdin.close()
            process.wait(TIMEOUT)
        finally:
            process.kill()


def exchange(process: subprocess.Popen[str], message: Message) -> None:
    """Say it, and hear its answer, if it is to have one."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
    for line in process.stdout if "id" in message else ():
        answer = json.loads(line)
        if answer.get("id") == message["id"] and "method" not in answer:
            if error := answer.get("error"):
                code = str((error.get("data") or {}).get("code", ""))
                raise Failed(_kind(code), code, error["message"])
            return
    if "id" in message:
        raise Failed("NoAnswer", "", f"{message['method']} was not answered")


def _kind(code: str) -> str:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    ours = [each for each in kinds if issubclass(each, errors.AuthError)]
    return next((each.__name__ for each in ours if each.default_code == code), "AuthError")


def main(url: str) -> int:
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", STATELESS_SINCE)
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    with tempfile.TemporaryDirectory() as home:
        try:
            talk(url, version, context, Path(home))
        except Failed as failed:
            report({"error": failed.kind, "code": failed.code, "message": str(failed)})
            return 1
    report({"error": "", "code": "", "message": ""})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
