"""The whole chain in virtual time: Telegram's emulator, the bot, the official SDK, a model server that streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from model_server import (
    KEY,
    Hang,
    ModelServer,
    Pause,
    Reset,
    Step,
    Write,
    comment,
    open_model_server,
    refuse,
    reply,
    say,
    stream_error,
)
from scenes import ADA, Scene, open_scene, rest, scene_settings
from trio.testing import memory_stream_pair

from triolet.config import ModelSettings, Secret
from triolet.providers import open_provider

WORDS = [f"word{number} " for number in range(50)]
MODEL = ModelSettings(provider="openai-chat", name="test", base_url="http://model.test/v1", api_key=Secret(KEY))


@asynccontextmanager
async def open_chain() -> AsyncIterator[tuple[Scene, ModelServer]]:
    async with (
        open_model_server() as server,
        open_provider(MODEL, connect=server.connect) as provider,
        open_scene(providers=[provider], settings=scene_settings()) as scene,
    ):
        yield scene, server


async def test_answer_streams_from_the_models_bytes_to_the_screen(autojump_clock: object) -> None:
    async with open_chain() as (scene, server):
        server.answer(*reply(*WORDS, pause=0.1))
        assert await scene.ask() == "".join(WORDS).strip()
        assert len(scene.calls("sendMessageDraft")) > 8
        [request] = server.requests
        assert request.body["messages"] == [{"role": "user", "content": "Hello"}]
        assert request.how == "completed"


@pytest.mark.case("I1", "T8")
@pytest.mark.parametrize("by", ["button", "command"])
async def test_stop_closes_the_models_connection_at_once(autojump_clock: object, by: str) -> None:
    async with open_chain() as (scene, server):
        server.answer(*reply(*WORDS, pause=0.1)[:-3], Hang())
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        stopped_at = trio.current_time()
        if by == "button":
            scene.server.press_stop(ADA)
        else:
            scene.server.say(ADA, "/stop")
        [answer] = await scene.wait_answers()
        assert answer.endswith("\n\n⏹ stopped")
        assert "".join(WORDS).startswith(answer.removesuffix("\n\n⏹ stopped"))
        [request] = server.requests
        assert request.how == "client_left"
        assert request.ended == pytest.approx(stopped_at + 0.025)
        count = len(scene.calls())
        await rest(300)
        assert len(scene.calls()) == count
        assert len(server.requests) == 1


@attrs.define(eq=False)
class Silence:
    """A model's server that takes connections, or does not even do that, and says nothing; ``closed_at`` tells when."""

    takes: bool
    nursery: trio.Nursery
    closed_at: list[float] = attrs.Factory(list)

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        if not self.takes:
            try:
                await trio.sleep_forever()
            finally:
                self.closed_at.append(trio.current_time())
        client, server = memory_stream_pair()
        self.nursery.start_soon(self._wait_closed, server)
        return client

    async def _wait_closed(self, stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        self.closed_at.append(trio.current_time())


@pytest.mark.case("I1", "I2")
@pytest.mark.parametrize("takes", [False, True], ids=["connecting", "in TLS"])
async def test_stop_ends_the_way_to_the_model_at_once(autojump_clock: object, takes: bool) -> None:
    secure = attrs.evolve(MODEL, base_url="https://model.test/v1", connect_timeout=30.0)
    async with trio.open_nursery() as nursery:
        silence = Silence(takes, nursery)
        async with (
            open_provider(secure, connect=silence.connect) as provider,
            open_scene(providers=[provider], settings=scene_settings()) as scene,
        ):
            scene.server.say(ADA, "Hello")
            await trio.sleep(3.0)
            stopped_at = trio.current_time()
            scene.server.say(ADA, "/stop")
            assert await scene.wait_answers() == ["⏹ stopped"]
            assert silence.closed_at == [pytest.approx(stopped_at + 0.025)]
            await rest(300)
            assert len(silence.closed_at) == 1, "nobody tries again"


async def test_history_goes_over_the_wire(autojump_clock: object) -> None:
    async with open_chain() as (scene, server):
        server.answer(*reply("Hello, Ada."))
        await scene.ask("I am Ada")
        await scene.ask("Who am I?")
        assert server.requests[1].body["messages"] == [
            {"role": "user", "content": "I am Ada"},
            {"role": "assistant", "content": "Hello, Ada."},
            {"role": "user", "content": "Who am I?"},
        ]
        assert server.requests[0].connection == server.requests[1].connection


SAID = [say(word) for word in WORDS[:10]]
TROUBLES: dict[str, list[Step]] = {
    "stall": [Hang()],
    "keep-alives": [step for _ in range(1000) for step in (comment(), Pause(5.0))],
    "a slow drip": [step for byte in b": " + b"x" * 1000 for step in (Write(bytes([byte])), Pause(5.0))],
    "empty deltas": [step for _ in range(1000) for step in (say(""), Pause(5.0))],
    "reset": [Reset()],
    "an orderly end without a finish": [],
    "garbage": [Write(b"data: \xff\xfe{{{\n\n"), Hang()],
    "an error in the stream": [stream_error("overloaded"), Hang()],
}
SILENT = {"stall", "keep-alives", "a slow drip", "empty deltas"}


@pytest.mark.case("RR8", "L1", "L2", "L4")
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_stalled_or_broken_stream_is_noticed_told_and_over(autojump_clock: object, trouble: str) -> None:
    async with open_chain() as (scene, server):
        server.answer(*SAID, *TROUBLES[trouble])
        server.script = lambda body: [refuse(503, "down")]
        began = trio.current_time()
        answer = await scene.ask()
        partial, _, mark = answer.partition("\n\n")
        assert partial == "".join(WORDS[:10]).strip()
        assert mark.startswith("⚠ broken off · ")
        noticed = server.requests[1].received - began
        assert noticed == pytest.approx(60.0 if trouble in SILENT else 0.0, abs=1.0)
        assert trio.current_time() - began - noticed < 2.5, "two refusals, a second apart"
        server.script = lambda body: reply("Here I am.")
        asked = trio.current_time()
        assert await scene.ask("And now?") == "Here I am."
        assert trio.current_time() - asked < 1.0


@pytest.mark.case("RR8")
async def test_stalled_stream_goes_on_with_another_request(autojump_clock: object) -> None:
    async with open_chain() as (scene, server):
        server.answer(*SAID, Hang())
        server.answer(*reply(*WORDS[8:12]))
        assert await scene.ask() == "".join(WORDS[:12]).strip()
        assert [request.how for request in server.requests] == ["client_left", "completed"]
