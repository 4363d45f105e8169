"""Where logins are kept: a session sees a `Storage`, and a new place is a `Backend`."""

from .backend import LOCK_WAIT as LOCK_WAIT
from .backend import Backend as Backend
from .backend import Item as Item
from .backend import Vault as Vault
from .index import Summary as Summary
from .placement import CHOICES as CHOICES
from .placement import choose_storage as choose_storage
from .placement import library_storage as library_storage
from .placement import local_index as local_index
from .placement import name_of as name_of
from .placement import shared_at as shared_at
from .placement import storage_named as storage_named
from .store import Storage as Storage
from .store import Store as Store
