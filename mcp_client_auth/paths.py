"""Where our files are, what they are called, and how a small private file is read.

It imports next to nothing: `mcp-login token` reads two files, and does little more.
"""

import os
import stat

TYPE_CHECKING = False  # typing costs more than all that is done here
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

VARIABLE: "Final" = "MCP_CLIENT_AUTH_HOME"
RECORD: "Final" = ".secret"  # of the file storage
ENTRY: "Final" = ".json"  # of the index
PENDING: "Final" = ".pending"  # of a login that is under way
DAMAGED: "Final" = ".damaged"  # appended to the name of what was set aside
REFUSED: "Final" = ".refused.note"  # beside a login whose token the server has refused
PROJECT: "Final" = ".mcp-login.toml"
LARGEST: "Final" = 1 << 20
_SMALL: "Final" = 4096
_NAMED: "Final" = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
READ: "Final" = (
    _NAMED
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe in place of a file would wait for a writer
)


def home() -> str:
    """The directory of our files: `MCP_CLIENT_AUTH_HOME`, or the platform's for user data.

    Raises `StorageError` if it depends on a home directory and this user has none, as in a
    container that runs under an arbitrary user ID.
    """
    named = os.environ.get(VARIABLE)
    try:
        if named:
            path = os.path.expanduser(named)
            # a ~ that stands for no known home is left as it is
            path = "" if path.startswith("~") else os.path.abspath(path)
        else:
            from platformdirs import user_data_dir

            path = user_data_dir("mcp-client-auth", appauthor=False, roaming=False)
    except (OSError, RuntimeError):  # the working directory was removed; there is no home
        path = ""
    if os.path.isabs(path):
        return path
    from .errors import StorageError
    from .secret import quoted

    why = "HOME is not set, and this user ID has no entry in the user database"
    if named:
        why = f"{VARIABLE} is {quoted(named)}, which depends on a directory that is not there"
    raise StorageError(
        f"there is no directory to keep logins in: {why}",
        code="no_home",
        hint=f"Set {VARIABLE} to the absolute path of a directory of your own that is kept",
    )


def user_home() -> str:
    """The user's home directory; if it is unknown, a path below which nothing can exist."""
    path = os.path.expanduser("~")
    return path if os.path.isabs(path) else os.devnull


def project_file() -> str | None:
    """The nearest `.mcp-login.toml` from the working directory upwards.

    The search stops at the home directory and at a mount point.
    """
    try:
        here, top = os.getcwd(), os.path.realpath(user_home())
        device = os.stat(here).st_dev
        while not os.path.lexists(file := os.path.join(here, PROJECT)):
            parent = os.path.dirname(here)
            if here in (top, parent) or os.stat(parent).st_dev != device:
                return None
            here = parent
    except OSError:  # the directory was removed meanwhile, or we may not read it
        return None
    return file


def record_id(*words: str) -> str:
    """A file name of 32 hex digits for what these words name."""
    return record_ids([words])[0]


def record_ids(named: "Iterable[tuple[str, ...]]") -> "list[str]":
    """Return the `record_id` of each of very many."""
    from hashlib import sha256
    from json.encoder import encode_basestring_ascii as spelled

    named = list(named)
    all_words = "".join(map("".join, named))
    if spelled(all_words) == f'"{all_words}"':
        texts = ['["' + '", "'.join(words) + '"]' for words in named]
    else:
        # as json.dumps writes it, in a third of the time
        texts = ["[" + ", ".join(map(spelled, words)) + "]" for words in named]
    return [sha256(text.encode()).hexdigest()[:32] for text in texts]


def is_foreign(state: os.stat_result) -> bool:
    """Whether a file or directory belongs to another user, who could have put anything there."""
    return os.name == "posix" and state.st_uid != os.geteuid()


class Unfit(OSError):
    """A file that is not as it must be; `strerror` says how."""


class Foreign(Unfit):
    """A file of another user."""


def read_private(path: str, most: int = LARGEST) -> bytes:
    """A file of ours, not a link. Raises `OSError`, or `Unfit` if we cannot have written it."""
    handle = os.open(path, READ)
    try:
        state = os.fstat(handle)
        if is_foreign(state):
            raise Foreign(0, "it belongs to another user")
        _require_regular(state)
        limit = min(most, state.st_size)
        content = os.read(handle, limit + 1)  # usually this is all of it
        if len(content) < limit:
            content += _content(handle, limit - len(content))
        if len(content) > limit:
            raise Unfit(0, f"it is larger than {limit} bytes")
        return content
    finally:
        os.close(handle)


def read_small(name: str, place: int) -> "bytes | None":
    """Read a file in the directory `place`, a handle, where no other user can create one; None if
    it is large. It takes less than half the time of `read_private`."""
    handle = os.open(name, READ, dir_fd=place)
    try:
        content = os.read(handle, _SMALL)
    finally:
        os.close(handle)
    return content if len(content) < _SMALL else None


def read_named(path: str, *, pipe: bool = False) -> str:
    """The text of a file that the user names; it may be a link, and anyone may own it.

    `pipe`: it may be a pipe, whose content can be read once. Raises `OSError`.
    """
    try:
        flags = _NAMED if pipe else _NAMED | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(os.path.expanduser(path), flags)
        try:
            if not pipe:
                _require_regular(os.fstat(handle))
            return _content(handle).decode("utf-8-sig")  # PowerShell writes a byte order mark
        finally:
            os.close(handle)
    except ValueError:  # a NUL in the path, or bytes that are not UTF-8
        raise Unfit(0, "it is not text") from None


def _require_regular(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise Unfit(0, "it is not a regular file")


def _content(handle: int, most: int = LARGEST) -> bytes:
    pieces, left = [], most + 1
    while left > 0 and (piece := os.read(handle, left)):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise Unfit(0, f"it is larger than {most} bytes")
    return b"".join(pieces)
