"""What an error tells its reader to do, as a value that names options."""

from __future__ import annotations

import inspect
import pickle

from mcp_client_auth import Secret, errors
from mcp_client_auth.errors import AuthError, Remedy, shell_command


def test_the_words_of_a_server_are_no_places() -> None:
    words = "{Options.issuer} {} {"
    assert Remedy("It says {}", words) == ("It says " + words,)
    assert AuthError("x", hint=words).remedy == (words,)
    assert Remedy.joined(words, Remedy("Pass {scope}")) == (f"{words}. Pass ", ("scope", None))


def test_remedies_are_joined_without_empty_ones() -> None:
    assert Remedy.joined("", Remedy("a"), Remedy(), "b") == Remedy("a. b")
    assert not Remedy.joined("", Remedy())
    assert Remedy("{}; {}", "a", Remedy("b {scope}")) == ("a; b ", ("scope", None))


def test_a_remedy_stays_one_when_it_is_copied() -> None:
    remedy = Remedy("Pass {Options.resource=}, or {}", "nothing")
    again = pickle.loads(pickle.dumps(remedy))
    assert (type(again), again) == (Remedy, remedy)


def test_a_secret_is_masked_in_a_remedy_too() -> None:
    secret = Secret("planted-secret-of-a-remedy").reveal()
    error = AuthError("x", hint=Remedy("It was {}: pass {scope}", secret))
    assert secret not in repr(error.__dict__) + str(error)


def test_a_command_is_made_of_the_names_of_options() -> None:
    line = shell_command("https://a/mcp", account="me & you", scope="", device=True, force=False)
    assert line == "mcp-login https://a/mcp --account 'me & you' --device"
    assert shell_command("x", some_option="1") == "mcp-login x --some-option 1"


def test_every_class_of_error_takes_a_remedy() -> None:
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, AuthError):
            assert ("scope", None) in kind("x", hint=Remedy("{scope}")).remedy
