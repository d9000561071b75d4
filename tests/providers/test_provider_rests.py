"""A model's socket is left alone while nobody could see more of the answer: to the instant, and never at its cost."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing
from model_server import Hang, Head, Pause, Reset, Step, Write, body_of, done, finish, say, usage
from odd_servers import HOST, Wrapped, make_certificates, open_odd_server
from provider_scenes import PROVIDERS, Ear, Scene, idle_connections, model_settings, open_scene, question

from triolet.core.ports import ModelRequest
from triolet.emulator import Exchange
from triolet.errors import ProviderUnavailable
from triolet.net.http1 import READ_SIZE
from triolet.net.network import FULL

IDLE = 5.0  # of provider_scenes.model_settings


class Watched(Wrapped):
    """Knows when it was read: asked to, and how much it gave."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self.asked: list[float] = []
        self.sizes: list[int] = []

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self.asked.append(trio.current_time())
        data = await super().receive_some(max_bytes)
        self.sizes.append(len(data))
        return data


@asynccontextmanager
async def open_watched(*, idle_timeout: float = IDLE) -> AsyncIterator[tuple[Scene, list[Watched]]]:
    """A scene whose provider's connections tell what becomes of them."""
    streams: list[Watched] = []
    async with open_scene(idle_timeout=idle_timeout) as scene:

        async def connect(host: str, port: int) -> trio.abc.Stream:
            streams.append(Watched(await scene.server.connect(host, port)))
            return streams[-1]

        scene.provider._client._client._transport.connections._connect = connect  # type: ignore[attr-defined]  # of our own transport
        yield scene, streams


class Rests:
    """As long as it is told; knows when it was asked."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[float] = []

    def __call__(self) -> float:
        self.asked.append(trio.current_time())
        return self.seconds[min(len(self.asked), len(self.seconds)) - 1]


def resting(*seconds: float) -> ModelRequest:
    request = question()
    return ModelRequest(request.messages, rest=Rests(*seconds))


async def ask(scene: Scene, request: ModelRequest, *steps: Step) -> Ear:
    ear = Ear()
    scene.server.answer(*steps)
    await scene.provider.stream(request, ear)
    return ear


CHATTER: list[Step] = [step for letter in "abcdefghijklmnopqrst" for step in (say(letter), Pause(0.03125))]
WHOLE = "abcdefghijklmnopqrst"
END: list[Step] = [finish(), done()]


async def test_the_socket_is_read_once_for_each_rest(autojump_clock: trio.testing.MockClock) -> None:
    """What comes meanwhile is one read, and one delta."""
    async with open_watched() as (scene, streams):
        ear = await ask(scene, resting(0.125), *CHATTER, *END)
        assert ear.text == WHOLE
        assert ear.times[:5] == [0.0, 0.125, 0.25, 0.375, 0.5]
        assert [len(batch) for batch in ear.batches[:5]] == [1, 1, 1, 1, 1]
        gaps = [later - sooner for sooner, later in pairwise(at for at in streams[0].asked if at > 0.0)]
        assert min(gaps[:-2]) == 0.125, "but for the end"


@pytest.mark.parametrize("no_rest", [0.0, -1.0, -math.inf])
async def test_who_is_awaited_is_read_at_once(no_rest: float, autojump_clock: trio.testing.MockClock) -> None:
    async with open_watched() as (scene, _):
        ear = await ask(scene, resting(no_rest), Pause(0.3), *CHATTER, *END)
        assert ear.times[:20] == [0.3 + number * 0.03125 for number in range(20)]


async def test_the_first_token_rests_for_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """Nor does the head, or what came with it: a rest is asked for when something was emitted."""
    async with open_watched() as (scene, _):
        request = resting(0.125)
        ear = await ask(scene, request, Pause(0.3), Head(), Pause(0.01), say("a"), Pause(0.01), say("b"), *END)
        assert ear.times == [pytest.approx(0.31), pytest.approx(0.435)]
        assert ear.text == "ab"


async def test_the_rest_is_asked_for_anew_after_each_read(autojump_clock: trio.testing.MockClock) -> None:
    async with open_watched() as (scene, _):
        ear = await ask(scene, resting(0.0625, 0.125, 0.0), *CHATTER, *END)
        assert ear.times[:5] == [0.0, 0.0625, 0.1875, 0.21875, 0.25]


async def test_what_a_full_read_left_behind_is_read_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """A server that is faster than the rests is not slowed down by them."""
    long = "x" * (READ_SIZE // 2)
    async with open_watched() as (scene, streams):
        ear = await ask(scene, resting(0.2), Write(body_of([say(long)] * 9)), *END)
        assert len(ear.text) == 9 * len(long)
        assert trio.current_time() <= 0.4
        assert streams[0].sizes.count(READ_SIZE) >= 4
        assert {at for at, size in zip(streams[0].asked, streams[0].sizes, strict=False) if size == READ_SIZE} == {0.0}


@pytest.mark.parametrize("rest", [0.0, 0.2])
async def test_the_end_of_a_finished_answer_does_not_wait(rest: float, autojump_clock: trio.testing.MockClock) -> None:
    """Neither for the usage behind it, nor for the end of the body: the connection is kept."""
    last = Write(body_of([say("b"), finish()]))
    async with open_watched() as (scene, _):
        ear = await ask(scene, resting(rest), say("a"), Pause(0.5), last, Pause(0.01), usage(), done())
        assert ear.times == [0.0, 0.5, pytest.approx(0.51)]
        assert trio.current_time() == pytest.approx(0.51)
        assert [each.is_reusable for each in scene.pooled] == [True]


async def test_the_end_that_comes_within_a_rest(autojump_clock: trio.testing.MockClock) -> None:
    async with open_watched() as (scene, _):
        ear = await ask(scene, resting(0.125), say("a"), Pause(0.03125), say("b"), *END)
        assert (ear.text, ear.reasons, trio.current_time()) == ("ab", ["stop"], 0.125)


async def test_a_cancel_within_a_rest_closes_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with open_watched() as (scene, streams):
        with trio.move_on_after(0.0625) as scope:
            await ask(scene, resting(0.2), *CHATTER, *END)
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert (scene.server.requests[0].how, scene.server.requests[0].ended) == ("client_left", 0.0625)
        assert (len(streams), scene.pooled, trio.current_time()) == (1, [], 0.0625)


@pytest.mark.parametrize("rest", [0.0, 0.125, 0.2])
async def test_silence_is_as_long_as_ever(rest: float, autojump_clock: trio.testing.MockClock) -> None:
    async with open_watched() as (scene, _):
        ear = Ear()
        scene.server.answer(say("a"), Pause(4), say("b"), Hang())
        with pytest.raises(ProviderUnavailable, match="fell silent"):
            await scene.provider.stream(resting(rest), ear)
        assert (ear.times, trio.current_time()) == ([0.0, 4.0], 4.0 + IDLE)


async def test_nobody_falls_silent_by_a_rest(autojump_clock: trio.testing.MockClock) -> None:
    """It may be longer than the silence that the settings allow, or than what is left of it."""
    async with open_watched(idle_timeout=0.5) as (scene, _):
        ear = await ask(scene, resting(1.2), *CHATTER, *CHATTER, *CHATTER, *END)
        assert (ear.text, ear.reasons) == (WHOLE * 3, ["stop"])


async def test_a_connection_that_breaks_within_a_rest(autojump_clock: trio.testing.MockClock) -> None:
    """What it said before is emitted first, and that it has broken is told after one more rest."""
    async with open_watched() as (scene, _):
        ear = Ear()
        scene.server.answer(say("a"), Pause(0.03125), say("b"), Reset())
        with pytest.raises(ProviderUnavailable):
            await scene.provider.stream(resting(0.125), ear)
        assert (ear.text, trio.current_time()) == ("ab", 0.25)


async def test_with_tls_a_rest_is_of_the_socket_and_not_of_each_record(autojump_clock: trio.testing.MockClock) -> None:
    """Servers put each event in a record of its own, and TLS gives one at a time, however many have come."""
    certificates = make_certificates()

    async def chatter(exchange: Exchange) -> None:
        await exchange.start(200, (("Content-Type", "text/event-stream"),))
        for _ in range(64):
            await exchange.send_chunk(body_of([say("a")]))
            await trio.sleep(0.015625)
        await exchange.send_chunk(body_of(END))
        await exchange.finish()

    async with open_odd_server(chatter, tls=certificates.server) as server:
        settings = model_settings(base_url=f"https://{HOST}/v1")
        async with PROVIDERS["openai-chat"](settings, connect=server.connect) as provider:
            provider._client._client._transport.connections._tls = certificates.client  # type: ignore[attr-defined]  # of our own transport
            ear = Ear()
            await provider.stream(resting(0.125), ear)
            assert ear.text == "a" * 64
            assert len(set(ear.times)) <= 10
            assert trio.current_time() == pytest.approx(1.0, abs=0.126), "as long as it was written, and a rest"
            assert len(idle_connections(provider)) == 1


class Bounded(Wrapped):
    """Gives no more at once than a socket does of which a read names no limit."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await super().receive_some(max_bytes or FULL)


async def test_with_tls_what_a_full_read_left_behind_is_read_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """TLS names no limit to what it reads; a server that is faster than the rests is not slowed down there either."""
    certificates = make_certificates()
    text = "x" * 1024

    async def hurry(exchange: Exchange) -> None:
        await exchange.start(200, (("Content-Type", "text/event-stream"),))
        await exchange.send_chunk(body_of([say("a")]))
        await trio.sleep(0.01)
        for _ in range(512):
            await exchange.send_chunk(body_of([say(text)]))
        await exchange.send_chunk(body_of(END))
        await exchange.finish()

    async with open_odd_server(hurry, tls=certificates.server, wrap=Bounded) as server:
        settings = model_settings(base_url=f"https://{HOST}/v1")
        async with PROVIDERS["openai-chat"](settings, connect=server.connect) as provider:
            provider._client._client._transport.connections._tls = certificates.client  # type: ignore[attr-defined]  # of our own transport
            ear = Ear()
            await provider.stream(resting(1.2), ear)
            assert len(ear.text) == 1 + 512 * len(text)
            assert trio.current_time() <= 2.5, "the end of it, and what came with it"
