"""`mcp-login client-metadata`: checks or writes the document that identifies a client."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import click

from ...errors import UsageError
from ...secret import quoted
from ..arguments import (
    Route,
    argument,
    command_line,
    group,
    json_answer,
    option,
    timeout,
)
from ..commands import verb
from ..sources import source_of
from ..values import checked, label

_HOSTING: Final = """\
Host it unchanged at {url}, with Content-Type: application/json, status 200 and no redirect. \
The URL is the client's ID, so it must not change. Then check it, and use it:

  mcp-login client-metadata {word}
  {use}"""
_ANY_PORT: Final = """\
The port of a callback on 127.0.0.1 may vary (RFC 8252 §7.3). For servers that compare it \
anyway, add one: --redirect-uri http://127.0.0.1:PORT/callback."""


@command_line
class Document:
    """What a document that is written says."""

    client_name: str | None = option(
        "--client-name",
        metavar="NAME",
        callback=checked(label),
        help="Name of the client on consent pages.",
    )
    redirect_uris: tuple[str, ...] = option(
        "--redirect-uri",
        multiple=True,
        metavar="URI",
        help="Redirect URI (repeatable; default: http://127.0.0.1/callback, any port).",
    )
    device: bool = option("--device", is_flag=True, help="The client also uses device codes.")
    client_key_file: str | None = option(
        "--client-key-file",
        metavar="FILE",
        help="File with its private key (PEM or JWK); the document gets the public part.",
    )


@command_line
class Arguments:
    url: str = argument("URL")
    strict: bool = option("--strict", is_flag=True, help="Exit with 1 if there is a warning.")
    timeout: float = timeout(10.0, "How long to wait for each response")
    route: Route = group(Route, "Network")
    json: bool = json_answer()
    write: str | None = option(
        "--write",
        metavar="FILE",
        section="Write a document",
        help="Write the document to host at URL (- for standard output).",
    )
    document: Document = group(Document, "Write a document")


@verb("client-metadata", Arguments)
def command(arguments: Arguments) -> int:
    """URL is where the document is hosted, and is the client's ID. The document is fetched as an
    authorization server would fetch it, and checked; the report is like the doctor's. With --write
    nothing is fetched.
    """
    if arguments.write is not None:
        _write(arguments, arguments.write)
        return 0
    from ...doctor.client_metadata import examine_document
    from ...protocol.options import Options
    from ..report import print_report, telling_checks
    from ..sessions import connection

    if stray := [f.name for f in fields(Document) if getattr(arguments.document, f.name)]:
        raise UsageError(f"{source_of(stray[0])} needs --write FILE")
    options, reached = Options(http_timeout=arguments.timeout), connection(arguments.route)
    report = examine_document(arguments.url, options, telling_checks(), **reached)
    return print_report(report, strict=arguments.strict)


def _write(arguments: Arguments, target: str) -> None:
    """The document to `target`, and to stderr what to do with it.

    Raises `UsageError` for a document that its own check would refuse.
    """
    from ...doctor.client_metadata import command_for
    from ...keys.client_key import read_key
    from ...prompt.screen import screen
    from ...protocol.client_document import CALLBACK, client_document
    from ...protocol.jose import fitting_algorithms
    from ...protocol.options import CLIENT_NAME
    from ...protocol.registration import ClientMetadataDocument
    from ..answers import answers

    url, written, key = arguments.url, arguments.document, None
    if answers.as_json and target == "-":
        raise UsageError("--json and --write - cannot be combined: the document is JSON itself")
    ClientMetadataDocument(url)
    if written.client_key_file:
        key = read_key(written.client_key_file)
        fitting_algorithms(key)  # refuses one that signs nothing
    uris = tuple(dict.fromkeys(written.redirect_uris)) or (CALLBACK,)
    name = written.client_name or CLIENT_NAME
    document = client_document(url, name, uris, device=written.device, key=key)
    text = json.dumps(document, indent=2) + "\n"
    _require_sound(url, document, text)
    _put(text, target, written.client_key_file)
    if answers.as_json:
        answers.give(file=target, document=document)
    use = command_for(url, document)
    screen.tell(_HOSTING.format(url=url, word=shlex.quote(url), use=use))
    if CALLBACK in document["redirect_uris"]:
        screen.tell(f"\n{_ANY_PORT}")


def _require_sound(url: str, document: dict[str, Any], text: str) -> None:
    from ...doctor.client_metadata import content
    from ...prompt.screen import screen
    from ...protocol.client_document import LARGEST

    for finding in content(url, document):
        what = f"{finding.check.partition('.')[2]}: {finding.came}"
        if finding.level == "error":
            raise UsageError(what, hint=finding.remedy)
        if finding.level == "warning":
            screen.tell(f"Some servers will refuse it. {what}. {finding.remedy}.")
    if len(text.encode()) > LARGEST:
        raise UsageError(f"the document is larger than {LARGEST} bytes, which servers may refuse")


def _put(text: str, target: str, key_file: str | None) -> None:
    from ...prompt.screen import screen

    if target == "-":
        click.echo(text, nl=False)
        return
    try:
        place = Path(target).expanduser()
        if key_file and place.exists() and place.samefile(Path(key_file).expanduser()):
            raise UsageError("--write and --client-key-file name one file: the key would be lost")
        place.write_text(text, encoding="ascii", newline="\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: a home that is not there
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(
            f"the document cannot be written to {quoted(target, 120)}: {why}"
        ) from None
    screen.tell(f"Wrote {quoted(target, 200)}.")
