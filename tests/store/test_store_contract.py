"""One suite for every way to run the store: what `core/ports.py` promises, on a real file.

A test that closes and opens the file again shows what was durable, not what a connection remembered.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
import trio
import trio.testing

from triolet.core.conversation import (
    ConversationKey,
    Ending,
    Message,
    OpaquePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from triolet.core.ports import Executor, RawUpdate, Store
from triolet.core.usage import Spent
from triolet.errors import StoreError
from triolet.store import SqliteStore, ThreadExecutor, open_store, run_inline

Reopen: TypeAlias = Callable[[], AbstractAsyncContextManager[SqliteStore]]

CHAT = ConversationKey(7)
TOPIC = ConversationKey(7, 3)
OTHER = ConversationKey(8)
HELLO = Message.of("user", "hello")
GPT = Spent("gpt", 100, 10, 5, 2, 0.25)
LLAMA = Spent("llama", 1, 2, 3, 4)
ANSWER = Message.of("assistant", "hi", Ending.STOPPED)
DAY = 24 * 3600.0


def update(number: int, text: str = "x") -> RawUpdate:
    return {"update_id": number, "message": {"text": text}}


@attrs.define
class WallClock:
    now: float = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["inline", "thread"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return run_inline if request.param == "inline" else ThreadExecutor()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triolet.db"


@pytest.fixture
def wall_clock() -> WallClock:
    return WallClock()


@pytest.fixture
def reopen(path: Path, executor: Executor, wall_clock: WallClock) -> Reopen:
    return lambda: open_store(path, executor=executor, wall_clock=wall_clock)


@pytest.fixture
async def store(reopen: Reopen) -> AsyncIterator[Store]:
    # The annotation lets mypy compare the class with the port.
    async with reopen() as opened:
        yield opened


def rows(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def left(store: Store) -> list[RawUpdate]:
    return [each.update for each in await store.unfinished()]


# The inbox


async def test_receive_returns_what_is_new_in_order(store: Store) -> None:
    assert await store.receive([update(5), update(3)]) == [update(5), update(3)]
    assert await store.receive([update(3), update(9), update(9), update(1)]) == [update(9), update(1)]


async def test_unfinished_keeps_the_order_of_arrival_though_ids_go_down(store: Store) -> None:
    """After a week without updates Telegram goes on with any id, also a lower one."""
    for number in (900, 17, 901, 2):
        await store.receive([update(number)])
    assert await left(store) == [update(900), update(17), update(901), update(2)]


async def test_finish_takes_known_unknown_and_finished_ids(store: Store) -> None:
    await store.receive([update(1), update(2)])
    await store.finish([1, 1, 404])
    await store.finish([1])
    await store.finish([])
    assert await left(store) == [update(2)]


async def test_nothing_to_receive_is_fine(store: Store) -> None:
    assert await store.receive([]) == []


async def test_inbox_survives_reopening(reopen: Reopen) -> None:
    async with reopen() as store:
        await store.receive([update(1, "one"), update(2, "two")])
        await store.finish([1])
    async with reopen() as store:
        assert await left(store) == [update(2, "two")]
        assert await store.receive([update(1), update(2), update(3)]) == [update(3)], "finished ids stay known"


async def test_a_finished_update_loses_its_body(store: Store, path: Path) -> None:
    await store.receive([update(1), update(2)])
    await store.finish([1])
    assert rows(path, "SELECT update_id, body IS NULL FROM inbox ORDER BY seq") == [(1, 1), (2, 0)]


async def test_a_batch_is_received_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(StoreError, match="makes no sense"):
        await store.receive([update(1), update(2**64)])
    assert await left(store) == []


async def test_what_is_received_is_a_copy(store: Store) -> None:
    """The caller's dict may change while the job waits for the disk, and after."""
    mine = update(1, "before")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.receive, [mine])
        await trio.testing.wait_all_tasks_blocked(0)
        mine["message"]["text"] = "after"
    assert await left(store) == [update(1, "before")]


async def test_old_finished_ids_are_forgotten_but_never_the_newest(
    reopen: Reopen, wall_clock: WallClock, path: Path
) -> None:
    async with reopen() as store:
        await store.receive([update(number) for number in range(10_003)])
        await store.finish(range(1, 10_003))
    wall_clock.now += 13.9 * DAY
    async with reopen():
        assert rows(path, "SELECT count(*) FROM inbox") == [(10_003,)]
    wall_clock.now += 0.2 * DAY
    async with reopen() as store:
        assert rows(path, "SELECT update_id FROM inbox ORDER BY seq LIMIT 3") == [(0,), (3,), (4,)]
        assert await left(store) == [update(0)], "an unfinished one stays, however old"


# History


async def test_history_comes_back_as_it_was_recorded(reopen: Reopen) -> None:
    opaque = OpaquePart("anthropic", {"signature": "ab=", "nested": [1, None, {"text": "no part"}]})
    messages = [HELLO, Message("assistant", (opaque, TextPart(""), TextPart("b")), Ending.LENGTH)]
    async with reopen() as store:
        await store.record(CHAT, messages)
        await store.record(CHAT, [ANSWER])
    async with reopen() as store:
        assert await store.load(CHAT) == [*messages, ANSWER]


@pytest.mark.parametrize("ending", Ending)
async def test_every_ending_is_kept(store: Store, ending: Ending) -> None:
    await store.record(CHAT, [Message.of("assistant", "a", ending)])
    assert [message.ending for message in await store.load(CHAT)] == [ending]


async def test_conversations_do_not_mix(store: Store) -> None:
    for key in (CHAT, TOPIC, OTHER):
        await store.record(key, [Message.of("user", repr(key))])
    await store.clear(CHAT)
    assert await store.load(CHAT) == []
    assert await store.load(TOPIC) == [Message.of("user", repr(TOPIC))]
    assert await store.load(OTHER) == [Message.of("user", repr(OTHER))]


async def test_record_finishes_the_updates_that_asked(store: Store) -> None:
    await store.receive([update(1), update(2)])
    await store.record(CHAT, [HELLO, ANSWER], finished=[1])
    assert await left(store) == [update(2)]


async def test_a_round_of_tools_comes_back(reopen: Reopen) -> None:
    call = ToolCallPart("id-1", "fetch", '{"url": "x"}')
    messages = [
        HELLO,
        Message("assistant", (OpaquePart("anthropic", {"signature": "s"}), TextPart("Let me see."), call)),
        Message("tool", (ToolResultPart("id-1", "a page"), ToolResultPart("id-2", "no", is_error=True))),
        ANSWER,
    ]
    async with reopen() as store:
        await store.record(CHAT, messages)
    async with reopen() as store:
        assert await store.load(CHAT) == messages


async def test_clear_finishes_the_updates_that_asked(store: Store) -> None:
    await store.receive([update(1)])
    await store.record(CHAT, [HELLO])
    await store.clear(CHAT, finished=[1])
    assert await left(store) == []
    assert await store.load(CHAT) == []


async def test_a_cleared_conversation_is_gone_from_the_file(reopen: Reopen, path: Path) -> None:
    async with reopen() as store:
        await store.receive([update(1, "a secret in the inbox")])
        await store.record(CHAT, [Message.of("user", "a secret in history " * 400)], finished=[1])
        await store.clear(CHAT)
    assert b"a secret" not in await trio.Path(path).read_bytes()


BAD_ROLE = Message("system", (TextPart("x"),))  # type: ignore[arg-type]  # what the table's CHECK is for
FAILING: list[Any] = [
    pytest.param([HELLO, BAD_ROLE], [1], "IntegrityError", id="second row refused"),
    pytest.param([HELLO], [1, 2**64], "OverflowError", id="finish refused"),
    pytest.param([HELLO, Message("user", (OpaquePart("d", {"x": {1}}),))], [1], "TypeError", id="not JSON"),
]


@pytest.mark.parametrize(("messages", "finished", "error"), FAILING)
async def test_a_failing_record_changes_nothing(
    store: Store, messages: list[Message], finished: list[int], error: str
) -> None:
    await store.receive([update(1)])
    with pytest.raises(StoreError, match=f"makes no sense .{error}"):
        await store.record(CHAT, messages, finished=finished, spent=[GPT])
    assert await store.load(CHAT) == []
    assert await store.spending(CHAT, since=0) == []
    assert await left(store) == [update(1)]
    await store.record(CHAT, [HELLO], finished=[1])
    assert await store.load(CHAT) == [HELLO], "the connection is fit for use"


async def test_a_record_whose_usage_is_refused_changes_nothing(store: Store) -> None:
    await store.receive([update(1)])
    with pytest.raises(StoreError, match="makes no sense"):
        await store.record(CHAT, [HELLO], finished=[1], spent=[GPT, Spent("a", 2**64, 0)])
    assert await store.load(CHAT) == []
    assert await left(store) == [update(1)]
    assert await store.spending(CHAT, since=0) == []


async def test_a_failing_clear_changes_nothing(store: Store) -> None:
    await store.record(CHAT, [HELLO])
    with pytest.raises(StoreError, match="makes no sense"):
        await store.clear(CHAT, finished=[2**64])
    assert await store.load(CHAT) == [HELLO]


# What was spent


async def test_spending_is_summed_up_by_model(reopen: Reopen) -> None:
    async with reopen() as store:
        await store.record(CHAT, [HELLO], spent=[GPT, LLAMA])
        await store.record(CHAT, [], spent=[LLAMA])
        await store.record(CHAT, [HELLO], spent=[GPT, GPT])
    async with reopen() as store:
        assert await store.spending(CHAT, since=0) == [
            Spent("gpt", 300, 30, 15, 6, 0.75),
            Spent("llama", 2, 4, 6, 8, None),
        ]


async def test_what_has_no_price_is_apart_from_what_has_one(store: Store) -> None:
    """Else the sum would look like the whole cost."""
    await store.record(CHAT, [], spent=[Spent("a", 1, 1, cost=0.5)])
    await store.record(CHAT, [], spent=[Spent("a", 10, 10)])
    await store.record(CHAT, [], spent=[Spent("a", 2, 2, cost=0.25)])
    assert await store.spending(CHAT, since=0) == [Spent("a", 3, 3, cost=0.75), Spent("a", 10, 10)]


async def test_spending_since_a_time(store: Store, wall_clock: WallClock) -> None:
    began = wall_clock.now
    for day in range(3):
        wall_clock.now = began + day * DAY
        await store.record(CHAT, [], spent=[Spent("a", 10**day, 0)])
    for since, tokens in ((0, 111), (began, 111), (began + 0.5, 110), (began + DAY, 110), (began + 2 * DAY, 100)):
        assert [each.input_tokens for each in await store.spending(CHAT, since=since)] == [tokens]
    assert await store.spending(CHAT, since=began + 3 * DAY) == []


async def test_the_last_spending_is_that_of_one_answer(store: Store) -> None:
    """Two answers at the same moment are two; one that reported nothing is none."""
    assert await store.last_spending(CHAT) == []
    await store.record(CHAT, [HELLO, ANSWER], spent=[GPT, Spent("b", 1, 1)])
    await store.record(CHAT, [HELLO, ANSWER], spent=[LLAMA, GPT])
    await store.record(CHAT, [HELLO])
    assert await store.last_spending(CHAT) == [LLAMA, GPT]


async def test_spending_of_conversations_does_not_mix(store: Store) -> None:
    for number, key in enumerate((CHAT, TOPIC, OTHER), start=1):
        await store.record(key, [], spent=[Spent("a", number, 0)])
    for number, key in enumerate((CHAT, TOPIC, OTHER), start=1):
        expected = [Spent("a", number, 0)]
        assert await store.spending(key, since=0) == await store.last_spending(key) == expected


async def test_who_asked_is_noted(store: Store, path: Path) -> None:
    await store.record(CHAT, [], spent=[GPT], user_id=1001)
    await store.record(TOPIC, [], spent=[GPT])
    assert rows(path, "SELECT chat_id, thread_id, user_id FROM usage ORDER BY id") == [(7, 0, 1001), (7, 3, 0)]


async def test_clear_leaves_what_was_spent(store: Store) -> None:
    await store.record(CHAT, [HELLO], spent=[GPT])
    await store.clear(CHAT)
    assert await store.spending(CHAT, since=0) == await store.last_spending(CHAT) == [GPT]


# Pins


async def test_pins_are_kept_by_server_and_tool(reopen: Reopen) -> None:
    async with reopen() as store:
        assert await store.pinned("files") == {}
        await store.pin("files", "read", "old")
        await store.pin("files", "write", "w")
        await store.pin("search", "read", "s")
        await store.pin("files", "read", "new")
    async with reopen() as store:
        assert await store.pinned("files") == {"read": "new", "write": "w"}
        assert await store.pinned("search") == {"read": "s"}


# Preferences


async def test_a_conversation_is_recalled_with_what_its_chat_has_switched(store: Store) -> None:
    """A topic's own history, and the switches of all the chat."""
    await store.put(CHAT, "busy", "steer")
    await store.put(TOPIC, "busy", "queue")
    await store.record(TOPIC, [HELLO, ANSWER])
    for key, said in ((CHAT, []), (TOPIC, [HELLO, ANSWER])):
        recalled = await store.recall(key)
        assert (dict(recalled.switched), recalled.messages) == ({"busy": "steer"}, said)


async def test_preferences_are_kept_per_conversation_and_name(reopen: Reopen) -> None:
    async with reopen() as store:
        assert (await store.switched(CHAT)).get("streaming") is None
        await store.put(CHAT, "streaming", "off")
        await store.put(TOPIC, "streaming", "on")
        await store.put(CHAT, "model", "")
    async with reopen() as store:
        found = [(await store.switched(CHAT)).get(name) for name in ("streaming", "model", "absent")]
        assert found == ["off", "", None]
        assert (await store.switched(TOPIC)).get("streaming") == "on"


@pytest.mark.parametrize("key", [CHAT, TOPIC])
async def test_the_last_preference_wins(store: Store, path: Path, key: ConversationKey) -> None:
    """Without a topic too: a NULL in the key would keep both rows."""
    await store.put(key, "streaming", "off")
    await store.put(key, "streaming", "on")
    assert (await store.switched(key)).get("streaming") == "on"
    assert rows(path, "SELECT count(*) FROM preference") == [(1,)]


async def test_clear_leaves_preferences(store: Store) -> None:
    await store.put(CHAT, "streaming", "off")
    await store.clear(CHAT)
    assert (await store.switched(CHAT)).get("streaming") == "off"


# Difficult text

DIFFICULT = ["\ud800", "\udfff\ud800", "a\x00b", "'; DROP TABLE inbox; --", "я" * 3_000_000, "\u2028", "🫠"]


@pytest.mark.parametrize("text", DIFFICULT, ids=range(len(DIFFICULT)))
async def test_any_text_survives(reopen: Reopen, text: str) -> None:
    async with reopen() as store:
        await store.receive([update(1, text)])
        await store.record(CHAT, [Message.of("user", text)])
        await store.put(CHAT, "name", text)
        await store.pin("server", text, "digest")
    async with reopen() as store:
        assert await left(store) == [update(1, text)]
        assert await store.load(CHAT) == [Message.of("user", text)]
        assert (await store.switched(CHAT)).get("name") == text
        assert await store.pinned("server") == {text: "digest"}


async def test_an_update_survives_as_it_was_decoded(store: Store) -> None:
    raw: RawUpdate = json.loads('{"update_id": 1, "a": [1.5, 9007199254740993, null, "\\ud83d"], "b": {"": true}}')
    await store.receive([raw])
    assert await left(store) == [raw]


# Many tasks


async def test_two_tasks_at_once(store: Store) -> None:
    """Transactions of tasks that run together neither mix nor fail; each task's own order is kept."""

    async def talk(key: ConversationKey) -> None:
        for number in range(20):
            await store.receive([update(key.chat_id * 1000 + number)])
            await store.record(key, [Message.of("user", str(number))], finished=[key.chat_id * 1000 + number])

    keys = [ConversationKey(chat) for chat in (1, 2)]
    async with trio.open_nursery() as nursery:
        for key in keys:
            nursery.start_soon(talk, key)
    for key in keys:
        assert [message.text for message in await store.load(key)] == [str(number) for number in range(20)]
    assert await left(store) == []


async def test_one_of_two_receivers_gets_a_repeated_update(store: Store) -> None:
    new: list[RawUpdate] = []

    async def receive() -> None:
        new.extend(await store.receive([update(1)]))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(receive)
    assert new == [update(1)]


async def test_every_method_is_a_checkpoint(store: Store) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.receive([]),
        store.unfinished,
        lambda: store.finish([]),
        lambda: store.load(CHAT),
        lambda: store.record(CHAT, []),
        lambda: store.clear(CHAT),
        lambda: store.switched(CHAT),
        lambda: store.recall(CHAT),
        lambda: store.put(CHAT, "a", "b"),
        lambda: store.spending(CHAT, since=0),
        lambda: store.last_spending(CHAT),
        lambda: store.pinned("a"),
        lambda: store.pin("a", "b", "c"),
    ]
    for call in calls:
        with trio.testing.assert_checkpoints():
            await call()


async def test_a_cancelled_call_did_nothing(store: Store) -> None:
    await store.record(CHAT, [HELLO])
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.clear(CHAT)
    assert scope.cancelled_caught
    assert await store.load(CHAT) == [HELLO]


async def test_what_was_posted_is_written_though_nobody_waits(store: Store) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.record(CHAT, [HELLO])
    assert scope.cancelled_caught
    assert await store.load(CHAT) == [HELLO]


async def test_the_repr_shows_the_path_and_no_message(store: Store, path: Path) -> None:
    assert repr(store) == f"SqliteStore(_path='{path}')"
