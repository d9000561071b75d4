"""Cancelling a question to a model: the server learns it at once, and the connection pool stays whole.

The first tests cancel in each phase of a request; the last one at every step that Trio's scheduler takes for it.
"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from model_server import Hang, Head, Pause, Step, Write, done, finish, reply, say, usage
from provider_scenes import Ear, Scene, listen, open_scene, open_tcp_scene, question

PLACES = 30
"""More than the connections that the pool keeps idle."""

PHASES: dict[str, tuple[float, list[Step]]] = {
    "waiting for headers": (1.5, [Hang()]),
    "waiting for the first chunk": (1.5, [Head(), Hang()]),
    "between two chunks": (1.5, [say("a"), Hang()]),
    "in the middle of an event": (1.5, [say("a"), Write(b'data: {"choi'), Hang()]),
    "between finish and usage": (1.5, [say("a"), finish(), Hang()]),
    "at [DONE] with the body held open": (0.0625, [say("a"), finish(), usage(), done(), Hang()]),
    "in the body of an error": (1.5, [Head(500, (("Content-Type", "application/json"),)), Write(b'{"err'), Hang()]),
}


async def check_whole(scene: Scene) -> None:
    """As many requests as ever succeed at once, and nothing is left in use."""
    assert scene.pooled == []
    assert scene.server.connections == {}
    scene.server.script = lambda _body: reply("fine", pause=0.5)
    ears, began = [Ear() for _ in range(PLACES)], trio.current_time()
    async with trio.open_nursery() as nursery:
        for ear in ears:
            nursery.start_soon(scene.provider.stream, question(), ear)
    assert [ear.text for ear in ears] == ["fine"] * PLACES
    assert trio.current_time() == began + 0.5
    assert all(connection.is_idle() for connection in scene.pooled)


@pytest.mark.case("I2")
@pytest.mark.parametrize("phase", PHASES)
async def test_a_cancel_reaches_the_server_in_the_same_instant(
    phase: str, autojump_clock: trio.testing.MockClock
) -> None:
    after, steps = PHASES[phase]
    async with open_scene() as scene:
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


async def test_a_cancel_while_connecting(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        scene.server.connect_delay = 2.0
        with trio.move_on_at(1.5) as scope:
            await scene.ask(say("a"))
        assert scope.cancelled_caught
        assert trio.current_time() == 1.5
        assert scene.server.requests == []
        scene.server.connect_delay = 0.0
        assert (await listen(scene.provider)).text == "a"
        with trio.move_on_after(10):
            await trio.sleep_forever()  # the connection that was given up never comes about
        assert len(scene.server.connections) == 1


async def test_a_cancel_over_tcp_closes_the_connection() -> None:
    for steps in ([Hang()], [say("a"), Hang()], [say("a"), finish(), Hang()]):
        async with open_tcp_scene() as scene:
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


async def test_a_cancel_at_any_step_leaves_the_pool_whole(autojump_clock: trio.testing.MockClock) -> None:
    """Also while a connection has just come about and belongs to nobody yet, where the libraries lose it."""
    async with open_scene() as scene:
        scene.server.connect_delay = 0.25
        step, completed = 0, False
        while not completed:
            step += 1
            scene.server.answer(*reply("a", "b", pause=0.25))
            with trio.CancelScope() as scope:
                instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await listen(scene.provider)
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            completed = not scope.cancelled_caught
            await trio.testing.wait_all_tasks_blocked()
            assert all(connection.is_idle() for connection in scene.pooled), step
            assert len(scene.server.connections) == len(scene.pooled), step
            assert {request.how for request in scene.server.requests} <= {"completed", "client_left"}, step
            await scene.provider._client._client._transport.connections.aclose()  # type: ignore[attr-defined]  # connect anew
            scene.server._answers.clear()
            await trio.testing.wait_all_tasks_blocked()
        assert step > 20


async def test_a_pause_of_the_server_is_not_its_end(autojump_clock: trio.testing.MockClock) -> None:
    """The journal tells a client that left from one that stayed."""
    async with open_scene() as scene:
        await scene.ask(say("a"), Pause(1), finish(), done())
        await trio.testing.wait_all_tasks_blocked()
        assert scene.server.requests[0].how == "completed"
