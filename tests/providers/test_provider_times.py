"""Time-outs of a Chat Completions provider, to the instant, and how long its connections live."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from model_server import Hang, Head, Pause, Reset, Step, Write, chunk, comment, done, finish, refuse, reply, say, usage
from provider_scenes import Ear, Scene, listen, open_scene, open_tcp_scene

from triolet.core.events import Finished, TextDelta, UsageReported
from triolet.errors import ProviderUnavailable

FIRST, IDLE = 7.0, 5.0  # of provider_scenes.model_settings
DRAIN, TAIL = 0.1, 2.0
BEATING: list[Step] = [Pause(1), comment()] * 200
EMPTY: list[Step] = [Pause(1), chunk({"content": ""})] * 200
COUNTING: list[Step] = [Pause(1), usage()] * 200
CHATTER: list[Step] = [Pause(0.0625), say("b")] * 50
BEATING_FAST: list[Step] = [Pause(0.0625), comment()] * 50


async def fails_at(scene: Scene, *steps: Step) -> tuple[float, str, str]:
    """When the answer fails, with which message, and what text came before."""
    began, ear = trio.current_time(), Ear()
    with pytest.raises(ProviderUnavailable) as caught:
        await scene.ask(*steps, ear=ear)
    return trio.current_time() - began, str(caught.value), ear.text


SILENT: list[tuple[list[Step], float, str]] = [
    ([Hang()], FIRST, ""),
    ([Head(), Hang()], FIRST, ""),
    ([Head(), *BEATING], FIRST, ""),
    ([Pause(6), Head(), Hang()], FIRST, ""),
    ([Pause(6), say("a"), Hang()], 6 + IDLE, "a"),
    ([say("a"), *BEATING], IDLE, "a"),
    ([say("a"), Pause(4), say("b"), Pause(4), say("c"), Hang()], 8 + IDLE, "abc"),
    ([say("a"), Pause(4), Write(b'data: {"choices": [{"delta'), Hang()], IDLE, "a"),
    ([say("a"), *EMPTY], IDLE, "a"),
    ([*COUNTING], FIRST, ""),
    ([say("a"), *COUNTING], IDLE, "a"),
]


@pytest.mark.case("L2", "L3")
@pytest.mark.parametrize(("steps", "at", "text"), SILENT)
async def test_silence_ends_it_at_its_time_whatever_keeps_the_connection_alive(
    steps: list[Step], at: float, text: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene() as scene:
        assert await fails_at(scene, *steps) == (at, "the provider fell silent", text)
        await trio.testing.wait_all_tasks_blocked()
        assert (scene.server.requests[0].how, scene.server.requests[0].ended) == ("client_left", at)
        assert scene.pooled == []


async def test_a_short_idle_limit_does_not_cut_the_wait_for_the_first_byte(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_scene(idle_timeout=1.0, first_byte_timeout=30.0) as scene:
        ear = await scene.ask(Pause(20), Head(), Pause(9), say("a"), Pause(0.5), say("b"), finish(), done())
        assert (ear.text, ear.times[0]) == ("ab", 29.0)


async def test_the_whole_answer_has_its_limit(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene(total_timeout=5.5) as scene:
        endless: list[Step] = [Pause(1), say("a")] * 9
        assert await fails_at(scene, *endless) == (5.5, "no end after 5.5 s", "aaaaa")
        scene.server.connect_delay = 2.0
        assert await fails_at(scene, *endless) == (5.5, "no end after 5.5 s", "aaa")


async def test_connecting_has_its_limit(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        scene.server.connect_delay = 20.0
        assert await fails_at(scene) == (3.0, "no connection to the provider at model.test (ConnectTimeout)", "")
        assert scene.server.requests == []


async def test_an_unreachable_server(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        scene.server.reachable = False
        assert await fails_at(scene) == (0.0, "no connection to the provider at model.test (ConnectError)", "")


WHOLE = [TextDelta("a"), Finished("stop"), UsageReported(5, 2)]

HELD: dict[str, tuple[list[Step], float, int]] = {
    "the body held open after [DONE]": ([*reply("a"), Hang()], DRAIN, 3),
    "comments after [DONE]": ([*reply("a"), *BEATING_FAST], DRAIN, 3),
    "talk after [DONE]": ([*reply("a"), *CHATTER], DRAIN, 3),
    "no [DONE], no end": ([*reply("a")[:-1], Hang()], TAIL, 3),
    "no [DONE], comments": ([*reply("a")[:-1], *BEATING], TAIL, 3),
    "usage that comes late": ([say("a"), finish(), Pause(1.5), usage(), Hang()], TAIL, 3),
    "usage that comes too late": ([say("a"), finish(), Pause(3), usage(), Hang()], TAIL, 2),
    "a reset after the finish": ([say("a"), finish(), Reset()], 0.0, 2),
    "a reset after [DONE]": ([*reply("a"), Reset()], 0.0, 3),
    "nonsense after the finish": ([say("a"), finish(), Write(b"data: {\n\n"), Hang()], 0.0, 2),
}


@pytest.mark.parametrize("case", HELD)
async def test_a_finished_answer_waits_briefly_and_does_not_fail(
    case: str, autojump_clock: trio.testing.MockClock
) -> None:
    steps, at, heard = HELD[case]
    async with open_scene() as scene:
        ear = await scene.ask(*steps)
        assert trio.current_time() == at
        assert ear.events == WHOLE[:heard]
        await trio.testing.wait_all_tasks_blocked()
        assert scene.server.connections == {}


async def test_the_limit_of_all_is_no_failure_of_a_finished_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene(total_timeout=1.0) as scene:
        assert (await scene.ask(say("a"), finish(), Hang())).reasons == ["stop"]
        assert trio.current_time() == 1.0


async def test_a_connection_is_used_again(autojump_clock: trio.testing.MockClock) -> None:
    """After a whole answer, after one without [DONE], and after a refusal."""
    async with open_scene() as scene:
        await scene.ask(*reply("a"))
        await scene.ask(*reply("a")[:-1])
        with pytest.raises(ProviderUnavailable):
            await scene.ask(refuse(429, "slow down"))
        await scene.ask(*reply("a"))
        assert [request.connection for request in scene.server.requests] == [1, 1, 1, 1]
        await scene.ask(*reply("a"), Hang())  # not read to its end
        await scene.ask(*reply("a"))
        assert [request.connection for request in scene.server.requests[4:]] == [1, 2]


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    async with open_tcp_scene() as scene:
        await scene.ask(*reply("a"))
        await scene.server.hang_up()
        while scene.server.connections:
            await trio.lowlevel.checkpoint()
        assert (await listen(scene.provider)).text == "Hello."
        assert [request.connection for request in scene.server.requests] == [1, 2]


async def test_no_connection_to_this_machine_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    """llama.cpp closes its own after an answer: the next round, which comes at once, would meet a closed one."""
    for host in ("localhost", "127.0.0.1", "[::1]"):
        async with open_scene(base_url=f"http://{host}:8080/v1") as scene:
            await scene.ask(*reply("a"))
            await scene.ask(*reply("a"))
            assert [request.connection for request in scene.server.requests] == [1, 2]


async def test_leaving_the_provider_closes_its_connections(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        await scene.ask(*reply("a"))
        assert set(scene.server.connections) == {1}
        await scene.provider._client.close()
        await trio.testing.wait_all_tasks_blocked()
        assert scene.server.connections == {}
