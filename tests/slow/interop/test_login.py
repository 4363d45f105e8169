"""What the matrix does not walk through: a keyring, a denial, a crowd, too little scope."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.slow.interop.forms import (
    AUTHKIT,
    AUTHKIT_SCOPES,
    NO_RESOURCE_METADATA,
    PROXY,
    SDK,
    SHORT_LIVED,
    Form,
)
from tests.slow.interop.life import Life, sign_in, wait_until_expired, wait_until_refused

REFUSED, LOGIN_REQUIRED = 4, 3
# Where nothing is stored the index cannot tell where to look, and a machine may lack a keyring.
IN_A_FILE = {"MCP_CLIENT_AUTH_STORAGE": "file"}


def at(*forms: Form) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", forms, indirect=True, ids=[form.name for form in forms])


@at(AUTHKIT, SDK)
def test_a_login_is_kept_by_a_real_secret_service(
    life: Life, secret_service: dict[str, str]
) -> None:
    person, url = life.person, life.place.url
    person.store, person.extra = "keyring", secret_service
    sign_in(life)
    token = person.token(url)
    assert person.visits(url) == life.form.seen
    files = [each for each in person.home.rglob("*") if each.is_file()]
    assert not [each for each in files if token.encode() in each.read_bytes()]


@at(AUTHKIT, PROXY, SDK)
def test_a_denial_is_told_and_nothing_is_kept(life: Life) -> None:
    person, url = life.person, life.place.url
    person.decision, person.extra = "deny", IN_A_FILE
    answer = person.mcp_login(url, "--store", person.store)
    assert answer.code == REFUSED, answer.err
    assert person.mcp_login("token", url).code == LOGIN_REQUIRED


@at(SHORT_LIVED, SDK)
def test_programs_at_once_share_one_renewal(life: Life) -> None:
    """A refresh token used twice would end the whole family at both servers."""
    sign_in(life)
    life.person.decision = "deny"
    wait_until_expired(life.credential)
    wait_until_refused(life.place, life.credential)
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(life.person.visits, [life.place.url] * 4))
    assert seen == [life.form.seen] * 4


@at(AUTHKIT_SCOPES)
def test_a_token_with_too_little_scope_is_no_token_to_authkit(life: Life) -> None:
    """It answers 401 and not 403, so there is nothing to step up to."""
    answer = life.person.mcp_login(life.place.url, "--store", "file", "--scope", "openid")
    assert answer.code == REFUSED, answer.err
    assert "refuses the token" in answer.err


@at(NO_RESOURCE_METADATA)
def test_too_little_scope_is_told_where_the_server_names_none(life: Life) -> None:
    """The 403 of the SDK's server does not say which scope it wants, and here nothing else does."""
    sign_in(life, "--scope", "mcp:read")
    answer = life.person.tries(life.place.url)
    assert "InsufficientScope" in answer.err
