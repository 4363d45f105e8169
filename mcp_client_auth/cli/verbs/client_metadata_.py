"""`mcp-login client-metadata`: the document that a client is known by."""

from __future__ import annotations

from typing import Any

import click

from ..commands import verb
from ..options import ca, json_too, label, option, proxy, section, timeout


@verb("client-metadata")
@click.argument("url", metavar="URL")
@option("--strict", is_flag=True, help="End with 1 when there is a warning.")
@timeout(10.0, "How long to wait for one answer")
@section("Network", ca, proxy)
@json_too
@section(
    "Write a document",
    option("--write", metavar="FILE", help="Write what to host at URL (- for standard output)."),
    option(
        "--client-name",
        metavar="NAME",
        callback=lambda ctx, parameter, value: value and label(ctx, parameter, value),
        help="What consent pages call the client.",
    ),
    option(
        "--redirect-uri",
        "redirect_uris",
        multiple=True,
        metavar="URI",
        help="A callback (repeatable; default: http://127.0.0.1/callback, any port).",
    ),
    option("--device", is_flag=True, help="The client also signs people in by a code."),
    option(
        "--client-key-file",
        metavar="FILE",
        help="Its private key (PEM or JWK), of which the public part is written.",
    ),
    option("--jwks-uri", metavar="URL", help="Where its public keys are, instead."),
    option("--client-uri", metavar="URL", help="Its home page."),
    option("--logo-uri", metavar="URL", help="Its logo."),
    option("--scope", metavar="SCOPES", help="The scopes that it may ask for."),
)
def command(url: str, write: str | None, strict: bool, **asked: Any) -> int:
    """Write or check a client ID metadata document.

    URL is where the document is hosted, which is the client's id. The document is fetched as
    an authorization server does it, and judged: the report is that of the doctor. With --write
    nothing is fetched.
    """
    from ..client_metadata import check_document, write_document

    if write is None:
        return check_document(url, asked, strict=strict)
    write_document(url, write, asked)
    return 0
