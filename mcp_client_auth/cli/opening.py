"""From what a verb was told to a session: prompt, client, grant, options and transport."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import LoginRequired, UsageError, quoted

if TYPE_CHECKING:
    from ..credential import Credential, Key
    from ..events import Event, Listener
    from ..prompt import Prompt
    from ..prompt.device import DevicePrompt
    from ..protocol.flow import Transport
    from ..protocol.grants import Grant
    from ..protocol.options import Endpoints, Options
    from ..protocol.registration import Identity
    from ..session import Session
    from .progress import Progress

Asked = dict[str, Any]


def talking(*, browser: bool) -> Prompt:
    from ..prompt.browser import can_open
    from .waiting import talking_prompt

    return talking_prompt(opens=browser and can_open())


def device_prompt(progress: Progress) -> DevicePrompt:
    from ..prompt.device import DevicePrompt

    return DevicePrompt(progress.show_code)


def device_grant() -> Grant:
    from ..protocol.grants import DeviceCode

    return DeviceCode()


def listening(asked: Asked, usual: Listener | None = None) -> Listener | None:
    """Who is told of each step: the person, with `--verbose` of all; and the `--trace`."""
    from .progress import Patience, Progress
    from .screen import at_terminal
    from .tracing import trace_to

    told: list[Listener] = []
    if asked["verbose"] and not isinstance(usual, Progress):
        usual = Progress(verbose=True)
    if usual is None and at_terminal():
        usual = Patience()
    told += [usual] if usual else []
    told += [trace_to(asked["trace"])] if asked["trace"] else []

    def tell_all(event: Event) -> None:
        for each in told:
            each(event)

    return tell_all if told else None


def session_for(
    url: str,
    asked: Asked,
    prompt: Prompt | DevicePrompt | None = None,
    on_event: Listener | None = None,
    **protocol: Any,
) -> Session:
    from ..auth import open_session
    from ..credential import key_for
    from ..prompt.device import DevicePrompt
    from ..storage import choose_storage
    from .storing import tell_of_waiting

    tell_of_waiting()
    account, store = asked["account"], asked["store"]
    person = protocol.get("grant") is None or isinstance(prompt, DevicePrompt)
    return open_session(
        url,
        account=account,
        # what a grant without a person gives can be had again, so memory does where no keyring is
        storage=choose_storage(store, key_for(url, account)) if person else store,
        prompt=prompt,
        on_event=on_event,
        personal=True,
        **protocol,
    )


def session_of(key: Key, asked: Asked) -> Session:
    """The session of a login that is listed, whoever made it."""
    from ..session import Session
    from ..steps import Edges, Wanted
    from ..storage import choose_storage
    from ..transport import HttpTransport

    said = usual(key.server, asked)
    transport = said["transport"] or HttpTransport(key.server, said["options"])
    edges = Edges(choose_storage(None, key), transport, listening(asked))
    return Session(Wanted(key.server, key, options=said["options"]), edges, None)


def held_session(url: str, asked: Asked) -> Session:
    """A session that uses the login to a server and makes none."""
    return session_for(url, asked, on_event=listening(asked), **usual(url, asked))


def other_accounts(error: LoginRequired, key: Key) -> LoginRequired:
    """The same error, which tells of the logins to that server that nobody asked for."""
    from ..storage.index import Index
    from .progress import plain

    known = [e.key.account for e in Index().all() if e.key.server == key.server]
    others = [account for account in known if account != key.account]
    if others:
        there = f"There are logins as: {plain(', '.join(others))} (--account LABEL)"
        error.hint = f"{there}. {error.hint}"
    return error


def program(url: str, asked: Asked) -> dict[str, Any]:
    """The grant without a person that the options of `token` make, with client and scope."""
    from ..protocol.grants import ClientCredentials, WorkloadIdentity

    said = usual(url, asked)
    if asked["grant"] is None:
        for name in (
            "assertion_file",
            "client_id",
            "client_secret_file",
            "client_key_file",
            "client_auth_method",
            "scope",
            "issuer",
            "endpoints",
        ):
            if asked[name] and _typed(name):
                raise UsageError(f"--{name.replace('_', '-').removesuffix('s')} needs --grant")
        return usual(url, {**asked, "issuer": "", "endpoints": {}})
    workload = asked["grant"] == "workload_identity"
    if workload != bool(asked["assertion_file"]):
        raise UsageError("--assertion-file and --grant workload_identity need each other")
    if not workload and not asked["client_id"]:
        raise UsageError(
            "--grant client_credentials needs --client-id",
            hint="A client that the server's operator registered for this program, with its"
            " --client-secret-file or --client-key-file",
        )
    grant = WorkloadIdentity(assertion_file=asked["assertion_file"]) if workload else None
    return {
        **said,
        "grant": grant or ClientCredentials(),
        "client": identity({**asked, "client_metadata_url": None}),
        "scope": asked["scope"],
    }


def _typed(name: str) -> bool:
    """Whether an option stands in the command, not in the environment, which is for all verbs."""
    import click
    from click.core import ParameterSource

    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE


def usual(url: str, asked: Asked) -> dict[str, Any]:
    """What every verb about one server says about the protocol."""
    from ..protocol.options import Options

    options = Options(
        allow_insecure_http=asked["allow_insecure_http"],
        allow_private_addresses=asked.get("allow_private_addresses", False),
        issuer=asked.get("issuer", ""),
        endpoints=_endpoints(asked),
    )
    return {"options": options, "transport": transport(url, options, asked)}


def _endpoints(asked: Asked) -> Endpoints | None:
    from ..protocol.options import Endpoints

    named = asked.get("endpoints")
    if not named:
        return None
    if not asked.get("issuer") or "token" not in named:
        raise UsageError(
            "--endpoint needs --issuer, and one of them is token=URL",
            hint="For example: --issuer https://login.example.com --endpoint"
            " authorization=https://… --endpoint token=https://…",
        )
    return Endpoints(**named)


def transport(url: str, options: Options, asked: Asked) -> Transport | None:
    """One with the person's certificates and proxy; None for the usual one."""
    from ..transport import HttpTransport

    said = connection(asked)
    return HttpTransport(url, options, **said) if said else None


def connection(asked: Asked) -> dict[str, Any]:
    """What `--ca`, `--proxy`, `--cert` and `--cert-key` say; empty for nothing."""
    cert, key = asked["client_cert"], asked["client_cert_key"]
    if key and not cert:
        raise UsageError("--cert-key needs --cert")
    said: dict[str, Any] = {}
    if asked["ca"]:
        said["verify"] = _existing(asked["ca"])
    if asked["proxy"]:
        said["proxy"] = _proxy(asked["proxy"])
    if cert:
        said["cert"] = (cert, key) if key else cert
    return said


def _existing(path: str) -> str:
    import os

    if not os.path.exists(path):
        raise UsageError(f"--ca names {quoted(path, 120)}, which is not there")
    return path


def _proxy(url: str) -> str:
    from urllib.parse import urlsplit

    if urlsplit(url).password and _typed("proxy"):
        raise UsageError(
            "--proxy has a password in it, which everybody on this machine could read",
            hint="Give the proxy by MCP_CLIENT_AUTH_PROXY or HTTPS_PROXY",
        )
    return url


def login_protocol(url: str, asked: Asked) -> dict[str, Any]:
    from ..protocol.redirects import callback_for

    options = _login_options(asked)
    who = identity(asked, options.redirect_uri)
    if options.redirect_uri:
        callback_for(who, False, "", options)  # refused here, before anything is sent
    return {
        "client": who,
        "scope": asked["scope"],
        "options": options,
        "transport": transport(url, options, asked),
    }


def _login_options(asked: Asked) -> Options:
    from ..protocol.options import Options

    redirect_uri = asked["redirect_uri"]
    if asked["callback_port"]:
        if redirect_uri:
            raise UsageError("--callback-port and --redirect-uri exclude each other")
        redirect_uri = f"http://127.0.0.1:{asked['callback_port']}/callback"
    return Options(
        resource=asked["resource"],
        issuer=asked["issuer"],
        endpoints=_endpoints(asked),
        audience=asked["audience"],
        login_hint=asked["login_hint"],
        switch_account=asked["switch"],
        new_client=asked["new_client"],
        authorize_params=asked["params"],
        push_authorization_request=asked["par"],
        initial_access_token=_secret_of(asked["initial_access_token_file"]),
        redirect_uri=redirect_uri,
        dpop=asked["dpop"],
        login_timeout=asked["timeout"],
        assume_pkce_s256=asked["assume_pkce_s256"],
        allow_insecure_http=asked["allow_insecure_http"],
        allow_private_addresses=asked["allow_private_addresses"],
    )


def identity(asked: Asked, redirect_uri: str = "") -> Identity:
    from ..protocol.registration import ClientMetadataDocument, PreRegistered

    client_id, key_file = asked["client_id"], asked["client_key_file"]
    carried = (redirect_uri,) if redirect_uri else ()
    if client_id and asked["client_metadata_url"]:
        raise UsageError("--client-id and --client-metadata-url exclude each other")
    for name in ("client_secret_file", "client_auth_method"):
        if asked[name] and not client_id:
            raise UsageError(f"--{name.replace('_', '-')} needs --client-id")
    if client_id:
        secret, method = _secret_of(asked["client_secret_file"]), asked["client_auth_method"]
        return PreRegistered(client_id, secret, method or "", carried, key_file=key_file)
    if asked["client_metadata_url"]:
        return ClientMetadataDocument(asked["client_metadata_url"], carried, key_file=key_file)
    if key_file:
        raise UsageError("--client-key-file needs --client-id or --client-metadata-url")
    return None


def last_identity(session: Session) -> Identity:
    """The client of the login that is there, so that nobody has to name it again."""
    from ..protocol.registration import ClientMetadataDocument, PreRegistered
    from ..steps import readable

    held = readable(session.edges.storage, session.key)
    if held is None:
        return None
    client, more = held.client, {"key_file": held.client.key_file}
    if client.method == "private_key_jwt" and not client.key_file:
        return None  # a program's own key, which is not kept
    if client.kind == "metadata-document":
        return ClientMetadataDocument(client.client_id, client.redirect_uris, **more)
    if client.kind != "pre-registered":
        return None
    return replace(
        PreRegistered(client.client_id, client.secret, client.method, client.redirect_uris, **more),
        algorithm=client.algorithm,
    )


def _secret_of(file: TextIO | None) -> str | None:
    secret = _read_secret(file) if file else None
    if file and not secret:
        raise UsageError(f"the secret file {quoted(file.name, 80)} is empty")
    return secret


def _read_secret(file: TextIO) -> str:
    try:
        return file.read().strip()
    except (OSError, ValueError):
        raise UsageError(
            f"the secret file {quoted(file.name, 80)} cannot be read as text"
        ) from None


def fresh(session: Session, min_valid: float = 0.0) -> Credential:
    """A token that may be sent; where there is none, the error tells of other accounts."""
    try:
        return session.fresh(min_valid)
    except LoginRequired as error:
        raise other_accounts(error, session.key) from None


def renewed(session: Session) -> Credential:
    try:
        return session.refresh()
    except LoginRequired as error:
        raise other_accounts(error, session.key) from None
