"""Which `Auth` an `MCPAuth` is: that of each library the program uses, whenever it is imported."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from functools import singledispatch
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias

import httpx
import httpx2
import pydantic
import pytest

from mcp_client_auth import MemoryStorage, UsageError
from mcp_client_auth.adapters import httpx as adapter

URL = "https://mcp.example.com/mcp"
Build: TypeAlias = Callable[..., Any]


@pytest.fixture
def built_with(monkeypatch: pytest.MonkeyPatch) -> Build:
    """`MCPAuth` as a program gets it that has imported no other HTTP library than these."""

    def build(**loaded: ModuleType) -> Any:
        for name in ("httpx", "httpx2"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        for name, module in loaded.items():
            monkeypatch.setitem(sys.modules, name, module)
        spec = importlib.util.spec_from_file_location(
            "mcp_client_auth.adapters.again", adapter.__file__
        )
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.MCPAuth

    return build


@pytest.mark.parametrize("loaded", [{"httpx": httpx}, {"httpx2": httpx2}])
def test_it_is_the_auth_of_the_library_that_is_used(
    built_with: Build, loaded: dict[str, Any]
) -> None:
    kind = built_with(**loaded)
    ((name, library),) = loaded.items()
    assert issubclass(kind, library.Auth)
    assert name in sys.modules
    assert len({"httpx", "httpx2"} & set(sys.modules)) == 1


def test_a_library_that_is_imported_later_takes_it_too(
    built_with: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = built_with()(URL, storage=MemoryStorage(), prompt=None)
    assert auth.__class__ is type(auth)
    assert not isinstance(auth, httpx.Auth)
    for name, library in (("httpx", httpx), ("httpx2", httpx2)):
        monkeypatch.setitem(sys.modules, name, library)
        assert isinstance(auth, library.Auth)
        assert isinstance(auth, type(auth))
        seen: list[Any] = []

        def answer(request: Any, seen: list[Any] = seen, library: Any = library) -> Any:
            seen.append(request)
            return library.Response(200)

        with library.Client(auth=auth, transport=library.MockTransport(answer)) as client:
            assert client.get(URL).status_code == 200
        assert len(seen) == 1
    assert auth.__class__.__name__ == "MCPAuth"
    assert auth.__class__ is auth.__class__


def test_a_type_that_is_looked_up_by_its_class_finds_it_too(
    built_with: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = built_with()(URL, storage=MemoryStorage(), prompt=None)
    monkeypatch.setitem(sys.modules, "httpx", httpx)

    class Host(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        auth: httpx.Auth

    assert Host(auth=auth).auth is auth

    @singledispatch
    def kind(value: object) -> str:
        return "other"

    kind.register(httpx.Auth, lambda value: "auth")
    assert kind(auth) == "auth"


def test_two_names_of_one_library_are_one_base(built_with: Build) -> None:
    """As `alias_httpx()` of httpx2 makes them."""
    kind = built_with(httpx=httpx2, httpx2=httpx2)
    assert issubclass(kind, httpx2.Auth)
    assert not issubclass(kind, httpx.Auth)


def test_a_library_that_is_only_half_imported_is_left_for_later(built_with: Build) -> None:
    half: Any = SimpleNamespace()
    kind = built_with(httpx=half)
    half.Auth = httpx.Auth
    assert isinstance(kind(URL, storage=MemoryStorage(), prompt=None), httpx.Auth)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_body_of_the_other_kind_is_refused_in_the_words_of_the_library(library: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    async def send() -> None:
        async with library.AsyncClient(auth=auth, transport=transport) as client:
            await client.post(URL, content=iter([b"{}"]))

    def answer(request: object) -> None:
        raise AssertionError("it was sent")

    auth = adapter.MCPAuth(URL, storage=MemoryStorage(), prompt=None)
    transport = library.MockTransport(answer)
    client = library.Client(auth=auth, transport=transport)
    with client, pytest.raises(RuntimeError, match="an async request with a sync Client"):
        client.post(URL, content=chunks())
    with pytest.raises(RuntimeError, match="sync request with an AsyncClient"):
        asyncio.run(send())


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_auth_around_it_that_would_send_requests_unsigned_is_told_so(library: Any) -> None:
    class Counting(library.Auth):  # type: ignore[misc, name-defined, unused-ignore]
        def auth_flow(self, request: Any) -> Any:
            yield from adapter.MCPAuth(URL, storage=MemoryStorage()).auth_flow(request)

    with library.Client(auth=Counting()) as client, pytest.raises(UsageError, match="auth_flow"):
        client.get(URL)
