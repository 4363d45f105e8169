"""`mcp-login tools` and `mcp-login call`: what a person types, what they see, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import FileStorage
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.inside import Inside, credential
from tests.support.mcp_stage import Behaviour, Request, Stage, event, sessions, tools
from tests.support.terminal import Terminal, command

ADD = {
    "name": "add",
    "description": "Adds numbers.\nOne line more.\n\nA second paragraph.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "numbers": {"type": "array", "items": {"type": "number"}},
            "label": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["numbers"],
        "additionalProperties": False,
    },
}
HELLO = {"content": [{"type": "text", "text": "hello"}]}

LIST = '{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}'


class Person:
    """A person who is logged in to a stage."""

    def __init__(self, inside: Inside, stage: Stage) -> None:
        self.inside, self.stage = inside, stage
        inside.keep(credential(stage.url))

    def __call__(self, verb: str, *words: str, stdin: bytes = b"") -> Any:
        return self.inside(verb, self.stage.url, *words, stdin=stdin)

    def plays(self, behaviour: Behaviour) -> None:
        self.stage.behaviour = behaviour

    @property
    def sent(self) -> Any:
        """The arguments of the last call."""
        [*_, last] = [r for r in self.stage.requests if r.method == "tools/call"]
        return last.message["params"]["arguments"]


@pytest.fixture
def person(inside: Inside) -> Iterator[Person]:
    with Stage(tools([ADD], add=HELLO)) as stage:
        yield Person(inside, stage)


@pytest.mark.parametrize("server", [Settings(), Settings(sessions=True)], indirect=True)
def test_the_first_thing_after_a_login(inside: Inside, server: DemoServer) -> None:
    inside.log_in(server.url, "--name", "work")
    listed = inside("tools", "work")
    assert (listed.code, listed.err) == (0, "")
    assert "add_note text=STRING\n    Add a note; needs the write scope.\n" in listed.out
    called = inside("call", "work", "whoami")
    assert (called.code, called.err) == (0, "")
    assert json.loads(called.out)["login_name"]
    slow = inside("call", "work", "slow", "seconds=0.01")
    assert json.loads(slow.out) == {"waited": 0.01}


def test_a_tool_that_fails_ends_with_1(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    ran = inside("call", shared.url, "slow", 'seconds:="soon"')
    assert ran.code == 1
    assert ran.out == "seconds must be a number from 0 to 60\n"
    assert "the tool reports an error" in ran.err


def test_without_a_login_it_ends_with_3(inside: Inside, shared: DemoServer) -> None:
    for words in (["tools", shared.url], ["call", shared.url, "whoami"]):
        ran = inside(*words)
        assert (ran.code, ran.out) == (3, "")
        assert f"Run: mcp-login {shared.url}" in ran.err


def test_a_scope_that_is_missing_names_what_to_run(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    ran = inside("call", shared.url, "add_note", "text=hi")
    assert ran.code == 3
    assert "--scope" in ran.err


def test_a_token_that_has_expired_is_renewed_first(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    inside.change(shared.url, expires_at=2.0)
    assert inside("call", shared.url, "whoami").code == 0


@pytest.mark.parametrize("server", [Settings(dpop="required")], indirect=True)
def test_a_login_that_is_bound_to_a_key_works(inside: Inside, server: DemoServer) -> None:
    inside.log_in(server.url)
    assert inside("call", server.url, "whoami").code == 0


def test_tools_are_shown_as_they_are_called(person: Person) -> None:
    ran = person("tools")
    assert ran.out == "add numbers=ARRAY [label=STRING]\n    Adds numbers. One line more.\n"
    person.plays(tools([]))
    ran = person("tools")
    assert (ran.code, ran.out, ran.err) == (0, "", "The server has no tools.\n")


def test_json_is_what_the_server_says(person: Person) -> None:
    assert person("tools", "--json").answer["tools"] == [ADD]
    result = {**HELLO, "structuredContent": {"a": [1]}, "isError": True, "resultType": "complete"}
    person.plays(tools([ADD], add=result))
    ran = person("call", "add", "numbers=1", "--json")
    assert (ran.code, ran.answer["result"]) == (1, result)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["numbers=1", "numbers=2.5"], {"numbers": [1, 2.5]}),
        (["numbers=[1, 2]"], {"numbers": [1, 2]}),
        (["numbers=1"], {"numbers": [1]}),
        (["numbers:=[]", "label=a=b:=c"], {"numbers": [], "label": "a=b:=c"}),
        (["numbers:=1", "label:=null"], {"numbers": [1], "label": None}),
        (["--arguments", '{"numbers": [3]}'], {"numbers": [3]}),
        (["--arguments", '{"numbers": [3]}', "numbers=4"], {"numbers": [4]}),
        (["numbers=1", "label=7"], {"numbers": [1], "label": "7"}),
    ],
)
def test_words_become_what_the_schema_says(
    person: Person, words: list[str], arguments: dict[str, Any]
) -> None:
    assert person("call", "add", *words).code == 0
    assert person.sent == arguments


def test_arguments_come_from_a_file_or_from_stdin(person: Person, tmp_path: Path) -> None:
    text = '\ufeff{"numbers": [1], "label": "ü"}'
    (tmp_path / "given.json").write_text(text, "utf-8")
    for given in (f"@{tmp_path}/given.json", "-"):
        assert person("call", "add", "--arguments", given, stdin=text.encode()).code == 0
        assert person.sent == {"numbers": [1], "label": "ü"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["numbers=one"], "each of its values must be of the type number"),
        (["numbers=true"], "must be of the type number"),
        (["numbers=[1"], "must be of the type"),
        (["numbers:=one"], "“numbers” is not JSON"),
        (["numbers=1", "label=a", "label=b"], "“label” is given twice"),
        (["label=a"], "needs “numbers”"),
        (["numbers=1", "lable=a"], "Did you mean “label”?"),
        (["numbers"], "“numbers” is not an argument"),
        (["=1"], "NAME=VALUE"),
        (["--arguments", "[1]"], "JSON object"),
        (["--arguments", "{"], "not JSON"),
        (["--arguments", "@/no/such/file"], "cannot be read"),
        (["--arguments", "-"], "not JSON"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_and_no_call(
    person: Person, words: list[str], told: str
) -> None:
    ran = person("call", "add", *words)
    assert ran.code == 2
    assert told in ran.err
    assert "tools/call" not in person.stage.methods


def test_an_unknown_tool_names_those_that_are_similar(person: Person) -> None:
    ran = person("call", "ad", "--json")
    assert ran.code == 2
    assert ran.answer["error"]["code"] == "unknown_tool"
    assert "“add”" in ran.answer["error"]["hint"]


def test_an_error_of_the_server_ends_with_4(person: Person) -> None:
    def refuse(request: Request) -> None:
        error = {"code": -32602, "message": "no\x1b[31m such"}
        answer = {"jsonrpc": "2.0", "id": request.message["id"], "error": error}
        request.reply(400, json.dumps(answer).encode())

    person.plays(tools([ADD], add=refuse))
    ran = person("call", "add", "numbers=1")
    assert ran.code == 4
    assert "-32602" in ran.err
    assert "\x1b" not in ran.err


def test_parts_that_are_no_text_are_named(person: Person) -> None:
    content: list[Any] = [
        {"type": "text", "text": "one\ntwo"},
        {"type": "image", "mimeType": "image/png", "data": "AAAA"},
        {"type": "audio", "mimeType": "audio/wav", "data": 7},
        {"type": "resource_link", "uri": "file:///a", "name": "a"},
        {"type": "resource", "resource": {"uri": "file:///b", "text": "inside"}},
        {"type": "resource", "resource": {"uri": "file:///c", "blob": "AAAA"}},
        {"type": "resource", "resource": 7},
        {"type": "text", "text": 7},
        {"type": "new\x1b kind"},
        {},
        7,
    ]
    person.plays(tools([ADD], add={"content": content}))
    ran = person("call", "add", "numbers=1")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "one",
        "two",
        "[image image/png, 3 bytes]",
        "[audio audio/wav]",
        "[resource_link file:///a]",
        "[resource file:///b]",
        "inside",
        "[resource file:///c]",
        "[resource]",
        "[text]",
        "[new kind]",
        "[unknown]",
    ]


def test_a_value_without_parts_is_shown_as_json(person: Person) -> None:
    person.plays(tools([ADD], add={"content": [], "structuredContent": {"a": 1}}))
    assert person("call", "add", "numbers=1").out == '{\n  "a": 1\n}\n'


def test_verbose_shows_what_the_server_answers(person: Person) -> None:
    ran = person("call", "add", "numbers=1", "-v")
    assert ran.out == "hello\n"
    assert "POST tools/call" in ran.err
    assert "HTTP 200" in ran.err
    assert "HTTP" not in person("call", "add", "numbers=1").err


def test_each_message_is_a_line_of_the_trace(person: Person) -> None:
    for words in (["tools"], ["call", "add", "numbers=1"], ["request", "-d", LIST]):
        assert person(*words, "--trace", "trace").code == 0
        steps = [json.loads(line) for line in Path("trace").read_text().splitlines()[1:]]
        told = [step for step in steps if step["name"] == "message"]
        methods = {
            "tools": ["POST tools/list"],
            "call": ["POST tools/list", "POST tools/call"],
            "request": ["POST"],
        }
        assert [step["detail"] for step in told] == methods[words[0]]
        assert {(step["url"], step["status"]) for step in told} == {(person.stage.url, 200)}


def test_a_byte_that_is_no_text_is_the_arguments_fault(person: Person) -> None:
    ran = person("call", "add", "numbers=1", "label=\udcff")
    assert ran.code == 2
    assert "an argument" in ran.err
    assert "URL" not in ran.err


def test_what_the_server_tells_meanwhile_is_shown_with_verbose(person: Person) -> None:
    def talk(request: Request) -> None:
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"a": "\x1b"}}
        request.stream(event(note), event(request.answer(**HELLO)))

    person.plays(tools([ADD], add=talk))
    assert person("call", "add", "numbers=1").err == ""
    told = person("call", "add", "numbers=1", "-v").err
    assert "notifications/progress" in told
    assert "\x1b" not in told


def test_a_server_that_is_too_slow_is_left(person: Person) -> None:
    def wait(request: Request) -> None:
        request.stream(b": wait\n\n")
        person.stage.over.wait(20)

    person.plays(tools([ADD], add=wait))
    ran = person("call", "add", "numbers=1", "--timeout", "0.3")
    assert ran.code == 6
    assert "no answer within 0.3 s" in ran.err


def test_an_older_server_is_spoken_to_in_a_session_that_is_ended(person: Person) -> None:
    person.plays(sessions(tools([ADD], add=HELLO)))
    assert person("call", "add", "numbers=1").out == "hello\n"
    assert person.stage.methods[-1] == "DELETE"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_a_terminal_is_not_steered_by_a_server(terminal: Terminal) -> None:
    from tests.support.ptys import at_a_pty

    evil = {
        "name": "a\x1b]0;title\x07b\u202e",
        "description": "d\x1b[2J\r\x9bx",
        "inputSchema": {"properties": {"p\x1b[31m": {"type": ["integer", "\x1b]0;x\x07\u202e"]}}},
    }
    result = {"content": [{"type": "text", "text": "t\x1b]0;x\x07\u202e\r\nü\x9b"}]}
    with Stage(tools([evil, ADD], add=result)) as stage:
        FileStorage(terminal.store).save(credential(stage.url))
        for words in (
            ["tools", stage.url],
            ["call", stage.url, "add", "numbers=1"],
            ["call", stage.url, "ab"],
        ):
            with at_a_pty(command(*words), terminal.environment) as running:
                assert running.end() in (0, 2)
            for steering in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e"):
                assert steering not in running.text
    assert "Adds" not in running.text


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_a_pipe_gets_utf_8_and_a_terminal_what_it_has(terminal: Terminal) -> None:
    from tests.support.ptys import at_a_pty

    result = {"content": [{"type": "text", "text": "gr\u00fc\u00df \x1b[1m"}]}
    with Stage(tools([ADD], add=result)) as stage:
        FileStorage(terminal.store).save(credential(stage.url))
        words = ["call", stage.url, "add", "numbers=1"]
        piped = terminal.run(*words, PYTHONIOENCODING="ascii:strict")
        assert piped.code == 0, piped.err
        assert piped.out == "gr\u00fc\u00df \x1b[1m\n"
        environment = {**terminal.environment, "PYTHONIOENCODING": "ascii:strict"}
        with at_a_pty(command(*words), environment) as running:
            assert running.end() == 0
        assert running.text == "gr?? ?[1m\r\n"
