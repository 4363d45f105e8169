"""`mcp-login login`: the fifteen steps, with a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from ...errors import LoginFailed, RegistrationRefused, Unavailable
from ...secret import quoted
from ..arguments import (
    AboutLogin,
    NewLogin,
    command_line,
    group,
    json_answer,
    no_browser,
    option,
    scope,
    server,
    timeout,
)
from ..commands import verb
from ..servers import require_name
from ..sources import is_typed, source_of
from ..values import checked

if TYPE_CHECKING:
    from ...credential import Credential
    from ...protocol.registration import PreRegistered
    from ...session.session import Session
    from ...storage import Summary


@command_line
class Arguments:
    url: str = server()
    name: str | None = option(
        "--name",
        metavar="NAME",
        callback=checked(require_name),
        help="Remember this server under a short name.",
    )
    scope: str | None = scope()
    force: bool = option("--force", is_flag=True, help="Log in again even if you are logged in.")
    switch: bool = option("--switch", is_flag=True, help="Sign in as another user.")
    no_browser: bool = no_browser("Show the address instead of opening a browser.")
    device: bool = option(
        "--device", is_flag=True, env="DEVICE", help="Also show a code for another device."
    )
    token_file: TextIO | None = option(
        "--token-file",
        type=click.File(encoding="utf-8-sig"),
        metavar="FILE",
        section="More",
        help="Store a token issued by hand, for a server without OAuth (- for standard input).",
    )
    timeout: float = timeout(
        600.0, "How long to wait for you to sign in", env="TIMEOUT", section="More"
    )
    login: AboutLogin = group(AboutLogin)
    json: bool = json_answer()
    new: NewLogin = group(NewLogin)


@verb("login", Arguments)
def command(arguments: Arguments) -> None:
    """SERVER is a URL, a host, or a name: one that you gave with --name, or one from an .mcp.json
    nearby. You sign in in your browser; if its callback cannot reach this machine, paste the
    address of the last page. The login is stored in your system's keyring, or where --store says.
    """
    from ...storage import name_of
    from ..answers import answers, login_fields
    from ..describe import report
    from ..storage import kept_in

    try:
        if arguments.token_file:
            from ..token_file import keep_token

            credential, session = keep_token(
                arguments.url, arguments.token_file, arguments.login, force=arguments.force
            )
            already = False
        else:
            credential, session, already = _log_in(arguments)
    except LoginFailed as error:
        if error.code != "login_not_required":
            raise
        _tell_of_no_login(arguments)
        return
    storage, names = session.ports.storage, _names_with(arguments.name, session.key.server)
    heading = "You are already logged in to" if already else "Logged in to"
    if name_of(storage) == "memory":
        heading = "Signed in to"
    report(credential, kept_in(storage), heading=heading)
    entry = storage.summary(session.key)
    if already:
        _tell_of_unused(entry, arguments.login.store)
    if answers.as_json:
        answers.give(login=entry and login_fields(entry, names), already=already)


def _tell_of_no_login(arguments: Arguments) -> None:
    from ...prompt.screen import screen
    from ...protocol.urls import canonical
    from ..answers import answers

    server = canonical(arguments.url)
    screen.clear()  # it says what is being waited for
    _names_with(arguments.name, server)
    screen.remark(
        f"{server} requires no login, so nothing was stored. If it protects some"
        " calls only, name its authorization server: --issuer URL"
    )
    if answers.as_json:
        answers.give(login=None, already=False)


def _log_in(arguments: Arguments) -> tuple[Credential, Session, bool]:
    """The login, and whether it was there."""
    from ...prompt.console import talking_prompt
    from ...prompt.open_browser import can_open
    from ...prompt.screen import screen
    from ..progress import Progress
    from ..sessions import for_new_login, listener_for, session_for
    from ..storage import require_storage

    login, device = arguments.login, arguments.device
    again = arguments.force or arguments.switch
    on_event = listener_for(login.output, Progress(verbose=login.output.verbose))
    # with a device code no browser is opened here: the user has theirs elsewhere
    opens = not arguments.no_browser and not device and can_open()
    prompt = talking_prompt(opens=opens, device=device)
    protocol: dict[str, Any] = {
        "prompt": prompt,
        "on_event": on_event,
        **for_new_login(
            arguments.new,
            login.network,
            arguments.scope,
            arguments.timeout,
            switch=arguments.switch,
        ),
    }
    session = session_for(arguments.url, login, **protocol)
    storage = session.ports.storage
    if not again:
        try:
            stored = session.usable()
        except Unavailable as error:  # perhaps for good, so that nothing but a new login helps
            add_force = "To log in again without renewing this login, add --force"
            error.advised(error.remedy, add_force)
            raise
        why = _why_not(stored, storage.summary(session.key), protocol)
        if stored is not None and not why:
            return stored, session, True
        if why:
            screen.remark(f"Logging in again: {why}.")
            again = True
    require_storage(storage, named=login.store is not None)
    try:
        return session.log_in(force=again), session, False
    except RegistrationRefused as error:
        protocol["client"] = _client_of_person(error)
        session = session_for(arguments.url, login, **protocol)
        return session.log_in(force=again), session, False


def _names_with(name: str | None, server: str) -> dict[str, str]:
    """Give the server this name, if there is one, and return all names."""
    from ...prompt.screen import screen
    from ...storage.settings import Settings
    from ..describe import plain

    settings = Settings()
    if name:
        before = settings.names().get(name, server)
        settings.name(name, server)
        if before != server:  # scripts may go by it
            screen.remark(f"The name {quoted(name)} was {plain(before)} until now.", "warning")
    return settings.names()


# Options that only a new login uses; the others apply to a stored one, too, or cause a new one.
_OF_A_LOGIN: Final = (
    "no_browser",
    "device",
    "timeout",
    "client_name",
    "client_secret_file",
    "client_key_file",
    "client_auth_method",
    "idp_client_secret_file",
    "idp_client_auth_method",
    "idp_scope",
    "initial_access_token_file",
    "callback_port",
    "redirect_uri",
    "metadata_url",
    "endpoints",
    "audience",
    "login_hint",
    "params",
    "par",
    "refresh_scope",
    "allow_mix_up",
    "assume_pkce_s256",
    "allow_private_addresses",
)


def _why_not(stored: Credential | None, entry: Summary | None, protocol: dict[str, Any]) -> str:
    """Return why the stored login cannot be used; empty if it can.

    If the issuer, client id, resource, scope or DPoP differs, the session itself sees that and
    has no login; the issuer is named here all the same.
    """
    from ...protocol.registration import ClientMetadataDocument
    from ...protocol.urls import same_issuer

    options, client = protocol["options"], protocol["client"]
    if entry is not None and options.issuer and not same_issuer(options.issuer, entry.issuer):
        return f"you are logged in at {entry.issuer}, not at --issuer"
    if stored is None:
        return ""
    if isinstance(client, ClientMetadataDocument) and client.url != stored.client.client_id:
        return "the stored login has another client than --client-metadata-url"
    if options.require_iss and not stored.options.get("require_iss"):
        return "the stored login was made without --require-iss"
    if options.headers and options.gateway_headers(stored.key.server) != stored.headers:
        return "the stored login has other headers than --gateway-header"
    return ""


def _tell_of_unused(entry: Summary | None, store: str | None) -> None:
    """Name the options in the command that a stored login has no use for.

    `store`: where logins are to be kept, which does not move this one.
    """
    from ...prompt.screen import screen

    unused = [source_of(name) for name in _OF_A_LOGIN if is_typed(name)]
    if is_typed("store") and entry is not None and entry.storage != store:
        unused.append("--store")
    if unused:
        screen.remark(
            f"Not used, because you are logged in: {', '.join(unused)}."
            " To log in again with them, add --force.",
            "warning",
        )


def _client_of_person(error: RegistrationRefused) -> PreRegistered:
    """The client that a person has; the error itself if no one is there, or has none.

    No secret is read for a server that only a file nearby names.
    """
    from ...prompt.screen import screen
    from ...protocol.registration import PreRegistered
    from ..servers import NEARBY
    from ..storage import is_interactive

    nearby = click.get_current_context().meta.get(NEARBY)
    if error.code == "no_authorization_server" or nearby or not is_interactive():
        raise error
    screen.clear()
    screen.tell(f"{error.summary[0].upper()}{error.summary[1:]}.")
    screen.tell(
        "Get a client ID from the server's operator, or from the page where the service lists its"
        " OAuth apps, and register http://127.0.0.1/callback as its redirect URI."
    )
    client_id = click.prompt(
        "Client ID (empty to cancel)", default="", show_default=False, err=True
    )
    if not client_id.strip():
        raise error
    secret = click.prompt(
        "Client secret (empty for none)", default="", show_default=False, hide_input=True, err=True
    )
    return PreRegistered(client_id.strip(), secret.strip() or None)
