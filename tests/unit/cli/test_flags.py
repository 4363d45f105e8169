"""What the command, Python and the doctor make of the options that a remedy names."""

from __future__ import annotations

import pytest

from mcp_client_auth.cli.flags import hint_of
from mcp_client_auth.doctor.faults import for_operator
from mcp_client_auth.errors import AuthError, Remedy

WAYS = [
    ("{Options.issuer}", "Options(issuer=…)", "--issuer URL"),
    ("{Options.resource=}", 'Options(resource="")', "--resource ''"),
    ("{Options.dpop=True}", "Options(dpop=True)", "--dpop"),
    ("{Options.prompt=login}", 'Options(prompt="login")', "--param prompt=login"),
    (
        "{Options.authorize_params=a=b c=d}",
        'Options(authorize_params={"a": "b", "c": "d"})',
        "--param a=b --param c=d",
    ),
    ("{PreRegistered.secret}", "PreRegistered(secret=…)", "--client-secret-file FILE"),
    ("{scope}", "scope=…", "--scope SCOPES"),
    ("{storage=file}", 'storage="file"', "--store file"),
    ("{DeviceCode}", "DeviceCode()", "--device"),
    ("{login.force=True}", "login(force=True)", "--force"),
    ("{HttpTransport.cert}", "HttpTransport(cert=…)", "--cert FILE, --cert-key FILE"),
]


@pytest.mark.parametrize(("text", "python", "command"), WAYS)
def test_a_reader_gets_an_option_in_their_own_words(text: str, python: str, command: str) -> None:
    error = AuthError("x", hint=Remedy("Pass " + text))
    assert error.hint == str(error.remedy) == f"Pass {python}"
    assert str(error) == f"x. Pass {python}"
    assert hint_of(error) == f"Pass {command}"
    assert "--" not in for_operator(error.remedy)
    assert "(" not in for_operator(error.remedy).partition(" (")[0]
