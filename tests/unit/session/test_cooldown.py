"""What is remembered of a failed login, for how long, and what clears it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_client_auth import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    FileStorage,
    InsufficientScope,
    IssuerMismatch,
    LoginFailed,
    MemoryStorage,
    Storage,
    StorageError,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.credential import Note, key_for
from mcp_client_auth.session.cooldown import SECONDS, Cooling

KEY = key_for("https://mcp.example.com/mcp")


class Kept:
    """The coolings of several processes on one store, at one time."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.now = storage, 1_800_000_000.0

    def cooling(self, url: str = KEY.server, account: str = "default") -> Cooling:
        return Cooling(self.storage, key_for(url, account), lambda: self.now)


@pytest.fixture(params=["memory", "file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return Kept(MemoryStorage() if request.param == "memory" else FileStorage(tmp_path))


DENIED = AuthorizationDenied(
    "the login was denied", url="https://auth.example.com/", code="access_denied", hint="again"
)
ERRORS = [
    DENIED,
    LoginFailed("no one signed in", code="timeout", step="login"),
    IssuerMismatch("another issuer"),
    BadResponse("not JSON"),
    TokenRefused("refused", status=401, code="invalid_token"),
    InsufficientScope("more", requested=("a", "b"), granted=()),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_same_error_is_raised_in_every_process(kept: Kept, error: AuthError) -> None:
    kept.cooling().remember("login", error)
    with pytest.raises(type(error)) as caught:
        kept.cooling().check("login")
    assert type(caught.value) is type(error)
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize(
    "error", [Unavailable("later"), LoginFailed("the login was aborted", code="aborted")]
)
def test_where_nobody_was_asked_in_vain_nothing_is_remembered(kept: Kept, error: AuthError) -> None:
    kept.cooling().remember("login", error)
    kept.cooling().check("login")


def test_after_a_minute_the_person_may_be_asked_again(kept: Kept) -> None:
    kept.cooling().remember("login", DENIED)
    kept.now += SECONDS
    with pytest.raises(AuthorizationDenied):
        kept.cooling().check("login")
    kept.now += 0.001
    kept.cooling().check("login")


def test_a_clock_that_was_set_back_does_not_make_it_longer(kept: Kept) -> None:
    kept.cooling().remember("login", DENIED)
    kept.now -= 86_400
    kept.cooling().check("login")


def test_a_clearing_clears_every_purpose(kept: Kept) -> None:
    kept.cooling().remember("login", DENIED)
    kept.cooling().remember("step-up to write", DENIED)
    kept.cooling().clear()
    kept.cooling().check("login")
    kept.cooling().check("step-up to write")
    assert not kept.storage.load(Note(KEY, "cooling"))


def test_one_purpose_does_not_stop_another(kept: Kept) -> None:
    kept.cooling().remember("step-up to write", DENIED)
    kept.cooling().check("login")
    kept.cooling().remember("login", DENIED)
    with pytest.raises(AuthorizationDenied):
        kept.cooling().check("step-up to write")


def test_one_account_or_server_does_not_stop_another(kept: Kept) -> None:
    kept.cooling().remember("login", DENIED)
    kept.cooling(account="work").check("login")
    kept.cooling(url="https://other.example.com/").check("login")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[]",
        "null",
        '{"login": null}',
        '{"login": {}}',
        '{"login": {"until": "soon"}}',
        '{"login": {"until": 1800000030}}',
        '{"login": {"until": 1800000030, "kind": "AuthError", "fields": []}}',
        '{"login": {"until": 1800000030, "kind": "quoted", "fields": {}}}',
        '{"login": {"until": 1800000030, "kind": "AuthError", "fields": {}}}',
    ],
)
def test_a_note_that_is_damaged_stops_nobody(kept: Kept, note: str) -> None:
    kept.storage.save(note, Note(KEY, "cooling"))
    kept.cooling().check("login")
    kept.cooling().remember("login", DENIED)
    with pytest.raises(AuthorizationDenied):
        kept.cooling().check("login")


def test_a_note_that_cannot_be_kept_or_read_does_not_hide_why_a_login_failed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("no space is left")

    monkeypatch.setattr(kept.storage, "save", fail)
    kept.cooling().remember("login", DENIED)
    monkeypatch.setattr(kept.storage, "load", fail)
    kept.cooling().remember("login", DENIED)
    kept.cooling().check("login")


def test_a_kind_of_error_that_is_not_known_is_still_an_error(kept: Kept) -> None:
    note = '{"login": {"until": 1800000030, "kind": "Novel", "fields": {"summary": "no"}}}'
    kept.storage.save(note, Note(KEY, "cooling"))
    with pytest.raises(AuthError, match="no"):
        kept.cooling().check("login")


def test_a_note_that_was_changed_by_hand_is_shown_as_one_short_line(kept: Kept) -> None:
    kept.cooling().remember("login", DENIED)
    text = kept.storage.load(Note(KEY, "cooling")) or ""
    changed = text.replace("the login was denied", "de\\u001b[2Jnied\\n" + "x" * 9000)
    kept.storage.save(changed.replace('["again"]', '["a\\u001bgain"]'), Note(KEY, "cooling"))
    with pytest.raises(AuthorizationDenied, match=r"de .2Jnied") as caught:
        kept.cooling().check("login")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("url", ["https://a b/", "https://a.example/" + "b" * 500])
def test_a_url_that_was_shortened_or_quoted_is_remembered_as_it_was_shown(
    kept: Kept, url: str
) -> None:
    error = LoginFailed("no", url=url)
    kept.cooling().remember("login", error)
    with pytest.raises(LoginFailed) as caught:
        kept.cooling().check("login")
    assert str(caught.value) == str(error)
