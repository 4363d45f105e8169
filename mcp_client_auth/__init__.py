"""The authorization of an MCP client as one object that you hand to any HTTP client.

Importing this package loads nothing heavy: each public name is loaded when it is used.
"""

TYPE_CHECKING = False  # typing costs as much as all of a bare interpreter

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .auth import MCPAuth as MCPAuth
    from .credential import Credential as Credential
    from .credential import Key as Key
    from .errors import AuthError as AuthError
    from .errors import AuthorizationDenied as AuthorizationDenied
    from .errors import BadResponse as BadResponse
    from .errors import DpopUnsupported as DpopUnsupported
    from .errors import InsecureUrl as InsecureUrl
    from .errors import InsufficientScope as InsufficientScope
    from .errors import IssuerMismatch as IssuerMismatch
    from .errors import LoginFailed as LoginFailed
    from .errors import LoginRequired as LoginRequired
    from .errors import PkceUnsupported as PkceUnsupported
    from .errors import Refused as Refused
    from .errors import RegistrationRefused as RegistrationRefused
    from .errors import ResourceMismatch as ResourceMismatch
    from .errors import StorageError as StorageError
    from .errors import TokenRefused as TokenRefused
    from .errors import Unavailable as Unavailable
    from .errors import Untrusted as Untrusted
    from .errors import UsageError as UsageError
    from .events import Event as Event
    from .leaving import LoggedOut as LoggedOut
    from .prompt import BrowserPrompt as BrowserPrompt
    from .prompt import Prompt as Prompt
    from .prompt.device import DevicePrompt as DevicePrompt
    from .protocol.grants import ClientCredentials as ClientCredentials
    from .protocol.grants import DeviceCode as DeviceCode
    from .protocol.grants import EnterpriseManaged as EnterpriseManaged
    from .protocol.grants import WorkloadIdentity as WorkloadIdentity
    from .protocol.options import Endpoints as Endpoints
    from .protocol.options import Options as Options
    from .protocol.registration import ClientMetadataDocument as ClientMetadataDocument
    from .protocol.registration import PreRegistered as PreRegistered
    from .secret import Secret as Secret
    from .signin import Login as Login
    from .signin import alogin as alogin
    from .signin import login as login
    from .signin import logout as logout
    from .storage import Storage as Storage
    from .storage.file import FileStorage as FileStorage
    from .storage.keyring import KeyringStorage as KeyringStorage
    from .storage.memory import MemoryStorage as MemoryStorage
    from .transport import HttpTransport as HttpTransport

_ERRORS = (
    "AuthError",
    "AuthorizationDenied",
    "BadResponse",
    "DpopUnsupported",
    "InsecureUrl",
    "InsufficientScope",
    "IssuerMismatch",
    "LoginFailed",
    "LoginRequired",
    "PkceUnsupported",
    "Refused",
    "RegistrationRefused",
    "ResourceMismatch",
    "StorageError",
    "TokenRefused",
    "Unavailable",
    "Untrusted",
    "UsageError",
)
_HOMES = {
    **dict.fromkeys(_ERRORS, "errors"),
    "BrowserPrompt": "prompt",
    "ClientCredentials": "protocol.grants",
    "ClientMetadataDocument": "protocol.registration",
    "Credential": "credential",
    "DeviceCode": "protocol.grants",
    "DevicePrompt": "prompt.device",
    "EnterpriseManaged": "protocol.grants",
    "Endpoints": "protocol.options",
    "Event": "events",
    "FileStorage": "storage.file",
    "HttpTransport": "transport",
    "Key": "credential",
    "KeyringStorage": "storage.keyring",
    "LoggedOut": "leaving",
    "Login": "signin",
    "MCPAuth": "auth",
    "MemoryStorage": "storage.memory",
    "Options": "protocol.options",
    "PreRegistered": "protocol.registration",
    "Prompt": "prompt",
    "Secret": "secret",
    "Storage": "storage",
    "WorkloadIdentity": "protocol.grants",
    "alogin": "signin",
    "login": "signin",
    "logout": "signin",
}
__all__ = ["__version__", *sorted(_HOMES)]


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
