"""From what a verb was told to the client, grant, options and transport of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from ..errors import UsageError, quoted

if TYPE_CHECKING:
    from ..protocol.flow import Transport
    from ..protocol.options import Endpoints, Options
    from ..protocol.registration import Identity

Asked = dict[str, Any]


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

    try:
        password = urlsplit(url).password
    except ValueError as error:  # not quoted: the environment's may have a password in it
        raise UsageError(
            f"the proxy or certificate settings cannot work: {error}", hint="Check --proxy"
        ) from None
    if password and _typed("proxy"):
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
    from ..protocol.options import CLIENT_NAME, Options

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
        client_name=asked["client_name"] or CLIENT_NAME,
        refresh_scope=asked["refresh_scope"],
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
