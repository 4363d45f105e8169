"""An httpx client for the user's own requests, with their login; its errors become ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..errors import AuthError, LoginRequired, Remedy, Unavailable, UsageError
from ..events import Event, Listener, tell
from ..secret import quoted
from .arguments import AboutLogin, Network

if TYPE_CHECKING:
    from typing import Unpack

    import httpx

    from ..adapters.authorizer import OnFailure
    from ..adapters.httpx import MCPAuth
    from ..credential import Credential
    from ..session.open import Arguments


class Opened(NamedTuple):
    """`fault_of` turns an error of httpx into one of ours."""

    client: httpx.Client
    auth: MCPAuth
    fault_of: Callable[[Exception], AuthError]


def asking_no_one(auth: MCPAuth) -> MCPAuth:
    """Return the same login for what a program sends on its own: no browser may open for it."""
    other = type(auth).__new__(type(auth))
    vars(other).update(vars(auth), session=auth.session.asking(None, auth.session.ports.on_event))
    other.last_error = None
    return other


@contextmanager
def opened(
    url: str,
    login: AboutLogin,
    timeout: float,
    *,
    on_failure: OnFailure = "raise",
    connections: int | None = None,
    **given: Unpack[Arguments],
) -> Iterator[Opened]:
    """A client with the login for `url`; nothing is read or sent yet."""
    from ..adapters.httpx import MCPAuth
    from ..origin import is_loopback
    from ..transport.pools import environment_proxy
    from .sessions import listener_for, session_arguments

    # this machine is reached without a proxy
    proxy = None if is_loopback(url) else login.network.proxy or environment_proxy(url)

    def fault_of(error: Exception) -> AuthError:
        return _fault(error, url, timeout, proxy)

    with _client(url, login.network, timeout, proxy, connections) as client:
        server = _server_for(url, login.account)
        on_event = listener_for(login.output)
        given.setdefault("on_event", on_event)
        arguments = session_arguments(server, login, **given)
        client.auth = auth = MCPAuth(server, on_failure=on_failure, **arguments)
        client.event_hooks = {"response": [partial(_tell, on_event)]}
        yield Opened(client, auth, fault_of)


@contextmanager
def authorized(
    url: str, login: AboutLogin, timeout: float
) -> Iterator[tuple[httpx.Client, str, Callable[[Exception], AuthError]]]:
    """Yield a client with the login for `url`, where to send requests, and what turns an httpx
    error into one of ours; an error that is raised inside is turned into one, too."""
    import httpx

    from ..session.single_flight import wait
    from .sessions import with_other_accounts

    with opened(url, login, timeout) as (client, auth, fault_of):
        try:
            yield client, endpoint(url, wait(auth.session.ready())), fault_of
        except LoginRequired as error:
            raise with_other_accounts(error, auth.session) from None
        except (httpx.InvalidURL, httpx.HTTPError, UnicodeError) as error:
            raise fault_of(error) from None


def _tell(listener: Listener | None, response: httpx.Response) -> None:
    """Report each response, also one after which the request is sent again."""
    request = response.request
    method = " ".join(filter(None, [request.method, request.headers.get("mcp-method")]))
    tell(listener, Event("message", str(request.url), response.status_code, method))


def _server_for(url: str, account: str) -> str:
    """The server whose login goes with the URL: this one, otherwise the nearest above it."""
    from ..credential import key_for
    from ..origin import split
    from ..protocol.urls import ServerUrl, canonical
    from ..storage import local_index

    exact = canonical(url)
    keys = [entry.key for entry in local_index().all(account=account)]
    ours = [key.server for key in keys if key == key_for(key.server, account)]
    if exact in ours:
        return exact
    below = split(exact).path
    nearness: dict[str, tuple[int, bool]] = {}  # how much of the path they share
    for each in ours:
        if ServerUrl(each).covers(url):
            path = split(each).path
            above = below == path or below.startswith(path.removesuffix("/") + "/")
            # all of the server's, or only its directory
            nearness[each] = len(path if above else path.rpartition("/")[0]), above
    nearest = [each for each, near in nearness.items() if near == max(nearness.values())]
    if len(nearest) > 1:
        raise UsageError(
            f"{len(nearest)} of your logins could go with this URL: {', '.join(nearest)}",
            url=url,
            hint="Nothing was sent. Pass the URL of one of these servers, or one below it",
        )
    return nearest[0] if nearest else url


def endpoint(url: str, credential: Credential | None) -> str:
    """Where redirects of the server's own URL have led; any other URL is sent to as it is."""
    from ..protocol.urls import ServerUrl, canonical

    if credential is None or not credential.final_url:
        return url
    server = ServerUrl(credential.key.server)
    final, (bare, _, query) = credential.endpoint(server), url.partition("?")
    if canonical(url) == server:
        return final
    if canonical(bare) == server and query and "?" not in final:
        return f"{final}?{query}"
    return url


def _client(
    url: str, network: Network, timeout: float, proxy: str | None, most: int | None = None
) -> httpx.Client:
    """A client for the person's own request; this machine is reached without a proxy."""
    import ssl
    from http.cookiejar import CookieJar

    import httpx

    from ..origin import split
    from ..transport.pools import for_threads, parsed_proxy
    from ..transport.racing import MOST_IDLE, RacingTransport, limits
    from ..transport.tls import tls_context
    from .sessions import connection

    class Blind(CookieJar):
        """No cookies: requests need none, and a server could feed the parser of `Set-Cookie`."""

        def extract_cookies(self, response: object, request: object) -> None: ...

    def through(proxy: str) -> httpx.HTTPTransport:
        transport = httpx.HTTPTransport(
            verify=context, proxy=parsed_proxy(proxy), limits=httpx.Limits(**limits(most))
        )
        for_threads(transport._pool, MOST_IDLE)
        return transport

    named = connection(network)
    clear = split(url).scheme == "http"  # the authorities take long to load
    try:
        context = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if clear and not proxy
            else tls_context(named.get("verify", True), named.get("cert"))
        )
        return httpx.Client(
            transport=through(proxy) if proxy else RacingTransport(context, most=most),
            timeout=httpx.Timeout(timeout),
            follow_redirects=False,
            cookies=Blind(),
        )
    except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
        raise UsageError(
            f"the proxy or certificate settings cannot work: {quoted(str(error))}",
            hint="Check --proxy, --ca, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE. A SOCKS proxy"
            " needs: pip install 'mcp-client-auth[socks]'",
        ) from None


def _fault(error: Exception, url: str, timeout: float, proxy: str | None) -> AuthError:
    """An error of httpx, as one of ours."""
    import httpx

    from ..transport.faults import UNCHANGED, Place, fault, reason
    from ..transport.pools import proxy_named

    if isinstance(error, httpx.InvalidURL | UnicodeError):  # an invalid `xn--` host
        return UsageError(f"the URL cannot be used: {reason(error)}", url=url)
    if isinstance(error, httpx.TimeoutException):
        return Unavailable("no answer in time", url=url, hint="See --timeout")
    if isinstance(error, httpx.LocalProtocolError):  # it may quote a header
        return UsageError("the request cannot be sent as it is", url=url)
    # httpx says neither that it was the proxy, nor how far the exchange got
    connecting = isinstance(error, httpx.ConnectError) and "SSL" not in str(error)
    failed = fault(error, Place(url, timeout, proxy_named(proxy) if proxy else "", connecting))
    if failed.remedy == Remedy(UNCHANGED):
        failed.advised("Check the address")
    return failed
