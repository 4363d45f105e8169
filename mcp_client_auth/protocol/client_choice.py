"""Which kind of client a login uses at an authorization server, and when none may be used."""

from __future__ import annotations

from ..errors import RegistrationRefused, Remedy, Untrusted
from ..origin import same_origin
from .metadata import ServerMetadata
from .options import Options
from .registration import Identity, Kind


def client_kind(identity: Identity, server: ServerMetadata, options: Options) -> Kind:
    """Which of the three kinds is used (MCP "Client Registration").

    Raises `RegistrationRefused`, naming the three, if there is none; `Untrusted` if only a
    document is left and must not be used.
    """
    if identity is not None and identity.registered_id:
        return "pre-registered"
    takes_documents = identity is not None and server.client_id_metadata_documents
    if takes_documents and not may_be_mixed_up(server, options):
        return "metadata-document"
    if server.registration_endpoint:
        return "dynamic"
    if takes_documents:
        raise Untrusted(
            "the client's metadata document could be used to take a code from another"
            " authorization server: this one has its sign-in page on another origin"
            f" ({server.authorization_endpoint.shown}) and does not promise “iss” (RFC 9207)",
            url=server.issuer,
            code="mix_up",
            hint=Remedy(
                "Ask its operator to send “iss” and advertise it, or for a client id"
                " ({PreRegistered.client_id}). If you trust this server with what it may get that"
                " way, pass {Options.allow_mix_up=True}"
            ),
        )
    raise RegistrationRefused(
        "no client is available: the authorization server offers no registration endpoint"
        + ("" if server.client_id_metadata_documents else " and no client ID metadata documents"),
        url=server.issuer,
        hint=Remedy(
            "Pass a client id that its operator gave you ({PreRegistered.client_id}), or the URL of"
            " a client metadata document where the server supports them"
            " ({ClientMetadataDocument.url}), or ask the operator to enable dynamic registration"
            " (RFC 7591)"
        ),
    )


def one_page_for_all(server: ServerMetadata) -> Untrusted:
    """Why an application cannot accept this server's response at one page for all its logins."""
    return Untrusted(
        "a code from another authorization server could be taken at the redirect URI of this"
        " application: this one has its sign-in page on another origin"
        f" ({server.authorization_endpoint.shown}) and does not promise “iss” (RFC 9207)",
        url=server.issuer,
        code="mix_up",
        hint=Remedy(
            "Give each authorization server a page of its own: put {} into the path of"
            " redirect_uri. Or ask its operator to send “iss” and advertise it. If you trust this"
            " server with what it may get that way, pass {Options.allow_mix_up=True}",
            "{issuer}",
        ),
    )


def may_be_mixed_up(server: ServerMetadata, options: Options) -> bool:
    """Whether a code that comes back may be another authorization server's (RFC 9700 §4.4).

    A client known to several of them has the same callback at each. Without `iss` only the place
    of the sign-in page tells whose code it is.
    """
    place = server.authorization_endpoint
    elsewhere = bool(place) and not same_origin(place, server.issuer)
    vouched = server.iss_promised or options.allow_mix_up
    return elsewhere and not vouched
