"""What the providers' tests share: an ear for what is emitted, questions, settings, and stages to play scripts on.

A stage is a provider with a model behind it that follows the steps of `triolet.providers.scripted`, whichever way:
the scripted provider itself, or Chat Completions with the steps put into HTTP, in memory or over TCP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import attrs
import model_server as wire
import trio
from model_server import KEY, ModelServer, open_model_server

from triolet.config import ModelSettings, Secret
from triolet.core.conversation import Message
from triolet.core.events import (
    Batch,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    TurnEvent,
    UsageReported,
)
from triolet.core.ports import ModelRequest, Provider
from triolet.errors import ProviderRejected
from triolet.providers.openai_chat import OpenAIChatProvider
from triolet.providers.scripted import Cut, Fail, Hang, Pause, Say, ScriptedProvider, Step
from triolet.providers.sdk import SDKProvider


@attrs.define(eq=False)
class Ear:
    """Hears what a provider emits, and when."""

    batches: list[Batch] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)

    def __call__(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.times.append(trio.current_time())

    @property
    def events(self) -> list[TurnEvent]:
        return [event for batch in self.batches for event in batch]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Finished)]


def question(text: str = "Hello?") -> ModelRequest:
    return ModelRequest([Message.of("user", text)])


async def listen(provider: Provider, text: str = "Hello?") -> Ear:
    """Ask, and hear the answer to its end."""
    ear = Ear()
    await provider.stream(question(text), ear)
    return ear


def model_settings(**options: Any) -> ModelSettings:
    """Settings for the model server; time-outs are short, and all different."""
    defaults: dict[str, Any] = {
        "provider": "openai-chat",
        "name": "test",
        "base_url": "http://model.test/v1",
        "api_key": Secret(KEY),
        "connect_timeout": 3.0,
        "first_byte_timeout": 7.0,
        "idle_timeout": 5.0,
        "total_timeout": 100.0,
    }
    return ModelSettings(**{**defaults, **options})


@attrs.frozen
class Scene:
    """A Chat Completions provider and the server that it asks."""

    server: ModelServer
    provider: SDKProvider

    async def ask(self, *steps: wire.Step, ear: Ear | None = None) -> Ear:
        """One question, answered with these steps."""
        self.server.answer(*steps)
        ear = ear or Ear()
        await self.provider.stream(question(), ear)
        return ear

    @property
    def pooled(self) -> list[Any]:
        """The provider's connections, in use or idle."""
        connections: list[Any] = self.provider._client._client._transport.connections.connections  # type: ignore[attr-defined]  # of our own transport
        return connections


@asynccontextmanager
async def open_scene(**options: Any) -> AsyncIterator[Scene]:
    """In memory, so that a virtual clock may tell the time."""
    key = options.pop("key", KEY)
    async with (
        open_model_server(key) as server,
        OpenAIChatProvider(model_settings(**options), connect=server.connect) as provider,
    ):
        yield Scene(server, provider)


@asynccontextmanager
async def open_tcp_scene(**options: Any) -> AsyncIterator[Scene]:
    """Over real sockets, in real time."""
    with trio.fail_after(10):
        async with open_model_server() as server, trio.open_nursery() as nursery:
            base_url: str = await nursery.start(server.serve_tcp)
            async with OpenAIChatProvider(model_settings(base_url=base_url, **options)) as provider:
                yield Scene(server, provider)
            nursery.cancel_scope.cancel()


def _write(event: TurnEvent) -> bytes:
    if isinstance(event, TextDelta):
        return wire.say(event.text).data
    if isinstance(event, ReasoningDelta):
        return wire.chunk({"reasoning": event.text}).data
    if isinstance(event, ToolCallDelta):
        function = {"name": event.name, "arguments": event.arguments}
        return wire.chunk({"tool_calls": [{"index": event.index, "id": event.call_id, "function": function}]}).data
    if isinstance(event, UsageReported):
        return wire.usage(event.input_tokens, event.output_tokens).data
    assert isinstance(event, Finished), "what a provider says; tools are run by others"
    return wire.finish(event.reason).data


def on_the_wire(steps: Sequence[Step]) -> list[wire.Step]:
    """The same story, told by a server of Chat Completions."""
    told: list[wire.Step] = []
    for step in steps:
        if isinstance(step, Say):
            told.append(wire.Write(b"".join(map(_write, step.events))))
        elif isinstance(step, Pause):
            told.append(wire.Pause(step.seconds))
        elif isinstance(step, Hang):
            told.append(wire.Hang())
        elif isinstance(step, Cut):
            return told
        elif isinstance(step, Fail):
            if any(isinstance(earlier, wire.Write) for earlier in told):
                return [*told, wire.stream_error(str(step.error))]
            status = step.error.status if isinstance(step.error, ProviderRejected) else 503
            return [*told, wire.refuse(status, str(step.error))]
        else:
            return [*told, wire.finish(step.reason), wire.done()]
    finished = any(isinstance(event, Finished) for step in steps if isinstance(step, Say) for event in step.events)
    return [*told, *([] if finished else [wire.finish()]), wire.done()]


@attrs.frozen
class Stage:
    """A provider, and the way to tell its model what to do when it is asked next."""

    provider: Provider
    play: Callable[..., None]

    async def ask(self, *steps: Step, ear: Ear | None = None) -> Ear:
        self.play(*steps)
        ear = ear or Ear()
        await self.provider.stream(question(), ear)
        return ear


@asynccontextmanager
async def scripted_stage() -> AsyncIterator[Stage]:
    scripts: list[tuple[Step, ...]] = []
    yield Stage(ScriptedProvider(lambda _request: scripts.pop(0)), lambda *steps: scripts.append(steps))


@asynccontextmanager
async def memory_stage() -> AsyncIterator[Stage]:
    async with open_scene() as scene:
        yield Stage(scene.provider, lambda *steps: scene.server.answer(*on_the_wire(steps)))


@asynccontextmanager
async def tcp_stage() -> AsyncIterator[Stage]:
    async with open_tcp_scene() as scene:
        yield Stage(scene.provider, lambda *steps: scene.server.answer(*on_the_wire(steps)))


OpenStage: TypeAlias = Callable[[], AbstractAsyncContextManager[Stage]]
