"""`mcp-login logout --all` when some logins cannot be ended."""

from __future__ import annotations

from tests.support.inside import Inside, credential


def test_a_login_that_cannot_be_ended_keeps_no_other_from_it(inside: Inside) -> None:
    """`--all` over SSH: the keyring is locked, but the logins in files can be ended."""
    for name in "abcd":
        inside.keep(credential(f"https://{name}.example.com/mcp"))
    for name in "ac":
        entry = inside.record(f"https://{name}.example.com/mcp", ".json")
        entry.write_text(entry.read_text().replace('"storage": "file"', '"storage": "keyring"'))
    inside.patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    ran = inside("logout", "--all", "--yes", "--json", "--local")
    assert (ran.code, ran.answer["error"]["exit_code"]) == (7, 7)
    assert "Logged out of https://b.example.com/mcp\n" in ran.err
    assert "Logged out of https://d.example.com/mcp\n" in ran.err
    for name in "ac":
        assert f"mcp-login: the login to https://{name}.example.com/mcp is kept in" in ran.err
    left = inside("list", "--json").answer["logins"]
    assert [each["server"] for each in left] == [f"https://{n}.example.com/mcp" for n in "ac"]
