"""The authorization of an MCP client as one object that you hand to any HTTP client.

Importing this package loads nothing heavy: each public name is loaded when it is used.
"""

TYPE_CHECKING = False  # typing costs as much as all of a bare interpreter

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .adapters.httpx import MCPAuth as MCPAuth
    from .api import Login as Login
    from .api import alogin as alogin
    from .api import login as login
    from .api import logout as logout
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
    from .grants.client_credentials import ClientCredentials as ClientCredentials
    from .grants.device_code import DeviceCode as DeviceCode
    from .grants.enterprise_managed import EnterpriseManaged as EnterpriseManaged
    from .grants.pending import PendingLogin as PendingLogin
    from .grants.workload_identity import WorkloadIdentity as WorkloadIdentity
    from .prompt.base import Prompt as Prompt
    from .prompt.browser_prompt import BrowserPrompt as BrowserPrompt
    from .prompt.device import DevicePrompt as DevicePrompt
    from .protocol.endpoints import Endpoints as Endpoints
    from .protocol.options import Options as Options
    from .protocol.registration import ClientMetadataDocument as ClientMetadataDocument
    from .protocol.registration import PreRegistered as PreRegistered
    from .secret import Secret as Secret
    from .session.audit import AuditEvent as AuditEvent
    from .session.logout import LoggedOut as LoggedOut
    from .storage import Backend as Backend
    from .storage import Item as Item
    from .storage import Storage as Storage
    from .storage import Store as Store
    from .storage import Vault as Vault
    from .storage.file import FileStorage as FileStorage
    from .storage.keyring import KeyringStorage as KeyringStorage
    from .storage.keys import Keys as Keys
    from .storage.memory import MemoryStorage as MemoryStorage
    from .storage.postgres import PostgresStorage as PostgresStorage
    from .storage.redis import RedisStorage as RedisStorage
    from .transport import HttpTransport as HttpTransport
    from .web.logins import Logins as Logins
    from .web.split_login import abegin_login as abegin_login
    from .web.split_login import afinish_login as afinish_login
    from .web.split_login import begin_login as begin_login
    from .web.split_login import finish_login as finish_login

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
    **dict.fromkeys(("Backend", "Item", "Storage", "Store", "Vault"), "storage"),
    "AuditEvent": "session.audit",
    "BrowserPrompt": "prompt.browser_prompt",
    "ClientCredentials": "grants.client_credentials",
    "ClientMetadataDocument": "protocol.registration",
    "Credential": "credential",
    "DeviceCode": "grants.device_code",
    "DevicePrompt": "prompt.device",
    "EnterpriseManaged": "grants.enterprise_managed",
    "Endpoints": "protocol.endpoints",
    "Event": "events",
    "FileStorage": "storage.file",
    "HttpTransport": "transport",
    "Key": "credential",
    "KeyringStorage": "storage.keyring",
    "Keys": "storage.keys",
    "LoggedOut": "session.logout",
    "Login": "api",
    "Logins": "web.logins",
    "MCPAuth": "adapters.httpx",
    "MemoryStorage": "storage.memory",
    "Options": "protocol.options",
    "PendingLogin": "grants.pending",
    "PostgresStorage": "storage.postgres",
    "PreRegistered": "protocol.registration",
    "Prompt": "prompt.base",
    "RedisStorage": "storage.redis",
    "Secret": "secret",
    "WorkloadIdentity": "grants.workload_identity",
    "abegin_login": "web.split_login",
    "afinish_login": "web.split_login",
    "alogin": "api",
    "begin_login": "web.split_login",
    "finish_login": "web.split_login",
    "login": "api",
    "logout": "api",
}
__all__ = ["__version__", *sorted(_HOMES)]


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
