"""From what a verb was told to a session: prompt, client, grant, options and transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from ..errors import UsageError, quoted

if TYPE_CHECKING:
    from ..credential import Key
    from ..events import Listener
    from ..prompt import Prompt
    from ..prompt.device import DevicePrompt
    from ..protocol.flow import Transport
    from ..protocol.options import Options
    from ..protocol.registration import Identity
    from ..session import Session


def talking(*, browser: bool, device: bool) -> Prompt:
    """With a `device` code no browser is opened here: he who asks for one has his elsewhere."""
    from ..prompt.browser import can_open
    from .waiting import talking_prompt

    return talking_prompt(opens=browser and not device and can_open(), device=device)


def session_for(
    url: str,
    account: str,
    store: str | None,
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


def session_of(key: Key, asked: dict[str, Any]) -> Session:
    """The session of a login that is listed, whoever made it."""
    from ..session import Session
    from ..steps import Edges, Wanted
    from ..storage import choose_storage
    from ..transport import HttpTransport

    said = usual(key.server, asked)
    transport = said["transport"] or HttpTransport(key.server, said["options"])
    edges = Edges(choose_storage(None, key), transport)
    return Session(Wanted(key.server, key, options=said["options"]), edges, None)


def program(url: str, asked: dict[str, Any]) -> dict[str, Any]:
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
        ):
            if asked[name]:
                raise UsageError(f"--{name.replace('_', '-')} needs --grant")
        return said
    workload = asked["grant"] == "workload_identity"
    if workload != bool(asked["assertion_file"]):
        raise UsageError("--assertion-file and --grant workload_identity need each other")
    grant = WorkloadIdentity(assertion_file=asked["assertion_file"]) if workload else None
    return {
        **said,
        "grant": grant or ClientCredentials(),
        "client": _identity({**asked, "client_metadata_url": None}),
        "scope": asked["scope"],
    }


def usual(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What every verb about one server says about the protocol."""
    from ..protocol.options import Options

    options = Options(
        allow_insecure_http=asked["allow_insecure_http"], issuer=asked.get("issuer", "")
    )
    return {"options": options, "transport": _transport(url, options, asked)}


def _transport(url: str, options: Options, asked: dict[str, Any]) -> Transport | None:
    """One with the person's certificate; None for the usual one."""
    from ..transport import HttpTransport

    cert, key = asked["client_cert"], asked["client_cert_key"]
    if key and not cert:
        raise UsageError("--client-cert-key needs --client-cert")
    return HttpTransport(url, options, cert=(cert, key) if key else cert) if cert else None


def login_protocol(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    from ..protocol.options import Options
    from ..protocol.redirects import callback_for

    redirect_uri = asked["redirect_uri"]
    if asked["callback_port"]:
        if redirect_uri:
            raise UsageError("--callback-port and --redirect-uri exclude each other")
        redirect_uri = f"http://127.0.0.1:{asked['callback_port']}/callback"
    options = Options(
        resource=asked["resource"],
        issuer=asked["issuer"],
        audience=asked["audience"],
        login_hint=asked["login_hint"],
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
    identity = _identity(asked)
    if redirect_uri:
        callback_for(identity, False, "", options)  # refused here, before anything is sent
    transport = _transport(url, options, asked)
    return {
        "client": identity,
        "scope": asked["scope"],
        "options": options,
        "transport": transport,
    }


def _identity(asked: dict[str, Any]) -> Identity:
    from ..protocol.registration import ClientMetadataDocument, PreRegistered

    client_id, key_file = asked["client_id"], asked["client_key_file"]
    if client_id and asked["client_metadata_url"]:
        raise UsageError("--client-id and --client-metadata-url exclude each other")
    for name in ("client_secret_file", "client_auth_method"):
        if asked[name] and not client_id:
            raise UsageError(f"--{name.replace('_', '-')} needs --client-id")
    if client_id:
        secret, method = _secret_of(asked["client_secret_file"]), asked["client_auth_method"]
        return PreRegistered(client_id, secret, method or "", key_file=key_file)
    if asked["client_metadata_url"]:
        return ClientMetadataDocument(asked["client_metadata_url"], key_file=key_file)
    if key_file:
        raise UsageError("--client-key-file needs --client-id or --client-metadata-url")
    return None


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
