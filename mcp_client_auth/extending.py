"""Every type that a prompt, a storage backend or a transport of your own needs.

A `Prompt` brings a person to sign in: it makes a `Visit`, which binds a `Callback`, shows the
address of an `AuthorizationRequest`, and returns its `Answer`. `FirstAnswer` is the race between
several sources of an answer. A `Backend` keeps texts under the names of `Item`s and locks them;
`Store("name", backend)` makes a storage of it, and `SealedBackend` encrypts what another backend
keeps. A `Transport` is a function from an `HttpRequest` to its `HttpResponse`.
"""

from __future__ import annotations

from .credential import ClientKey as ClientKey
from .credential import Credential as Credential
from .credential import Key as Key
from .credential import Note as Note
from .prompt.base import AnswerSource as AnswerSource
from .prompt.base import CodeDisplay as CodeDisplay
from .prompt.base import Display as Display
from .prompt.base import Ending as Ending
from .prompt.base import Invitation as Invitation
from .prompt.base import Prompt as Prompt
from .prompt.base import Visit as Visit
from .prompt.race import Answer as Answer
from .prompt.race import FirstAnswer as FirstAnswer
from .protocol.authorization import AuthorizationCode as AuthorizationCode
from .protocol.authorization import AuthorizationRequest as AuthorizationRequest
from .protocol.flow import HttpRequest as HttpRequest
from .protocol.flow import HttpResponse as HttpResponse
from .protocol.flow import Transport as Transport
from .protocol.redirects import Callback as Callback
from .protocol.registration import Client as Client
from .protocol.tokens import TokenSet as TokenSet
from .storage.backend import Backend as Backend
from .storage.backend import Item as Item
from .storage.backend import Vault as Vault
from .storage.index import Summary as Summary
from .storage.sealed import SealedBackend as SealedBackend
from .storage.store import Storage as Storage
from .storage.store import Store as Store

__all__ = [
    "Answer",
    "AnswerSource",
    "AuthorizationCode",
    "AuthorizationRequest",
    "Backend",
    "Callback",
    "Client",
    "ClientKey",
    "CodeDisplay",
    "Credential",
    "Display",
    "Ending",
    "FirstAnswer",
    "HttpRequest",
    "HttpResponse",
    "Invitation",
    "Item",
    "Key",
    "Note",
    "Prompt",
    "SealedBackend",
    "Storage",
    "Store",
    "Summary",
    "TokenSet",
    "Transport",
    "Vault",
    "Visit",
]
