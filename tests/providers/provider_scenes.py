"""What the providers' tests share: an ear for what is emitted, questions, settings, and stages to play scripts on.

A stage is a provider with a model behind it that follows the steps of `triolet.providers.scripted`, whichever way:
the scripted provider itself, or one of the three dialects with the steps put into HTTP, in memory or over TCP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import attrs
import model_server as wire
import trio
from model_dialects import CHAT, MESSAGES, RESPONSES, Dialect
from model_server import KEY, ModelServer, open_model_server

from triolet.config import ModelSettings, Secret
from triolet.core.conversation import Message
from triolet.core.events import (
    Batch,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    TurnBatch,
    TurnEvent,
    UsageReported,
    joined,
)
from triolet.core.ports import ModelRequest, Provider
from triolet.errors import ProviderRejected
from triolet.net.http1 import Connection, Connections
from triolet.net.network import connect_tcp
from triolet.providers.anthropic_messages import AnthropicProvider
from triolet.providers.openai_chat import OpenAIChatProvider
from triolet.providers.openai_responses import OpenAIResponsesProvider
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
    def said(self) -> Batch:
        """All of it, wherever the reads of the socket met."""
        return joined(tuple(event for batch in self.batches for event in batch))

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ReasoningDelta))

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        """Id, name and arguments of each, in the order in which they began."""
        calls: dict[int, list[str]] = {}
        for event in self.events:
            if isinstance(event, ToolCallDelta | ToolCallCompleted):
                call = calls.setdefault(event.index, ["", "", ""])
                more = call[2] + event.arguments if isinstance(event, ToolCallDelta) else event.arguments
                call[:] = call[0] or event.call_id, call[1] or event.name, more
        return [(call_id, name, arguments) for call_id, name, arguments in calls.values()]

    @property
    def usage(self) -> UsageReported | None:
        """The newest report."""
        return next((event for event in reversed(self.events) if isinstance(event, UsageReported)), None)

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


def model_settings(dialect: Dialect = CHAT, **options: Any) -> ModelSettings:
    """Settings for the model server; time-outs are short, and all different."""
    defaults: dict[str, Any] = {
        "provider": dialect.name,
        "name": "test",
        "base_url": f"http://model.test{dialect.base}",
        "api_key": Secret(KEY),
        "connect_timeout": 3.0,
        "first_byte_timeout": 7.0,
        "idle_timeout": 5.0,
        "total_timeout": 100.0,
    }
    return ModelSettings(**{**defaults, **options})


PROVIDERS: dict[str, Callable[..., SDKProvider]] = {
    CHAT.name: OpenAIChatProvider,
    RESPONSES.name: OpenAIResponsesProvider,
    MESSAGES.name: AnthropicProvider,
}


@attrs.frozen
class Scene:
    """A provider and the server that it asks, in one dialect."""

    server: ModelServer
    provider: SDKProvider
    dialect: Dialect = CHAT

    async def ask(self, *steps: wire.Step, ear: Ear | None = None) -> Ear:
        """One question, answered with these steps."""
        self.server.answer(*steps)
        ear = ear or Ear()
        await self.provider.stream(question(), ear)
        return ear

    async def ask_told(self, *steps: Step, ear: Ear | None = None) -> Ear:
        """One question, answered with this story."""
        return await self.ask(*on_the_wire(self.dialect, steps), ear=ear)

    @property
    def pooled(self) -> list[Connection]:
        """The provider's idle connections."""
        return idle_connections(self.provider)


def idle_connections(provider: SDKProvider) -> list[Connection]:
    connections: Connections = provider._client._client._transport.connections  # type: ignore[attr-defined]  # of our own transport
    return connections.idle


@asynccontextmanager
async def open_scene(dialect: Dialect = CHAT, **options: Any) -> AsyncIterator[Scene]:
    """In memory, so that a virtual clock may tell the time."""
    key = options.pop("key", KEY)
    async with (
        open_model_server(key) as server,
        PROVIDERS[dialect.name](model_settings(dialect, **options), connect=server.connect) as provider,
    ):
        server.script = lambda _body: on_the_wire(dialect, [Say.text("Hello.")])
        yield Scene(server, provider, dialect)


@asynccontextmanager
async def open_tcp_scene(dialect: Dialect = CHAT, **options: Any) -> AsyncIterator[Scene]:
    """Over real sockets, in real time; the address is not one of this machine, to which no connection is kept."""
    with trio.fail_after(10):
        async with open_model_server() as server, trio.open_nursery() as nursery:
            port = urlsplit(await nursery.start(server.serve_tcp)).port or 0

            async def connect(_host: str, _port: int) -> trio.abc.Stream:
                return await connect_tcp("127.0.0.1", port)

            async with PROVIDERS[dialect.name](model_settings(dialect, **options), connect=connect) as provider:
                server.script = lambda _body: on_the_wire(dialect, [Say.text("Hello.")])
                yield Scene(server, provider, dialect)
            nursery.cancel_scope.cancel()


def on_the_wire(dialect: Dialect, steps: Sequence[Step]) -> list[wire.Step]:
    """The same story, told by a server of this dialect."""
    told: list[wire.Step] = []
    teller = dialect.teller()
    for step in steps:
        if isinstance(step, Say):
            told.append(wire.Write(b"".join(map(teller.tell, step.events))))
        elif isinstance(step, Pause):
            told.append(wire.Pause(step.seconds))
        elif isinstance(step, Hang):
            return [*told, wire.Hang()]
        elif isinstance(step, Cut):
            return told
        elif isinstance(step, Fail):
            if any(isinstance(earlier, wire.Write) for earlier in told):
                return [*told, wire.Write(dialect.stream_error(str(step.error)))]
            status = step.error.status if isinstance(step.error, ProviderRejected) else 503
            return [*told, wire.Respond(status, dialect.refusal(str(step.error)))]
        else:
            return [*told, wire.Write(teller.end(step.reason))]
    return [*told, wire.Write(teller.end("stop"))]


def in_one_piece(dialect: Dialect, said: TurnBatch, reason: FinishReason = "stop") -> wire.Respond:
    """The same answer from a server that does not stream."""
    teller = dialect.teller()
    for event in said:
        teller.tell(event)
    return wire.Respond(200, teller.whole(reason))


@attrs.frozen
class Stage:
    """A provider, and the way to tell its model what to do when it is asked next."""

    provider: Provider
    play: Callable[..., None]

    async def ask(self, *steps: Step, ear: Ear | None = None, request: ModelRequest | None = None) -> Ear:
        self.play(*steps)
        ear = ear or Ear()
        await self.provider.stream(request or question(), ear)
        return ear


OpenStage: TypeAlias = Callable[[], AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def scripted_stage() -> AsyncIterator[Stage]:
    scripts: list[tuple[Step, ...]] = []
    yield Stage(ScriptedProvider(lambda _request: scripts.pop(0)), lambda *steps: scripts.append(steps))


@asynccontextmanager
async def _wire_stage(opening: AbstractAsyncContextManager[Scene]) -> AsyncIterator[Stage]:
    async with opening as scene:
        yield Stage(scene.provider, lambda *steps: scene.server.answer(*on_the_wire(scene.dialect, steps)))


def memory_stage(dialect: Dialect) -> AbstractAsyncContextManager[Stage]:
    return _wire_stage(open_scene(dialect))


def tcp_stage(dialect: Dialect) -> AbstractAsyncContextManager[Stage]:
    return _wire_stage(open_tcp_scene(dialect))
