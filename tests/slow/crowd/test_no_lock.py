"""No lock is held over a request: a slow answer or an open stream delays nobody."""

from __future__ import annotations

import asyncio
import time

import httpx

from mcp_client_auth.session.knowledge import Send
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Scene, slow


def test_twenty_slow_requests_take_about_as_long_as_one(scene: Scene) -> None:
    before, auth, url = scene.expire(), scene.auth(), scene.server.url

    async def main() -> float:
        async with httpx.AsyncClient(auth=auth, timeout=PATIENCE) as client:
            began = time.monotonic()
            ask = [client.post(url, headers=HEADERS, json=slow(2)) for _ in range(20)]
            answers = await asyncio.gather(*ask)
            assert [answer.status_code for answer in answers] == [200] * 20
            return time.monotonic() - began

    assert asyncio.run(main()) < 30, "one after the other they take 40 seconds"
    scene.renewed_once(before)


def test_an_open_stream_delays_neither_a_refresh_nor_who_waits_for_it(scene: Scene) -> None:
    auth, url = scene.auth(), scene.server.url
    with httpx.Client(auth=auth, timeout=PATIENCE) as client:
        began = time.monotonic()
        with client.stream("POST", url, headers=HEADERS, json=slow(50)) as stream:
            assert next(stream.iter_bytes()), "the first event comes at once"
            first = time.monotonic() - began
            before = scene.expire()
            auth.session._renewal.learn(Send(before, 0.0, "held"))
            assert client.post(url, headers=HEADERS, json=LIST).status_code == 200
            took = time.monotonic() - began
    assert first < took < 50, "the stream was still open"
    scene.renewed_once(before)


def test_a_refresh_that_hangs_delays_no_request_with_a_living_token(scene: Scene) -> None:
    before, auth, url = scene.age(left=20), scene.auth(), scene.server.url  # due, and alive
    held = scene.server.hold_next()
    with httpx.Client(auth=auth, timeout=PATIENCE) as client:
        answers = [client.post(url, headers=HEADERS, json=LIST) for _ in range(20)]
        held.wait()
        answers += [client.post(url, headers=HEADERS, json=LIST) for _ in range(20)]
        sent = {answer.request.headers["Authorization"] for answer in answers}
        assert {answer.status_code for answer in answers} == {200}
        assert sent == {"Bearer " + before.tokens.access_token.reveal()}
        held.release()
        deadline = time.monotonic() + PATIENCE
        while sent == {
            client.post(url, headers=HEADERS, json=LIST).request.headers["Authorization"]
        }:
            assert time.monotonic() < deadline
    scene.renewed_once(before)
