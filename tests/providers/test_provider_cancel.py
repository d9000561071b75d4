"""Cancelling a question to a model: the server learns it at once, and the connection pool stays whole.

The first tests cancel in each phase of a request, the next at every step that Trio's scheduler takes for it, and the
last in a TLS handshake.
"""

from __future__ import annotations

import itertools

import pytest
import trio
import trio.testing
from model_dialects import CHAT, DIALECTS, Dialect
from model_server import Hang, Head, Pause, Step, Write, done, finish, say, usage
from odd_servers import HOST, AfterSend, make_certificates, open_odd_server, say_nothing
from provider_scenes import (
    PROVIDERS,
    Ear,
    Scene,
    idle_connections,
    listen,
    model_settings,
    on_the_wire,
    open_scene,
    open_tcp_scene,
    question,
)

from triolet.providers import scripted
from triolet.providers.scripted import Say

PLACES = 30
"""More than the connections that the pool keeps idle."""

JSON = (("Content-Type", "application/json"),)
CHAT_PHASES: dict[str, tuple[float, list[Step]]] = {
    "between finish and usage": (1.5, [say("a"), finish(), Hang()]),
    "at [DONE] with the body held open": (0.0625, [say("a"), finish(), usage(), done(), Hang()]),
}
PHASES = [
    "waiting for headers",
    "waiting for the first chunk",
    "between two chunks",
    "in the middle of an event",
    "in the middle of a call",
    "at the end with the body held open",
    "in the body of an error",
    "in an answer in one piece",
]


def told(dialect: Dialect, *steps: scripted.Step) -> list[Step]:
    return on_the_wire(dialect, steps)


def phase_in(dialect: Dialect, phase: str) -> tuple[float, list[Step]]:
    """When to cancel, and what the server does meanwhile."""
    if phase in CHAT_PHASES:
        return CHAT_PHASES[phase]
    begun = told(dialect, Say.text("a"), scripted.Cut())
    steps: dict[str, list[Step]] = {
        "waiting for headers": [Hang()],
        "waiting for the first chunk": [Head(), Hang()],
        "between two chunks": [*begun, Hang()],
        "in the middle of an event": [*begun, Write(b'data: {"choi'), Hang()],
        "in the middle of a call": told(dialect, Say.tool_call("look", '{"x"'), scripted.Hang()),
        "at the end with the body held open": [*told(dialect, Say.text("a")), Hang()],
        "in the body of an error": [Head(500, JSON), Write(b'{"err'), Hang()],
        "in an answer in one piece": [Head(200, JSON), Write(b'{"id": '), Hang()],
    }
    return 0.0625 if "held open" in phase else 1.5, steps[phase]


def name(value: object) -> str:
    return value.name if isinstance(value, Dialect) else str(value)


async def check_whole(scene: Scene) -> None:
    """As many requests as ever succeed at once, and no connection is left open or half read."""
    assert scene.pooled == []
    assert scene.server.connections == {}
    fine = told(scene.dialect, Say.text("fi"), scripted.Pause(0.5), Say.text("ne"))
    scene.server.script = lambda _body: fine
    ears, began = [Ear() for _ in range(PLACES)], trio.current_time()
    async with trio.open_nursery() as nursery:
        for ear in ears:
            nursery.start_soon(scene.provider.stream, question(), ear)
    assert [ear.text for ear in ears] == ["fine"] * PLACES
    assert trio.current_time() == began + 0.5
    assert all(connection.is_reusable for connection in scene.pooled)


@pytest.mark.case("I2")
@pytest.mark.parametrize(
    ("dialect", "phase"),
    [*itertools.product(DIALECTS.values(), PHASES), *((CHAT, phase) for phase in CHAT_PHASES)],
    ids=name,
)
async def test_a_cancel_reaches_the_server_in_the_same_instant(
    dialect: Dialect, phase: str, autojump_clock: trio.testing.MockClock
) -> None:
    after, steps = phase_in(dialect, phase)
    async with open_scene(dialect) as scene:
        began = trio.current_time()
        for _ in range(3):
            with trio.move_on_after(after) as scope:
                await scene.ask(*steps)
            assert scope.cancelled_caught
            await trio.testing.wait_all_tasks_blocked()
            assert (scene.server.requests[-1].how, scene.server.requests[-1].ended) == ("client_left", began + after)
            began = trio.current_time()
            assert began == scope.deadline
        await check_whole(scene)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_cancel_while_connecting(dialect: Dialect, autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene(dialect) as scene:
        scene.server.connect_delay = 2.0
        with trio.move_on_at(1.5) as scope:
            await scene.ask()
        assert scope.cancelled_caught
        assert trio.current_time() == 1.5
        assert scene.server.requests == []
        scene.server.connect_delay = 0.0
        scene.server._answers.clear()
        assert (await listen(scene.provider)).text == "Hello."
        with trio.move_on_after(10):
            await trio.sleep_forever()  # the connection that was given up never comes about
        assert len(scene.server.connections) == 1


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_cancel_over_tcp_closes_the_connection(dialect: Dialect) -> None:
    for phase in ("waiting for headers", "between two chunks", "in the middle of a call"):
        _, steps = phase_in(dialect, phase)
        async with open_tcp_scene(dialect) as scene:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(scene.ask, *steps)
                while not (scene.server.requests and (steps == [Hang()] or scene.server.requests[0].first_byte)):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            assert scene.pooled == []
            while scene.server.connections:
                await trio.lowlevel.checkpoint()
            assert scene.server.requests[0].how == "client_left"
            assert (await listen(scene.provider)).text == "Hello."


class CancelAtStep(trio.abc.Instrument):
    """Cancels the scope when its task is about to take its n-th step."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, step: int) -> None:
        self._task = task
        self._scope = scope
        self._left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_cancel_at_any_step_leaves_the_pool_whole(
    dialect: Dialect, autojump_clock: trio.testing.MockClock
) -> None:
    """Also while a connection has just come about, and belongs to nobody yet."""
    async with open_scene(dialect) as scene:
        scene.server.connect_delay = 0.25
        step, completed = 0, False
        while not completed:
            step += 1
            pause = scripted.Pause(0.25)
            scene.server.answer(*told(dialect, pause, Say.text("a"), pause, Say.text("b")))
            with trio.CancelScope() as scope:
                instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await listen(scene.provider)
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            completed = not scope.cancelled_caught
            await trio.testing.wait_all_tasks_blocked()
            assert all(connection.is_reusable for connection in scene.pooled), step
            assert len(scene.server.connections) == len(scene.pooled), step
            assert {request.how for request in scene.server.requests} <= {"completed", "client_left"}, step
            while scene.pooled:  # connect anew
                await scene.pooled.pop().aclose()
            scene.server._answers.clear()
            await trio.testing.wait_all_tasks_blocked()
        assert step > 15


async def test_a_pause_of_the_server_is_not_its_end(autojump_clock: trio.testing.MockClock) -> None:
    """The journal tells a client that left from one that stayed."""
    async with open_scene() as scene:
        await scene.ask(say("a"), Pause(1), finish(), done())
        await trio.testing.wait_all_tasks_blocked()
        assert scene.server.requests[0].how == "completed"


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_cancel_in_a_handshake_that_never_ends(
    dialect: Dialect, autojump_clock: trio.testing.MockClock
) -> None:
    client, peer = trio.testing.memory_stream_pair()

    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return client

    settings = model_settings(dialect, base_url=f"https://{HOST}{dialect.base}")
    async with PROVIDERS[dialect.name](settings, connect=connect) as provider:
        with trio.move_on_after(1) as scope:
            await listen(provider)
        assert scope.cancelled_caught
        assert idle_connections(provider) == []
        assert (await peer.receive_some())[:1] == b"\x16", "the hello of the handshake"
        assert await peer.receive_some() == b""
        assert trio.current_time() == 1.0


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_cancel_at_any_send_over_tls(dialect: Dialect, autojump_clock: trio.testing.MockClock) -> None:
    """The handshake's two and the request's own."""
    certificates = make_certificates()
    for number in range(1, 4):
        scope = trio.CancelScope()
        async with open_odd_server(say_nothing, tls=certificates.server) as server:
            server.wrap = lambda stream, number=number, scope=scope: AfterSend(stream, number, scope.cancel)  # type: ignore[misc]  # bound now
            settings = model_settings(dialect, base_url=f"https://{HOST}{dialect.base}")
            async with PROVIDERS[dialect.name](settings, connect=server.connect) as provider:
                pool = provider._client._client._transport.connections  # type: ignore[attr-defined]  # of our own transport
                pool._tls = certificates.client
                with scope:
                    await listen(provider)
                await trio.testing.wait_all_tasks_blocked()
                assert scope.cancelled_caught
                assert (pool.idle, server.open) == ([], 0), number
