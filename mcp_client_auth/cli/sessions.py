"""From a verb's arguments to a session: its client, options, transport, prompt and listener."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from ..errors import LoginRequired, Unavailable, UsageError
from ..secret import quoted
from .arguments import AboutLogin, AtProvider, Client, Network, NewLogin, Output, Route
from .sources import is_typed, source_of

if TYPE_CHECKING:
    from typing import Unpack

    from ..credential import Credential, Key
    from ..events import Event, Listener
    from ..grants.base import Grant
    from ..protocol.endpoints import Endpoints
    from ..protocol.flow import Transport
    from ..protocol.options import Options
    from ..protocol.registration import Identity
    from ..session.open import Arguments
    from ..session.session import Session

_LARGEST: Final = 1 << 17  # of a secret or a token


def usual_options(network: Network) -> Options:
    """What every verb about one server says about the protocol."""
    from ..protocol.options import Options

    return Options(allow_insecure_http=network.allow_insecure_http)


def transport_for(url: str, options: Options, network: Network) -> Transport | None:
    """One with the person's certificates and proxy; None for the usual one."""
    from ..transport import HttpTransport

    named = connection(network)
    return HttpTransport(url, options, **named) if named else None


def connection(route: Route) -> dict[str, Any]:
    """What `--ca`, `--proxy`, `--cert` and `--cert-key` say; empty for nothing."""
    given = {"verify": route.ca, "proxy": route.proxy}
    named: dict[str, Any] = {name: value for name, value in given.items() if value}
    if isinstance(route, Network):
        cert, key = route.client_cert, route.client_cert_key
        if key and not cert:
            raise UsageError(f"{source_of('client_cert_key')} needs --cert")
        if cert:
            named["cert"] = (cert, key) if key else cert
    return named


def endpoints_of(named: dict[str, str], issuer: str, *ways: str) -> Endpoints | None:
    """Return the named endpoints. `ways`: one of these is needed, too, for the user to sign in."""
    from ..protocol.endpoints import Endpoints

    if not named:
        return None
    if not issuer or "token" not in named or (ways and not named.keys() & ways):
        either = f" and {' or '.join(f'{way}=URL' for way in ways)}" if ways else ""
        raise UsageError(
            f"--endpoint needs --issuer, and the endpoints token=URL{either}",
            hint="For example: --issuer https://login.example.com --endpoint"
            " authorization=https://… --endpoint token=https://…",
        )
    return Endpoints(**named)


def client_of(client: Client, document: str | None = None, redirect_uri: str = "") -> Identity:
    """The client that a person has named; None to register one. `document` is a URL."""
    from ..protocol.registration import ClientMetadataDocument, PreRegistered

    client_id, key_file = client.client_id, client.client_key_file
    carried = (redirect_uri,) if redirect_uri else ()
    if client_id and document:
        both = f"{source_of('client_id')} and {source_of('client_metadata_url')}"
        raise UsageError(f"{both} cannot be combined")
    for name in ("client_secret_file", "client_auth_method"):
        if getattr(client, name) and not client_id:
            raise UsageError(f"{source_of(name)} needs --client-id")
    if client_id:
        secret, method = secret_in(client.client_secret_file), client.client_auth_method or ""
        return PreRegistered(client_id, secret, method, carried, key_file=key_file)
    if document:
        return ClientMetadataDocument(document, carried, key_file=key_file)
    if key_file:
        needs = "--client-id or --client-metadata-url"
        raise UsageError(f"{source_of('client_key_file')} needs {needs}")
    return None


def enterprise_grant(there: AtProvider, client: str | None, redirect_uri: str) -> Grant | None:
    """The sign-in at a company's identity provider, if a person has asked for it. `client`: the one
    at the server's authorization server."""
    if there.grant is None:
        named = [name for name in vars(there) if getattr(there, name) and is_typed(name)]
        if named:
            raise UsageError(f"{source_of(named[0])} needs --grant enterprise_managed")
        return None
    from ..grants.enterprise_managed import EnterpriseManaged
    from ..protocol.registration import WITH_SECRET, PreRegistered

    needed = {
        "--idp-issuer": there.idp_issuer,
        "--idp-client-id": there.idp_client_id,
        "--client-id": client,
    }
    if missing := [name for name, value in needed.items() if not value]:
        raise UsageError(
            f"--grant enterprise_managed needs {' and '.join(missing)}",
            hint="Your company's administrator registers one client at the identity provider, and"
            " one at the authorization server of the MCP server",
        )
    secret, method = secret_in(there.idp_client_secret_file), there.idp_client_auth_method or ""
    if method in WITH_SECRET and not secret:
        given = f"{source_of('idp_client_auth_method')} {method}"
        raise UsageError(f"{given} needs --idp-client-secret-file FILE")
    if is_typed("device"):
        raise UsageError(
            f"{source_of('device')} cannot be combined with --grant enterprise_managed",
            hint="The sign-in at the identity provider needs a browser. Where there is none, use"
            " --no-browser, and paste the address of the last page",
        )
    carried = (redirect_uri,) if redirect_uri else ()
    return EnterpriseManaged(
        idp_client=PreRegistered(there.idp_client_id, secret, method, carried),
        idp_issuer=there.idp_issuer,
        idp_scope=there.idp_scope,
    )


def for_new_login(
    new: NewLogin, network: Network, scope: str | None, timeout: float, *, switch: bool = False
) -> dict[str, Any]:
    """The client, the scope, the grant and the options of a login; what cannot work is refused
    before it is sent. `timeout`: the seconds that a person has."""
    from ..protocol.options import CLIENT_NAME, Options
    from ..protocol.redirects import callback_for

    own, request = new.to_register, new.authorization
    redirect_uri = own.redirect_uri
    if own.callback_port:
        if redirect_uri:
            both = f"{source_of('callback_port')} and {source_of('redirect_uri')}"
            raise UsageError(f"{both} cannot be combined")
        redirect_uri = f"http://127.0.0.1:{own.callback_port}/callback"
    options = Options(
        resource=request.resource,
        issuer=request.issuer,
        metadata_url=request.metadata_url,
        endpoints=endpoints_of(
            request.endpoints, request.issuer, "authorization", "device_authorization"
        ),
        audience=request.audience,
        login_hint=request.login_hint,
        switch_account=switch,
        authorize_params=request.params,
        push_authorization_request=request.par,
        initial_access_token=secret_in(own.initial_access_token_file),
        redirect_uri=redirect_uri,
        client_name=own.client_name or CLIENT_NAME,
        refresh_scope=request.refresh_scope,
        dpop=request.dpop,
        login_timeout=timeout,
        require_iss=request.require_iss,
        allow_mix_up=request.allow_mix_up,
        assume_pkce_s256=request.assume_pkce_s256,
        allow_insecure_http=network.allow_insecure_http,
        allow_private_addresses=request.allow_private_addresses,
        headers=request.gateway_headers,
    )
    at_server = new.client.client_id or own.client_metadata_url
    grant = enterprise_grant(new.provider, at_server, redirect_uri)
    # if the user signs in at a company's provider, the callback is that of the client there
    document, carried = own.client_metadata_url, "" if grant else redirect_uri
    client = client_of(new.client, document, carried)
    if redirect_uri:
        callback_for(client, False, "", options)
    return {"client": client, "scope": scope, "options": options, "grant": grant}


def secret_in(file: TextIO | None) -> str | None:
    if file is None:
        return None
    named = f"the secret file {quoted(file.name)}"
    try:
        secret = read_unseen(file, "Secret").strip()
    except (OSError, ValueError):
        hint = "Save it as UTF-8"
        raise UsageError(f"{named} cannot be read as text", hint=hint) from None
    if not secret:
        raise UsageError(f"{named} is empty")
    return secret


def read_unseen(file: TextIO, what: str) -> str:
    """Its text; what a person types there (`-`) is not shown."""
    from ..environment import is_terminal

    if not is_terminal(file):
        return file.read(_LARGEST)
    import click

    typed: str = click.prompt(what, default="", show_default=False, hide_input=True, err=True)
    return typed


def listener_for(output: Output, usual: Listener | None = None) -> Listener | None:
    """Return what shows each step to the user (all with `--verbose`) and to the `--trace`."""
    from ..environment import is_terminal
    from .progress import Patience, Progress
    from .trace import trace_to

    if output.verbose and not isinstance(usual, Progress):
        usual = Progress(verbose=True)
    if usual is None and is_terminal(sys.stderr):
        usual = Patience()
    listeners = [usual] if usual else []
    listeners += [trace_to(output.trace)] if output.trace else []

    def tell_all(event: Event) -> None:
        for each in listeners:
            each(event)

    return tell_all if listeners else None


def session_arguments(url: str, login: AboutLogin, **given: Unpack[Arguments]) -> Arguments:
    """What a session or an `MCPAuth` takes for the arguments of a verb; `given` comes first."""
    from ..credential import key_for
    from ..storage import choose_storage
    from .storage import tell_of_keyring

    tell_of_keyring(given.get("on_event"))
    options = given.get("options") or usual_options(login.network)
    # a grant without a person can get new tokens, so memory will do if there is no keyring
    grant = given.get("grant")
    person = grant is None or grant.provider is not None
    usual: Arguments = {
        "account": login.account,
        "storage": choose_storage(login.store, key_for(url, login.account))
        if person
        else login.store,
        "prompt": None,
        "options": options,
        "transport": transport_for(url, options, login.network),
    }
    return {**usual, **given}


def session_for(url: str, login: AboutLogin, **given: Unpack[Arguments]) -> Session:
    """A session for the arguments of a verb."""
    from ..session.open import open_session

    return open_session(url, personal=True, **session_arguments(url, login, **given))


def stored_session(url: str, login: AboutLogin) -> Session:
    """Return a session that uses the stored login to a server and never makes one."""
    return session_for(url, login, on_event=listener_for(login.output))


def session_of(key: Key, login: AboutLogin) -> Session:
    """The session of a login that is listed, which any program may have made."""
    from ..credential import PROVIDER
    from ..grants.base import LoginConfig, Ports
    from ..grants.identity_provider import SIGN_IN
    from ..protocol.urls import ServerUrl
    from ..session.session import Session
    from ..storage import choose_storage
    from ..transport import HttpTransport
    from .storage import tell_of_keyring

    options = usual_options(login.network)
    transport = transport_for(key.server, options, login.network)
    on_event = listener_for(login.output)
    tell_of_keyring(on_event)
    shared = login.store if login.store and "://" in login.store else None
    ports = Ports(
        choose_storage(shared, key), transport or HttpTransport(key.server, options), on_event
    )
    grant = SIGN_IN if key.grant == PROVIDER else None
    config = LoginConfig(ServerUrl(key.server), key, options=options, grant=grant)
    return Session(config, ports, None)


def with_other_accounts(error: LoginRequired, session: Session) -> LoginRequired:
    """The same error, which also names the other logins to that server."""
    from ..storage import local_index
    from .describe import plain
    from .storage import explained

    key, error = session.key, explained(error, session.ports.storage)
    known = [entry.key.account for entry in local_index().all(server=key.server)]
    others = [account for account in known if account != key.account]
    if others:
        there = f"You are logged in as: {plain(', '.join(others))} (--account LABEL)"
        error.advised(there, error.remedy)
    return error


def require_bearer(credential: Credential) -> Credential:
    """Raise `UsageError` for a token that is of no use without a proof for each request."""
    if credential.tokens.bound:
        raise UsageError(
            "this login is bound to a key (DPoP): each request needs a proof of its own, so the"
            " token alone is of no use",
            hint="Use mcp-login request, or the library",
        )
    return credential


def fresh(session: Session, min_valid: float = 0.0, within: float | None = None) -> Credential:
    """Return a token that may be sent; if there is none, the error names other accounts.

    `within`: the seconds after which it raises `Unavailable`, although a refresh may go on.
    """
    from ..prompt.screen import screen
    from ..session.single_flight import Flights, wait
    from ..threads import done_within

    try:
        if within is None:
            with screen.waiting_for("a token"):
                credential = session.fresh(min_valid)
        else:
            future = Flights().start("fresh", lambda: session.fresh(min_valid))
            if not done_within(future, within):
                raise Unavailable(
                    f"no token within {within:g} s",
                    url=session.config.server_url,
                    hint="A renewal that was sent is still waited for, and its answer kept: try"
                    " again. --verbose shows what it waits for",
                )
            credential = wait(future)
    except LoginRequired as error:
        raise with_other_accounts(error, session) from None
    ends = credential.tokens.expires_at
    if ends is not None and ends < session.ports.clock() + min_valid and is_typed("min_valid"):
        from .describe import expiry

        until = expiry(ends, renewable=False, now=session.ports.clock())
        screen.remark(
            f"The token expires {until}: the server issues none that is valid for {min_valid:g} s.",
            "warning",
        )
    return credential
