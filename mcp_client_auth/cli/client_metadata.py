"""What `mcp-login client-metadata` does: the report of a hosted document, or a document to host."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import UsageError, quoted
from .answers import answers
from .screen import screen

if TYPE_CHECKING:
    from ..protocol.client_document import Described

_OF_WRITING: Final = {
    "client_name": "--client-name",
    "redirect_uris": "--redirect-uri",
    "device": "--device",
    "client_key_file": "--client-key-file",
    "jwks_uri": "--jwks-uri",
    "client_uri": "--client-uri",
    "logo_uri": "--logo-uri",
    "scope": "--scope",
}
_HOSTING: Final = """\
Host it as it is, at {url}, with Content-Type: application/json and status 200 at once, \
without a redirect. The URL is the client's id, so it stays. Then check it, and use it:

  mcp-login client-metadata {word}
  {use}"""
_ANY_PORT: Final = """\
The port of a callback on 127.0.0.1 may vary (RFC 8252 §7.3). For servers that compare it all \
the same, write one: --redirect-uri http://127.0.0.1:PORT/callback."""


def check_document(url: str, asked: dict[str, Any], *, strict: bool) -> int:
    """Fetch, judge and print; gives the exit code."""
    from ..doctor.client_document import examine_document
    from ..protocol.options import Options
    from .doctor import printed, tell_check
    from .wishes import connection

    for name, option in _OF_WRITING.items():
        if asked[name]:
            raise UsageError(f"{option} needs --write FILE")
    said = connection({**asked, "client_cert": None, "client_cert_key": None})
    options = Options(http_timeout=asked["timeout"])
    return printed(examine_document(url, options, tell_check, **said), strict=strict)


def write_document(url: str, target: str, asked: dict[str, Any]) -> None:
    """The document to `target`, and to stderr what to do with it.

    Raises `UsageError` for a document that its own check would refuse.
    """
    from ..doctor.client_document import command_for
    from ..protocol.client_document import CALLBACK, client_document
    from ..protocol.registration import ClientMetadataDocument

    if answers.as_json and target == "-":
        raise UsageError("--json and --write - exclude each other: the document is JSON itself")
    ClientMetadataDocument(url)
    document = client_document(_described(url, asked))
    text = json.dumps(document, indent=2) + "\n"
    _require_sound(url, document, text)
    _put(text, target, asked["client_key_file"])
    if answers.as_json:
        answers.give(file=target, document=document)
    use = command_for(url, document)
    screen.tell(_HOSTING.format(url=url, word=shlex.quote(url), use=use))
    if CALLBACK in document["redirect_uris"]:
        screen.tell(f"\n{_ANY_PORT}")


def _described(url: str, asked: dict[str, Any]) -> Described:
    from ..protocol.client_document import Described

    if asked["client_key_file"] and asked["jwks_uri"]:
        raise UsageError("--client-key-file and --jwks-uri exclude each other (RFC 7591 §2)")
    told = Described(
        url,
        key=_published(asked["client_key_file"]),
        device=asked["device"],
        jwks_uri=asked["jwks_uri"] or "",
        client_uri=asked["client_uri"] or "",
        logo_uri=asked["logo_uri"] or "",
        scope=asked["scope"] or "",
    )
    if asked["redirect_uris"]:
        told = replace(told, redirect_uris=tuple(dict.fromkeys(asked["redirect_uris"])))
    name = asked["client_name"]
    return told if name is None else replace(told, name=name)


def _published(path: str | None) -> dict[str, Any] | None:
    from ..protocol.assertions import fitting_algorithms, signing_key
    from ..protocol.client_document import public_jwk
    from ..proving import read_key_file

    if not path:
        return None
    key = signing_key(read_key_file(path), f"the key file {quoted(path, 200)}")
    fitting_algorithms(key)  # refuses one that signs nothing
    return public_jwk(key)


def _require_sound(url: str, document: dict[str, Any], text: str) -> None:
    from ..doctor.client_fields import content
    from ..protocol.client_document import LARGEST

    for finding in content(url, document):
        said = f"{finding.check.partition('.')[2]}: {finding.came}"
        if finding.level == "error":
            raise UsageError(said, hint=finding.remedy)
        if finding.level == "warning":
            screen.tell(f"Some servers will refuse it. {said}. {finding.remedy}.")
    if len(text.encode()) > LARGEST:
        raise UsageError(f"the document is larger than {LARGEST} bytes, which servers may refuse")


def _put(text: str, target: str, key_file: str | None) -> None:
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
