"""From a caller's arguments to a session; nothing is sent, and no HTTP library is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from ..errors import InsecureUrl, UsageError
from ..protocol.frozen import replace
from ..threads import is_async

if TYPE_CHECKING:
    from ..credential import Key
    from ..events import Listener
    from ..grants.base import Grant
    from ..prompt.base import Prompt
    from ..protocol.flow import Transport
    from ..protocol.options import Options
    from ..protocol.registration import Identity
    from ..protocol.urls import ServerUrl
    from ..storage import Storage
    from .session import Session

Call = TypeVar("Call", bound=Callable[..., Any])
ChosenPrompt: TypeAlias = "Prompt | Literal['auto'] | None"


class Arguments(TypedDict, total=False):
    """What `MCPAuth`, `login` and `open_session` take besides the server's URL."""

    account: str
    client: Identity
    scope: str | Sequence[str] | None
    storage: Storage | str | None
    prompt: ChosenPrompt
    grant: Grant | None
    options: Options | None
    on_event: Listener | None
    transport: Transport | None


_DEFAULTS: Final[Arguments] = {"account": "default", "prompt": "auto"}  # otherwise None


def shows_arguments(call: Call) -> Call:
    """Make help(), and a notebook that completes names, show what its `**arguments` stand for."""
    shown = signature(call)
    named = [each for each in shown.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    for name in Arguments.__annotations__:
        named.append(Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name)))
    vars(call)["__signature__"] = shown.replace(parameters=named)
    return call


def _has(member: str) -> Callable[[Any], bool]:
    """A check for an object with this member; the class of such objects does not pass."""
    return lambda value: not isinstance(value, type) and hasattr(value, member)


def _names_scopes(value: object) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, Collection) and all(isinstance(name, str) for name in names)


_USABLE: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "url": (
        lambda value: _has("casefold")(value) and bool(value.strip()),
        'the server\'s URL: "https://mcp.example.com/mcp"',
    ),
    "account": (
        lambda value: isinstance(value, str) and value.isprintable() and bool(value.strip()),
        'a name such as "work"',
    ),
    "client": (_has("registered_id"), "a PreRegistered or a ClientMetadataDocument"),
    "scope": (_names_scopes, 'scopes: "notes:read notes:write", or a list of them'),
    "storage": (
        lambda value: isinstance(value, str) or _has("load")(value),
        '"keyring", "file", "memory", a URL or a Storage',
    ),
    "prompt": (lambda value: value == "auto" or _has("visit")(value), '"auto", None or a Prompt'),
    "grant": (
        _has("require_client"),
        "ClientCredentials(), WorkloadIdentity(…), EnterpriseManaged(…) or DeviceCode()",
    ),
    "options": (_has("authorization_parameters"), "an Options"),
    "on_event": (
        lambda value: callable(value) and not is_async(value),
        "a function that is given each Event, and returns at once",
    ),
    "transport": (_has("__call__"), "an HttpTransport(…)"),
}


def require_usable(name: str, url: object, arguments: Mapping[str, object]) -> None:
    """Raise `UsageError` for a value of another kind than its argument, and `TypeError` for a
    keyword that is not one of `Arguments`, as a call raises it."""
    if unknown := sorted(arguments.keys() - Arguments.__optional_keys__):
        told = f"{name}() got an unexpected keyword argument {unknown[0]!r}"
        raise TypeError(told + _meant(unknown[0]))
    for argument, value in {"url": url, **arguments}.items():
        usable, expected = _USABLE[argument]
        if usable(value) or (value is None and argument not in ("url", "account")):
            continue
        raise UsageError(f"{argument} is {_kind(value)}", hint=f"Expected {expected}")


def _meant(name: str) -> str:
    """A suggestion of the keyword that was meant, in Python's own words."""
    from difflib import get_close_matches

    from ..protocol.options import Options

    if name in Options.__dataclass_fields__:
        return f". Did you mean options=Options({name}=…)?"
    near = get_close_matches(name, Arguments.__optional_keys__, 1)
    return f". Did you mean '{near[0]}'?" if near else ""


def _kind(value: object) -> str:
    """What kind of value this is, for one that does not fit its argument."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if is_async(value):
        return "an async function"
    if isinstance(value, str) and not value.strip():
        return "empty"
    if isinstance(value, str) and not value.isprintable():
        return "a text with characters that cannot be shown"
    if isinstance(value, list | tuple | set | frozenset) and value:
        kinds = sorted({type(each).__name__ for each in value if not isinstance(each, str)})
        return f"a {type(value).__name__} with {', '.join(kinds) or 'str'} in it"
    return f"of the type {type(value).__name__}"


def open_session(
    url: str,
    *,
    personal: bool = False,
    by_application: bool = False,
    **arguments: Unpack[Arguments],
) -> Session:
    """A session from a caller's arguments; nothing is read or sent yet.

    `personal`: the login is the person's own, whatever client it uses, as with the command.
    `by_application`: see `LoginConfig`.
    """
    from ..grants.base import LoginConfig, Ports
    from ..storage import library_storage
    from ..transport import HttpTransport
    from .session import Session

    require_usable("open_session", url, arguments)
    given: Arguments = {**_DEFAULTS, **arguments}
    client, grant = given.get("client"), given.get("grant")
    options = given.get("options") or _usual_options()
    prompt = _prompt(given["prompt"], grant)
    if grant is not None:
        grant.require_client(client)
    key = _key(url, given["account"], client, grant, personal=personal)
    storage = library_storage(given.get("storage"), key)
    server_url = _server_url(url, options, storage, key)
    transport = given.get("transport") or HttpTransport(url, options)
    ports = Ports(storage=storage, transport=transport, on_event=given.get("on_event"))
    ports = ports.carrying(options.gateway_headers(server_url))
    scope = given.get("scope")
    if scope is not None:
        from ..protocol.scopes import parse

        scope = parse(scope) if isinstance(scope, str) else tuple(scope)
    config = LoginConfig(server_url, key, client, scope, options, grant)
    if by_application:
        config = replace(config, by_application=True)
    return Session(config, ports, prompt)


def _key(url: str, account: str, client: Identity, grant: Grant | None, *, personal: bool) -> Key:
    """The key that the login is kept under; an app's own client or grant has its own key."""
    from ..credential import key_for

    own = client.registered_id if client else ""
    if grant is not None and not grant.interactive and grant.provider is None:
        return key_for(url, account, own, grant.name)
    return key_for(url, account, "" if personal else own)


def _server_url(url: str, options: Options, kept: Storage, key: Key) -> ServerUrl:
    from ..protocol.urls import ServerUrl

    try:
        return ServerUrl.checked(url, options)
    except InsecureUrl:
        if kept.summary(key) is None:
            raise
        # what a login was allowed stays allowed as long as it is stored
        return ServerUrl.checked(url, replace(options, allow_insecure_http=True))


def _prompt(prompt: ChosenPrompt, grant: Grant | None) -> Prompt | None:
    """The caller's prompt; raises `UsageError` for one that cannot show what the grant needs."""
    if prompt == "auto":
        return automatic_prompt() if grant is None or grant.provider else None
    if grant is None and prompt is None:
        return None
    from ..prompt.device import DevicePrompt

    by_code = grant is not None and grant.by_code
    if prompt and isinstance(prompt, DevicePrompt) != by_code:
        raise UsageError("a DevicePrompt and DeviceCode() need each other")
    return prompt


def automatic_prompt() -> Prompt | None:
    """A browser if one can be opened, otherwise no prompt."""
    from ..prompt.browser_prompt import BrowserPrompt
    from ..prompt.open_browser import can_open

    return BrowserPrompt() if can_open() else None


@cache
def _usual_options() -> Options:
    """The `Options` of all sessions that have none of their own."""
    from ..protocol.options import Options

    return Options()
