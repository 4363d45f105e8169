"""Every message of the flow, pure: no I/O, no clock, no globals.

Each is a pair of functions, one that builds the request and one that reads the response. A step
of several messages is a generator that yields our plain request and receives our plain response.
Only its check can make a checked value. `run` and `arun` drive a flow with a function that sends
one `HttpRequest`; limits on addresses, sizes and time belong in that function.

The steps: `ask_server`, `discover`, `register`, `authorization_request` and its `accept`,
`exchange`; later `refresh`, `revoke`, `unregister`.
"""

TYPE_CHECKING = False  # every module of this package loads this one first
if TYPE_CHECKING:
    from .authorization import AuthorizationCode as AuthorizationCode
    from .authorization import AuthorizationRequest as AuthorizationRequest
    from .authorization import Unrelated as Unrelated
    from .authorization import authorization_request as authorization_request
    from .authorization import require_code_grant as require_code_grant
    from .challenge import Challenge as Challenge
    from .challenge import read_challenges as read_challenges
    from .client_auth import FormPost as FormPost
    from .client_auth import RequestSigner as RequestSigner
    from .device import DeviceAuthorization as DeviceAuthorization
    from .device import authorize_device as authorize_device
    from .device import device_authorization_request as device_authorization_request
    from .device import device_token_request as device_token_request
    from .device import poll as poll
    from .device import read_device_authorization as read_device_authorization
    from .discovery import Discovery as Discovery
    from .discovery import discover as discover
    from .discovery import metadata_request as metadata_request
    from .dynamic_registration import client_metadata as client_metadata
    from .dynamic_registration import read_registration as read_registration
    from .dynamic_registration import register as register
    from .dynamic_registration import registration_request as registration_request
    from .endpoints import Endpoints as Endpoints
    from .flow import AsyncTransport as AsyncTransport
    from .flow import Flow as Flow
    from .flow import HttpRequest as HttpRequest
    from .flow import HttpResponse as HttpResponse
    from .flow import Transport as Transport
    from .flow import arun as arun
    from .flow import run as run
    from .management import deletion_request as deletion_request
    from .management import read_deletion as read_deletion
    from .management import unregister as unregister
    from .metadata import ResourceMetadata as ResourceMetadata
    from .metadata import ServerMetadata as ServerMetadata
    from .metadata import read_resource_metadata as read_resource_metadata
    from .metadata import read_server_metadata as read_server_metadata
    from .options import Options as Options
    from .probe import ServerAnswer as ServerAnswer
    from .probe import ask_server as ask_server
    from .probe import probe_request as probe_request
    from .probe import read_answer as read_answer
    from .pushed import push as push
    from .pushed import push_request as push_request
    from .pushed import read_push as read_push
    from .registration import Client as Client
    from .registration import ClientMetadataDocument as ClientMetadataDocument
    from .registration import PreRegistered as PreRegistered
    from .scopes import choose_scope as choose_scope
    from .scopes import step_up as step_up
    from .tokens import TokenSet as TokenSet
    from .tokens import exchange as exchange
    from .tokens import exchange_request as exchange_request
    from .tokens import read_token_response as read_token_response
    from .tokens import refresh as refresh
    from .tokens import refresh_request as refresh_request
    from .tokens import revocation_request as revocation_request
    from .tokens import revoke as revoke
    from .urls import Endpoint as Endpoint
    from .urls import Issuer as Issuer
    from .urls import ServerUrl as ServerUrl

_HOMES = {
    **dict.fromkeys(
        ("AuthorizationCode", "AuthorizationRequest", "Unrelated", "authorization_request"),
        "authorization",
    ),
    "require_code_grant": "authorization",
    **dict.fromkeys(("Challenge", "read_challenges"), "challenge"),
    **dict.fromkeys(("FormPost", "RequestSigner"), "client_auth"),
    **dict.fromkeys(("DeviceAuthorization", "authorize_device", "poll"), "device"),
    "device_authorization_request": "device",
    "device_token_request": "device",
    "read_device_authorization": "device",
    **dict.fromkeys(("Discovery", "discover", "metadata_request"), "discovery"),
    **dict.fromkeys(
        ("client_metadata", "read_registration", "register", "registration_request"),
        "dynamic_registration",
    ),
    **dict.fromkeys(("AsyncTransport", "Flow", "Transport", "arun", "run"), "flow"),
    **dict.fromkeys(("HttpRequest", "HttpResponse"), "flow"),
    **dict.fromkeys(("deletion_request", "read_deletion", "unregister"), "management"),
    **dict.fromkeys(("ResourceMetadata", "read_resource_metadata"), "metadata"),
    **dict.fromkeys(("ServerMetadata", "read_server_metadata"), "metadata"),
    "Endpoints": "endpoints",
    "Options": "options",
    **dict.fromkeys(("ServerAnswer", "ask_server", "probe_request", "read_answer"), "probe"),
    **dict.fromkeys(("push", "push_request", "read_push"), "pushed"),
    **dict.fromkeys(("Client", "ClientMetadataDocument", "PreRegistered"), "registration"),
    **dict.fromkeys(("choose_scope", "step_up"), "scopes"),
    **dict.fromkeys(("TokenSet", "exchange", "exchange_request", "read_token_response"), "tokens"),
    **dict.fromkeys(("refresh", "refresh_request", "revocation_request", "revoke"), "tokens"),
    **dict.fromkeys(("Endpoint", "Issuer", "ServerUrl"), "urls"),
}
__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # to a type checker a misspelled name is an error

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
