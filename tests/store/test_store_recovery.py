"""What a restart finds: open turns, letters, buttons, and what was offered to be answered late."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest

from triolet.core.buttons import KeptButton
from triolet.core.calls import Keyboard, Place
from triolet.core.conversation import ConversationKey, Ending, Message, TextPart, ToolCallPart
from triolet.core.letters import Letter, LetterState, Undelivered
from triolet.core.mailbox import Question
from triolet.core.markup.cutting import Lead
from triolet.core.markup.layout import Unsealed
from triolet.core.ports import Executor, RawUpdate, Store, Unfinished
from triolet.core.recovery import OpenTurn
from triolet.core.text import Entity, FormattedText, RichText
from triolet.core.usage import Spent
from triolet.errors import StoreError
from triolet.store import SqliteStore, ThreadExecutor, open_store, run_inline

Reopen: TypeAlias = Callable[[], AbstractAsyncContextManager[SqliteStore]]

CHAT = ConversationKey(7)
TOPIC = ConversationKey(7, 3)
HELLO, ANSWER = Message.of("user", "hello"), Message.of("assistant", "h\ud800i", Ending.STOPPED)
CALL = ToolCallPart("call\x00-1", "fetch", "{}")
SAID = (HELLO, Message("assistant", (TextPart("Let me see."), CALL)))
BOLD = FormattedText(
    "so far\ud83d", (Entity("bold", 0, 2), Entity("text_link", 3, 3, url="https://x"), Entity("pre", 1, 1))
)
RICH = RichText("<b>so</b> far", "**so** far")
DAY = 24 * 3600.0


def place(key: ConversationKey = TOPIC) -> Place:
    return Place(key, private=False, asked=11, forum=True, asker=1001)


def plain(value: Any) -> Any:
    """The value with its places as what they hold: two places are equal only if they are one."""
    if isinstance(value, Place):
        return attrs.asdict(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    return value


def question(number: int, text: str = "why?", key: ConversationKey = TOPIC) -> Question:
    return Question((number, number + 1), place(key), 1001, text, message_id=11)


def turn(number: int, key: ConversationKey = TOPIC, **changes: Any) -> OpenTurn:
    return attrs.evolve(OpenTurn(number, key, (question(5, key=key),), (5, 6, 7), 1e9 + 0.5), **changes)


def letter(number: int, **changes: Any) -> Letter:
    return attrs.evolve(Letter(number, place(), content=BOLD), **changes)


def update(number: int) -> RawUpdate:
    return {"update_id": number}


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
    async with reopen() as opened:
        yield opened


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


# Turns

PLAIN = Unsealed("plain", "Because \ud800\x00")
QUOTED = Unsealed("rich", "> Because", Lead("```py\n", 4, "```", True))
FULL = turn(3, asked=(question(5, "\ud800"), question(9)), attempt=2, said=SAID, live=QUOTED, has_effects=True)
TURNS = [turn(1), turn(2, key=ConversationKey(-100), live=PLAIN), FULL]


async def test_turns_come_back_as_they_began(reopen: Reopen) -> None:
    async with reopen() as store:
        for each in reversed(TURNS):
            store.begin(each)
    async with reopen() as store:
        assert plain(await store.open_turns()) == plain(TURNS)


async def test_a_turn_takes_the_place_of_another(store: Store, path: Path) -> None:
    store.begin(turn(1))
    store.begin_call(1, CALL, has_effects=True)
    await store.begin(turn(2, attempt=2), instead_of=1)
    assert plain(await store.open_turns()) == plain([turn(2, attempt=2)])
    assert rows(path, "SELECT * FROM tool_call") == []


async def test_the_newest_checkpoint_counts(reopen: Reopen) -> None:
    async with reopen() as store:
        store.begin(turn(1))
        store.begin(turn(2))
        for text in ("one", "two"):
            store.checkpoint(1, said=[], live=Unsealed("entities", text), update_ids=[5])
        await store.checkpoint(2, said=[HELLO], live=None, update_ids=[5])
        store.checkpoint(1, said=SAID, live=PLAIN, update_ids=[5, 8])
        store.checkpoint(404, said=SAID, live=PLAIN, update_ids=[5, 8])
    async with reopen() as store:
        first = turn(1, said=SAID, live=PLAIN, update_ids=(5, 8))
        assert plain(await store.open_turns()) == plain([first, turn(2, said=(HELLO,), update_ids=(5,))])


async def test_checkpoint_of_a_turn_that_is_over_changes_nothing(store: Store) -> None:
    store.begin(turn(1))
    store.record(TOPIC, [HELLO], turn=1)
    store.checkpoint(1, said=SAID, live=PLAIN, update_ids=[5])
    store.begin_call(1, CALL, has_effects=True)
    await store.end_call(1, CALL.call_id, failed=False)
    assert await store.open_turns() == []
    assert store.trouble == ""


@pytest.mark.parametrize("has_effects", [False, True])
async def test_a_call_is_known_before_its_tool_runs(reopen: Reopen, path: Path, has_effects: bool) -> None:
    async with reopen() as store:
        store.begin(turn(1))
        await store.begin_call(1, CALL, has_effects=has_effects)
    assert rows(path, "SELECT call_id, name, state FROM tool_call") == [('"call\\u0000-1"', '"fetch"', "running")]
    async with reopen() as store:
        [found] = await store.open_turns()
        assert found.has_effects is has_effects
        store.end_call(1, "another", failed=False)
        await store.end_call(1, CALL.call_id, failed=has_effects)
        [found] = await store.open_turns()
        assert found.has_effects is has_effects
        assert rows(path, "SELECT state FROM tool_call") == [("failed" if has_effects else "done",)]
        await store.begin_call(1, CALL, has_effects=False)
        assert rows(path, "SELECT state FROM tool_call") == [("running",)], "the provider uses its ids again"


async def test_a_record_takes_the_turns_place(reopen: Reopen, path: Path) -> None:
    async with reopen() as store:
        await store.receive([update(5)])
        store.begin(turn(1))
        store.begin(turn(2))
        store.begin_call(1, CALL, has_effects=True)
        store.record(TOPIC, [HELLO, ANSWER], finished=[5], spent=[Spent("gpt", 1, 2)], turn=1)
    async with reopen() as store:
        assert [each.number for each in await store.open_turns()] == [2]
        assert await store.load(TOPIC) == [HELLO, ANSWER]
        assert await store.unfinished() == []
        assert await store.last_spending(TOPIC) == [Spent("gpt", 1, 2)]
    assert rows(path, "SELECT * FROM tool_call") == []


# Letters

STATES: tuple[LetterState, ...] = ("pending", "sending", "sent", "uncertain", "dead")
LETTERS = [
    letter(1),
    letter(2, state="sending", turn=9, content=RICH, anew=True, silent=True, replies=False, newest=41),
    letter(3, state="uncertain", keyboard=(("Send \ud800 again", "nonce"), ("b", "c")), message_id=12),
    letter(4, state="dead", content=None, reason="Bad Request: chat not found\x00"),
    letter(5, state="sent", growing=True, content=None, message_id=13),
    letter(6, state="sending", growing=True),
    letter(7, place=Place(ConversationKey(-100), private=True)),
]


async def test_letters_come_back_as_they_were_kept(reopen: Reopen) -> None:
    async with reopen() as store:
        for each in reversed(LETTERS):
            store.keep(each)
    async with reopen() as store:
        assert plain(await store.letters()) == plain(LETTERS)
        store.keep(letter(3, content=RICH))
        await store.forget(1)
        assert plain(await store.letters()) == plain([LETTERS[1], letter(3, content=RICH), *LETTERS[3:]])


@pytest.mark.parametrize("keyboard", [(), (("a", "b"),)], ids=["no buttons", "buttons"])
@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("state", STATES)
async def test_only_what_is_done_with_loses_its_content(
    store: Store, path: Path, state: LetterState, growing: bool, keyboard: Keyboard
) -> None:
    await store.keep(letter(1, state=state, growing=growing, content=RICH, keyboard=keyboard))
    [(kept,)] = rows(path, "SELECT content IS NOT NULL FROM outbox")
    assert bool(kept) is (state != "sent" or growing or bool(keyboard))


async def test_what_is_sent_is_of_interest_for_as_long_as_its_turn_is_open(store: Store) -> None:
    store.begin(turn(1))
    store.begin(turn(2))
    for number, owner in ((3, 1), (4, 2), (5, None)):
        store.keep(letter(number, state="sent", turn=owner, message_id=number))
    assert [each.number for each in await store.letters()] == [3, 4]
    await store.record(TOPIC, [HELLO], turn=1)
    assert [(each.number, each.message_id, each.content) for each in await store.letters()] == [(4, 4, None)]


async def test_undelivered_are_told_newest_first(store: Store, wall_clock: WallClock) -> None:
    long = FormattedText("word  \n" * 50)
    store.keep(letter(1, state="dead", content=long, reason="no\nsuch chat"))
    wall_clock.now += 5
    store.keep(letter(2, state="uncertain", content=RICH))
    store.keep(letter(3, state="dead", content=None, place=place(ConversationKey(-8))))
    store.keep(letter(4, state="sending"))
    began = wall_clock.now - 5
    told = [
        Undelivered(3, -8, "dead", "", began + 5, ""),
        Undelivered(2, 7, "uncertain", "", began + 5, "**so** far"),
        Undelivered(1, 7, "dead", "no\nsuch chat", began, "word " * 11 + "word…"),
    ]
    assert await store.undelivered() == told
    assert await store.undelivered(7) == told[1:]
    assert await store.undelivered(404) == []


async def test_numbers_go_on_above_all_that_are_in_use(reopen: Reopen) -> None:
    def uses(store: Store, number: int) -> list[Callable[[], Any]]:
        return [
            lambda: store.keep(letter(number)),
            lambda: store.keep(letter(1, turn=number)),
            lambda: store.begin(turn(number)),
            lambda: store.keep_button(button(str(number), letter=number)),
        ]

    async with reopen() as store:
        assert [store.draw_number() for _ in range(3)] == [1, 2, 3]
    for kind in range(4):
        async with reopen() as store:
            number = store.draw_number() + 10
            await uses(store, number)[kind]()
        async with reopen() as store:
            assert store.draw_number() == number + 1


# Buttons


def button(nonce: str, **changes: Any) -> KeptButton:
    return attrs.evolve(KeptButton(nonce, "continue", place(), (1001, 1002)), **changes)


async def test_buttons_come_back_oldest_first(reopen: Reopen) -> None:
    kept = [button("z"), button("a", kind="resend", letter=4), button("m", kind="answer", update_ids=(8, 9))]
    async with reopen() as store:
        for each in kept:
            store.keep_button(each)
    async with reopen() as store:
        assert plain(await store.buttons()) == plain(kept)
        await store.drop_buttons(["a", "a", "unknown"])
        assert [each.nonce for each in await store.buttons()] == ["z", "m"]
        await store.keep_button(button("z", kind="resend"))
        assert [(each.nonce, each.kind) for each in await store.buttons()] == [("m", "answer"), ("z", "resend")]


# What was offered


async def test_what_is_offered_waits_until_somebody_wants_it(reopen: Reopen, wall_clock: WallClock) -> None:
    async with reopen() as store:
        began = wall_clock.now
        await store.receive([update(9), update(7), update(3)])
        store.finish([7])
        wall_clock.now += 60
        await store.receive([update(2), update(4)])
        store.offer([3, 2, 4, 404])
    async with reopen() as store:
        assert await store.unfinished() == [Unfinished(update(9), began)]
        wanted = [Unfinished(update(3), began, is_wanted=True), Unfinished(update(2), began + 60, is_wanted=True)]
        assert await store.want([2, 404, 3, 9, 2]) == wanted
        assert await store.want([3]) == [], "once"
    async with reopen() as store:
        assert await store.unfinished() == [Unfinished(update(9), began), *wanted]
        store.finish([3, 4])
        assert await store.want([4]) == [], "finished meanwhile"
        store.offer([2])
        assert await store.unfinished() == [Unfinished(update(9), began)]
        assert await store.receive([update(2)]) == []


# Many at once


async def test_a_unit_is_one_transaction(reopen: Reopen, path: Path) -> None:
    async with reopen() as store:
        await store.receive([update(5)])
        store.begin(turn(1))
        with store.unit() as unit:
            store.keep(letter(2, turn=1))
            store.keep_button(button("a", letter=2))
            store.record(TOPIC, [HELLO, ANSWER], finished=[5], turn=1)
            assert rows(path, "SELECT count(*) FROM history") == [(0,)]
        await unit
        assert rows(path, "SELECT count(*) FROM history") == [(2,)]
        with pytest.raises(KeyError):
            fail_within_unit(store)
        assert [each.number for each in await store.letters()] == [2]
        with store.unit() as unit:
            store.forget(2)
            store.record(TOPIC, [Message("nobody", ())])  # type: ignore[arg-type]  # what the table's CHECK is for
        with pytest.raises(StoreError, match="makes no sense"):
            await unit
        assert [each.number for each in await store.letters()] == [2]


def fail_within_unit(store: Store) -> None:
    with store.unit():
        store.forget(2)
        raise KeyError


async def test_what_was_given_may_change_afterwards(store: Store) -> None:
    where, said, ids = place(), [HELLO], [5]
    asked = attrs.evolve(question(5), place=where)
    store.keep(letter(1, place=where))
    store.keep_button(button("a", place=where))
    store.begin(turn(2, asked=(asked,)))
    store.checkpoint(2, said=said, live=None, update_ids=ids)
    await store.receive([update(5), update(6)])
    store.record(CHAT, said, finished=ids)
    wanted = [6]
    store.finish(finished := list[int]())
    store.offer(wanted)
    where.key, where.asked = ConversationKey(-100), None
    said.append(ANSWER)
    ids.append(6)
    finished.append(6)
    wanted.clear()
    assert plain((await store.letters())[0].place) == plain(place())
    assert plain((await store.buttons())[0].place) == plain(place())
    [found] = await store.open_turns()
    assert plain(found) == plain(turn(2, said=(HELLO,), update_ids=(5,)))
    assert await store.load(CHAT) == [HELLO]
    assert [each.update for each in await store.want([5, 6])] == [update(6)]


# A group that becomes a supergroup


async def test_a_chat_moves_with_all_that_it_has(store: Store) -> None:
    new, new_topic = ConversationKey(-100), ConversationKey(-100, 3)
    other = ConversationKey(8)
    for key in (CHAT, TOPIC, other, new):
        store.record(key, [Message.of("user", repr(key))], spent=[Spent("gpt", 1, 1)])
        await store.put(key, "stream", repr(key))
    await store.put(CHAT, "busy", "steer")
    store.begin(turn(1))
    store.begin(turn(2, key=other))
    store.keep_button(button("a"))
    store.keep_button(button("b", place=place(other)))
    store.keep(letter(3, state="uncertain"))
    await store.move(7, -100)
    assert [each.text for each in await store.load(new)] == [repr(CHAT), repr(new)]
    assert [each.text for each in await store.load(new_topic)] == [repr(TOPIC)]
    assert await store.load(CHAT) == await store.load(TOPIC) == []
    assert await store.spending(new, since=0) == [Spent("gpt", 2, 2)]
    assert await store.spending(CHAT, since=0) == []
    assert (await store.switched(new)).get("stream") == repr(new), "what is there stays"
    assert (await store.switched(new)).get("busy") == "steer"
    assert (await store.switched(new_topic)).get("stream") == repr(TOPIC)
    assert (await store.switched(CHAT)).get("stream") is None
    assert (await store.switched(other)).get("stream") == repr(other)
    assert [each.key for each in await store.open_turns()] == [new_topic, other]
    assert [each.place.key for each in await store.buttons()] == [new_topic, other]
    assert [each.place.key for each in await store.letters()] == [TOPIC], "its message ids are the old chat's"


# What is forgotten


async def test_letters_are_forgotten_in_their_time(reopen: Reopen, wall_clock: WallClock, path: Path) -> None:
    """But never the newest message of a chat: what is looked for after a crash came behind it."""
    async with reopen() as store:
        store.begin(turn(99))
        for number, state in enumerate(STATES, start=1):
            store.keep(letter(number, state=state, turn=50, message_id=number))
        store.keep(letter(6, state="sent", growing=True, message_id=6))
        store.keep(letter(7, state="sent", turn=99, message_id=7))
        store.keep(letter(8, state="sent", message_id=5))
        await store.keep(letter(9, state="sent", message_id=9))
        assert await store.message_ids() == {TOPIC.chat_id: [1, 2, 3, 4, 5, 5, 6, 7, 9]}

    async def numbers() -> list[int]:
        async with reopen() as store:
            await store.begin(turn(50))  # for which those that are sent are told, too
            found = [each.number for each in await store.letters()]
            await store.record(TOPIC, [], turn=50)
            return found

    wall_clock.now += 0.9 * DAY
    assert await numbers() == [1, 2, 3, 4, 5, 6, 7]
    wall_clock.now += 0.2 * DAY
    assert await numbers() == [1, 2, 4, 5, 6, 7]
    assert rows(path, "SELECT number FROM outbox ORDER BY number") == [(number,) for number in (1, 2, 4, 5, 6, 7, 9)]
    wall_clock.now += 12 * DAY
    assert await numbers() == [1, 2, 4, 5, 6, 7]
    wall_clock.now += DAY
    assert await numbers() == [1, 2, 6, 7]


async def test_what_nobody_wanted_is_finished_in_its_time(reopen: Reopen, wall_clock: WallClock, path: Path) -> None:
    async with reopen() as store:
        await store.receive([update(number) for number in (1, 2, 3)])
        store.offer([1, 2])
        await store.want([2])
    wall_clock.now += 13.9 * DAY
    async with reopen() as store:
        assert rows(path, "SELECT count(*) FROM inbox WHERE body IS NOT NULL") == [(3,)]
    wall_clock.now += 0.2 * DAY
    async with reopen() as store:
        assert [each.update for each in await store.unfinished()] == [update(2), update(3)]
        assert await store.want([1]) == []
        assert rows(path, "SELECT update_id, body IS NULL FROM inbox") == [(1, 1), (2, 0), (3, 0)]
