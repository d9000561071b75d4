"""The emulator on a wire in memory: virtual time, exact equality."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from emulator_scenes import ANN, BEN, FORUM, GROUP, STOP, TOPIC, Client, ask, scene

from triolet.emulator import (
    Delay,
    EmulatedTelegram,
    Fault,
    Flood,
    Limits,
    Reset,
    ServerError,
    TelegramServer,
    open_telegram_server,
)

TOKEN = "42:emulator"


async def connect(server: TelegramServer) -> Client:
    return Client(await server.connect())


async def test_a_call_goes_all_the_way(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server:
        client = await connect(server)
        sent = await client.call(TOKEN, "sendMessage", chat_id=ANN, text="👋")
        assert sent["result"]["text"] == "👋"
        assert server.visible(ANN) == ["👋"]
        wrong = await client.call("42:wrong", "getMe")
        assert wrong == {"ok": False, "error_code": 401, "description": "Unauthorized"}


async def test_a_waiting_poll_is_answered_the_moment_somebody_writes(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server, trio.open_nursery() as nursery:
        client = await connect(server)
        answers: list[tuple[float, Any]] = []

        async def poll() -> None:
            for timeout in (50, 3):
                answer = await client.call(TOKEN, "getUpdates", timeout=timeout, offset=1001 if answers else 0)
                answers.append((trio.current_time(), [update["update_id"] for update in answer["result"]]))

        nursery.start_soon(poll)
        await trio.sleep(12.5)
        server.say(ANN, "hi")
        await trio.sleep(10)
        assert answers == [(12.5, [1000]), (15.5, [])]


async def test_what_happens_by_control_wakes_a_poll_too(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server, trio.open_nursery() as nursery:
        client, remote = await connect(server), await connect(server)
        heard: list[float] = []

        async def poll() -> None:
            await client.call(TOKEN, "getUpdates", timeout=50)
            heard.append(trio.current_time())

        nursery.start_soon(poll)
        await trio.sleep(2)
        await remote.send("POST", "/control/message", b'{"chat_id": 7, "text": "hi"}')
        assert await remote.receive() == (200, b'{"ok": true, "result": 1}')
        await trio.sleep(1)
        assert heard == [2.0]


async def test_a_second_poller_ends_the_first_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server, trio.open_nursery() as nursery:
        first, second = await connect(server), await connect(server)
        ended: list[tuple[float, int]] = []

        async def poll_first() -> None:
            answer = await first.call(TOKEN, "getUpdates", timeout=50)
            ended.append((trio.current_time(), answer["error_code"]))

        nursery.start_soon(poll_first)
        await trio.sleep(2)
        answer = await second.call(TOKEN, "getUpdates", timeout=1)
        assert (trio.current_time(), answer["result"], ended) == (3.0, [], [(2.0, 409)])


async def test_a_client_that_leaves_ends_its_poll(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server:
        client = await connect(server)
        await client.send("GET", f"/bot{TOKEN}/getUpdates?timeout=50")
        await trio.sleep(1)
        await client.stream.aclose()
        await trio.sleep(1)
        (entry,) = server.telegram.journal
        assert (entry.outcome, entry.description) == ("dropped", "the client left")
        other = await connect(server)
        server.say(ANN, "hi")
        assert len((await other.call(TOKEN, "getUpdates"))["result"]) == 1


async def test_latency_passes_before_and_after(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene(latency=Delay(before=0.25, after=0.5))) as server:
        client = await connect(server)
        await client.call(TOKEN, "sendMessage", chat_id=ANN, text="x")
        assert trio.current_time() == 0.75
        assert [change.at for change in server.transcript(ANN)] == [0.25]
        (entry,) = server.telegram.journal
        assert (entry.received, entry.answered) == (0.0, 0.75)


async def test_a_client_that_leaves_does_not_take_its_call_back(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene(latency=Delay(before=2.0))) as server:
        client = await connect(server)
        await client.send("POST", f"/bot{TOKEN}/sendMessage", b'{"chat_id": 7, "text": "x"}')
        await trio.sleep(1)
        await client.stream.aclose()
        revision = await server.wait_changed(server.telegram.revision)
        assert (trio.current_time(), revision, server.visible(ANN)) == (2.0, 1, ["x"])


async def test_a_reset_closes_without_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    telegram = scene()
    telegram.add_fault(Fault(action=Reset(carried_out=True)))
    telegram.add_fault(Fault(action=Delay(after=3.0)))
    async with open_telegram_server(telegram) as server:
        client = await connect(server)
        await client.send("POST", f"/bot{TOKEN}/sendMessage", b'{"chat_id": 7, "text": "x"}')
        assert await client.stream.receive_some(100) == b""
        assert (trio.current_time(), server.visible(ANN)) == (3.0, ["x"])


async def test_headers_travel(autojump_clock: trio.testing.MockClock) -> None:
    telegram = scene()
    telegram.add_fault(Fault(action=ServerError()))
    telegram.add_fault(Fault(action=Flood(9)))
    async with open_telegram_server(telegram) as server:
        client = await connect(server)
        for status, name, value in ((502, b"content-type", b"text/html"), (429, b"retry-after", b"9")):
            await client.send("GET", f"/bot{TOKEN}/getMe")
            head = await client.event()
            assert (head.status_code, dict(head.headers)[name]) == (status, value)
            while client.protocol.their_state is not client.protocol.our_state:
                await client.event()
            client.protocol.start_next_cycle()


async def test_the_rates_hold_on_the_clock(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene(Limits())) as server:
        client = await connect(server)
        waits = []
        for number in range(25):
            answer = await client.call(TOKEN, "sendMessageDraft", chat_id=ANN, draft_id=1, text=f"x{number}")
            if not answer["ok"]:
                waits.append((trio.current_time(), answer["parameters"]["retry_after"]))
                await trio.sleep(answer["parameters"]["retry_after"])
            await trio.sleep(0.125)
        assert waits == [(2.5, 3)]


async def test_a_person_acts_through_the_server(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server:
        telegram = server.telegram
        message_id = server.say(ANN, "helo", thread_id=TOPIC)
        server.edit(ANN, message_id, "hello")
        ask(telegram, "sendMessage", chat_id=ANN, text="x", reply_markup=STOP)
        ask(telegram, "sendMessageDraft", chat_id=ANN, draft_id=3, text="y", can_stop=True)
        assert server.screen(ANN).draft is not None
        assert server.rings(ANN) == [0.0]
        assert server.press_stop(ANN) == 3
        assert server.press_button(ANN, 2, "stop")
        server.delete(ANN, message_id)
        server.block(ANN)
        server.unblock(ANN)
        server.act(telegram.group_removes_bot, -5, user_id=BEN)
        kinds = [next(iter(update.keys() - {"update_id"})) for update in telegram.updates.pending]
        assert kinds == [
            "message",
            "edited_message",
            "stopped_message_generation",
            "callback_query",
            "my_chat_member",
            "my_chat_member",
            "my_chat_member",
        ]
        assert server.visible(ANN, TOPIC) == []


async def test_what_befalls_a_group_and_its_topics_goes_through_the_server_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_telegram_server(scene()) as server, trio.open_nursery() as nursery:
        heard: list[Any] = []

        async def poll() -> None:
            answer = await client.call(TOKEN, "getUpdates", timeout=50)
            heard.append((trio.current_time(), answer["result"][0]["message"]["migrate_to_chat_id"]))

        client = await connect(server)
        nursery.start_soon(poll)
        await trio.sleep(1)
        server.migrate(GROUP, -1002, user_id=BEN)
        await trio.sleep(1)
        assert heard == [(1.0, -1002)]
        server.remove_bot(-1002, user_id=BEN)
        server.add_bot(-1002, user_id=BEN)
        server.close_topic(FORUM, TOPIC, user_id=ANN)
        server.reopen_topic(FORUM, TOPIC, user_id=ANN)
        server.delete_topic(FORUM, TOPIC)
        told = [
            next((kind, told["from"]["id"]) for kind, told in update.items() if kind != "update_id")
            for update in server.telegram.updates.pending
        ]
        member = ("my_chat_member", BEN)
        assert told == [("message", BEN), ("message", BEN), member, member, ("message", ANN), ("message", ANN)]
        assert server.visible(FORUM, TOPIC) == []


async def test_waiting_for_a_change_returns_at_the_change(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server, trio.open_nursery() as nursery:
        seen: list[tuple[float, int]] = []

        async def watch() -> None:
            revision = 0
            for _ in range(2):
                revision = await server.wait_changed(revision)
                seen.append((trio.current_time(), revision))

        nursery.start_soon(watch)
        client = await connect(server)
        await trio.sleep(1)
        await client.call(TOKEN, "getMe")
        await trio.sleep(1)
        await client.call(TOKEN, "sendMessage", chat_id=ANN, text="x")
        await trio.sleep(1)
        server.say(ANN, "y")
        await trio.sleep(1)
        assert seen == [(2.0, 1), (3.0, 2)]


async def test_waiting_always_checkpoints(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server:
        server.say(ANN, "x")
        with trio.testing.assert_checkpoints():
            await server.wait_changed(0)
        with trio.testing.assert_checkpoints():
            await server.connect()
        with trio.testing.assert_no_checkpoints():
            server.say(ANN, "y")


async def test_an_unreachable_server_refuses_connections(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server:
        server.reachable = False
        with pytest.raises(ConnectionRefusedError):
            await server.connect("api.telegram.org", 443)
        server.reachable = True
        assert (await (await connect(server)).call(TOKEN, "getMe"))["ok"]


async def test_leaving_the_block_closes_every_connection_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene(latency=Delay(before=100.0))) as server:
        idle, busy = await connect(server), await connect(server)
        await busy.send("GET", f"/bot{TOKEN}/getMe")
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == 0.0
    for client in (idle, busy):
        assert await client.stream.receive_some(10) == b""


async def test_what_the_block_raises_comes_out_as_it_was() -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with open_telegram_server(EmulatedTelegram()):
            raise error
    assert caught.value is error
    with trio.move_on_after(0.01) as scope:
        async with open_telegram_server(EmulatedTelegram()):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_stuck_client_holds_nobody_up(autojump_clock: trio.testing.MockClock) -> None:
    async with open_telegram_server(scene()) as server:
        stuck, garbage = await server.connect(), await server.connect()
        await stuck.send_all(b"POST /bot42:emulator/getMe HTTP/1.1\r\nHost: e\r\nContent-Length: 10\r\n\r\n{")
        await garbage.send_all(b"\0" * 100 + b"\r\n\r\n")
        client = await connect(server)
        assert (await client.call(TOKEN, "getMe"))["ok"]
        assert (await garbage.receive_some(100)).startswith(b"HTTP/1.1 400 ")
        assert trio.current_time() == 0.0
