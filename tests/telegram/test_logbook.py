"""The logbook: what is written down before a call leaves and when its outcome is known, in that order."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from triolet.config import Secret
from triolet.core.budget import Cost, Priority
from triolet.core.calls import Bubble, Keyboard, Place, message_call
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import Uncertain
from triolet.core.letters import Letter, Undelivered
from triolet.core.ports import Posted
from triolet.core.text import FormattedText, RichText
from triolet.emulator import Delay, EmulatedTelegram, Fault, Flood, Refuse, Reset, TelegramServer, open_telegram_server
from triolet.errors import StoreError
from triolet.telegram.client import open_bot_api
from triolet.telegram.logbook import PATIENCE, Forgetful
from triolet.telegram.outbox import Outbox, open_outbox

ADA = 1
LATENCY = 0.05
DISK = 0.01

BEFORE = 2
"""The id of the newest message when a scene begins: it is the second, and both are somebody's."""


@attrs.frozen
class Line:
    """Something that is written, as soon as the diary's disk lets it."""

    diary: Diary

    def __await__(self) -> Generator[Any, None, None]:
        return self.diary.write().__await__()


@attrs.define(eq=False)
class Diary:
    """A journal that tells when it was given what; its disk takes so long, or refuses."""

    lines: list[tuple[float, str]] = attrs.Factory(list)
    kept: dict[int, Letter] = attrs.Factory(dict)
    seconds: float = DISK
    refuses: bool = False
    numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    def draw_number(self) -> int:
        return next(self.numbers)

    def keep(self, letter: Letter) -> Posted:
        self.kept[letter.number] = letter
        return self._note(f"{letter.number} {told(letter)}")

    def forget(self, number: int) -> Posted:
        self.kept.pop(number, None)
        return self._note(f"{number} forgotten")

    def _note(self, line: str) -> Posted:
        self.lines.append((trio.current_time(), line))
        return Line(self)

    async def write(self) -> None:
        await trio.sleep(self.seconds)
        if self.refuses:
            raise StoreError("disk full")

    async def letters(self) -> list[Letter]:
        raise AssertionError("nobody reads while messages are sent")

    async def message_ids(self) -> dict[int, list[int]]:
        return {}

    async def undelivered(self, chat_id: int | None = None) -> list[Undelivered]:
        raise AssertionError("nobody reads while messages are sent")


def told(letter: Letter) -> str:
    """In a few words: its state, behind which id it is sent, what it shows, and where."""
    content = letter.content
    text = content.source if isinstance(content, RichText) else content.text if content is not None else ""
    parts = [
        letter.state,
        f"behind {letter.newest}" if letter.state == "sending" else "",
        "growing" if letter.growing else "",
        "anew" if letter.anew else "",
        repr(text.partition("\n")[0][:12]) if text else "",
        f"at {letter.message_id}" if letter.message_id is not None else "",
    ]
    return " ".join(filter(None, parts))


@attrs.frozen
class Desk:
    outbox: Outbox
    server: TelegramServer
    diary: Diary
    place: Place

    @property
    def log(self) -> list[str]:
        """What was written, and what calls Telegram has got, in order."""
        calls = [(each.received, self._told(each.method, each.params)) for each in self.server.telegram.journal]
        return [line for _, line in sorted([*self.diary.lines, *calls], key=lambda entry: entry[0])]

    def _told(self, method: str, params: dict[str, Any]) -> str:
        kind = method.removesuffix("Text").removesuffix("Message")
        return f"→ {kind} {params['message_id']}" if "message_id" in params else f"→ {kind}"

    def bubble(self, turn: int | None = None) -> Bubble:
        return self.outbox.open_bubble(self.place, turn=turn)

    async def show(self, bubble: Bubble, text: str) -> None:
        await self.outbox.wait_slot(bubble, Cost.MESSAGE, Priority.FRAME)
        await self.outbox.show(message_call(bubble, FormattedText(text)))

    async def commit(self, bubble: Bubble, text: str, *, anew: bool = False, keyboard: Keyboard = ()) -> None:
        """And wait until it is settled."""
        self.outbox.commit(bubble, FormattedText(text), anew=anew, keyboard=keyboard)
        await self.outbox.wait_idle()

    def texts(self) -> list[str]:
        return [message.text for message in self.server.screen(ADA).messages if message.from_bot]


@asynccontextmanager
async def open_desk(
    *faults: Fault, diary: Diary | None = None, uncertain: Uncertain = "resend", known: bool = True
) -> AsyncIterator[Desk]:
    """A chat in which somebody has written; ``known`` tells whether the outbox knows of that."""
    telegram = EmulatedTelegram(token="42:emulator", latency=Delay(before=LATENCY, after=LATENCY))
    telegram.add_private_chat(ADA)
    diary = diary or Diary()
    with trio.fail_after(10_000):
        async with (
            open_telegram_server(telegram) as server,
            open_bot_api("http://telegram", Secret("42:emulator"), connect=server.connect) as api,
            open_outbox(api, first_draft_id=1, journal=diary, uncertain=uncertain) as outbox,
        ):
            asked = [server.say(ADA, text) for text in ("Well?", "Well!")][-1]
            assert asked == BEFORE
            place = Place(ConversationKey(ADA), private=True, asked=asked)
            if known:
                outbox.note_message(place)
            for fault in faults:
                telegram.add_fault(fault)
            yield Desk(outbox, server, diary, place)


def lose(carried_out: bool, times: int = 1) -> Fault:
    return Fault(method="sendMessage", times=times, action=Reset(carried_out=carried_out))


async def send(desk: Desk) -> None:
    await desk.commit(desk.bubble(), "hello")


async def preview(desk: Desk) -> Bubble:
    bubble = desk.bubble(turn=3)
    await desk.show(bubble, "hel")
    return bubble


async def edit(desk: Desk) -> None:
    await desk.commit(await preview(desk), "hello")


async def replace(desk: Desk) -> None:
    await desk.commit(await preview(desk), "hello", anew=True)


async def remove(desk: Desk) -> None:
    desk.outbox.remove(await preview(desk))


async def split(desk: Desk) -> None:
    await desk.commit(desk.bubble(), "a" * 4096 + " bcd")


REFUSAL = Refuse(400, "Bad Request: whatever")
NOBODY = Refuse(403, "Forbidden: bot was blocked by the user")
TOO_LONG = Refuse(400, "Bad Request: message is too long")

SENDING = ["1 pending 'hello'", "1 sending behind 2 'hello'", "→ send"]
GROWING = ["1 sending behind 2 growing", "→ send"]
GROWN = [*GROWING, "1 sent growing at 3"]
NOWHERE = ["→ edit 3", "→ edit 4", "→ edit 5"]

COPIED = ["1 sending behind 2 'hello'", "→ send", "1 pending 'hello' at 3", "→ edit 3", "1 sent 'hello' at 3"]
"""A line that tells of the copy is sent, and edited into it."""

SCENES: list[tuple[str, Any, list[Fault], list[str]]] = [
    ("a message", send, [], [*SENDING, "1 sent 'hello' at 3"]),
    (
        "one that waits for a flood is not being sent meanwhile",
        send,
        [Fault(method="sendMessage", action=Flood(9))],
        [*SENDING, *SENDING, "1 sent 'hello' at 3"],
    ),
    ("one that nobody sees", send, [Fault(method="sendMessage", action=NOBODY)], [*SENDING, "1 dead 'hello'"]),
    (
        "one that may be there, and is",
        send,
        [lose(carried_out=True)],
        [*SENDING, "→ edit 3", "1 pending 'hello' at 3", "→ edit 3", "1 sent 'hello' at 3"],
    ),
    ("one that may be there, and is not", send, [lose(carried_out=False)], [*SENDING, *NOWHERE, *COPIED]),
    (
        "parts are all known before the first leaves",
        split,
        [],
        [
            *("1 pending 'aaaaaaaaaaaa'", "2 pending ' bcd'", "1 sending behind 2 'aaaaaaaaaaaa'", "→ send"),
            *("1 sent 'aaaaaaaaaaaa' at 3", "2 sending behind 3 ' bcd'", "→ send", "2 sent ' bcd' at 4"),
        ],
    ),
    (
        "and so are those that it turns out to need",
        send,
        [Fault(method="sendMessage", action=TOO_LONG)],
        [
            *(*SENDING, "1 pending 'he'", "2 pending 'll'", "3 pending 'o'"),
            *("1 sending behind 2 'he'", "→ send", "1 sent 'he' at 3"),
            *("2 sending behind 3 'll'", "→ send", "2 sent 'll' at 4"),
            *("3 sending behind 4 'o'", "→ send", "3 sent 'o' at 5"),
        ],
    ),
    ("an edit", edit, [], [*GROWN, "1 pending 'hello' at 3", "→ edit 3", "1 sent 'hello' at 3"]),
    (
        "an edit of unknown outcome is only repeated",
        edit,
        [Fault(method="editMessageText", action=Reset(carried_out=True))],
        [*GROWN, "1 pending 'hello' at 3", "→ edit 3", "→ edit 3", "1 sent 'hello' at 3"],
    ),
    (
        "one in the place of another, which is a letter of its own until it is gone",
        replace,
        [],
        [
            *(*GROWN, "1 pending anew 'hello' at 3", "1 sending behind 3 anew 'hello' at 3", "→ send"),
            *("1 sent anew 'hello' at 4", "2 sent growing at 3", "→ delete 3", "2 forgotten"),
        ],
    ),
    ("a message that grows", preview, [], GROWN),
    ("one that was refused", preview, [Fault(method="sendMessage", action=REFUSAL)], [*GROWING, "1 forgotten"]),
    (
        "one that may be there, and grows",
        preview,
        [lose(carried_out=True)],
        [*GROWING, "→ edit 3", "1 sent growing at 3"],
    ),
    (
        "one that may be there, and grows no more",
        preview,
        [lose(carried_out=False)],
        [*GROWING, *NOWHERE, "1 forgotten"],
    ),
    (
        "one that may be there and is committed: its text is new",
        edit,
        [lose(carried_out=True)],
        [
            *(*GROWING, "1 sending behind 2 growing 'hello'", "→ edit 3"),
            *("1 pending 'hello' at 3", "→ edit 3", "1 sent 'hello' at 3"),
        ],
    ),
    (
        "one that is not there and is committed",
        edit,
        [lose(carried_out=False)],
        [*GROWING, "1 sending behind 2 growing 'hello'", *NOWHERE, *COPIED],
    ),
    (
        "one that was refused and is committed",
        edit,
        [Fault(method="sendMessage", action=REFUSAL)],
        [*GROWING, "1 forgotten", *SENDING, "1 sent 'hello' at 3"],
    ),
    ("one that goes", remove, [], [*GROWN, "→ delete 3", "1 forgotten"]),
    (
        "one that goes, and nobody tells",
        remove,
        [Fault(method="deleteMessage", action=Reset(carried_out=True))],
        [*GROWN, "→ delete 3", "→ delete 3", "1 forgotten"],
    ),
]


@pytest.mark.parametrize(("act", "faults", "lines"), [pytest.param(*row[1:], id=row[0]) for row in SCENES])
async def test_what_is_written_and_when(
    autojump_clock: object, act: Any, faults: list[Fault], lines: list[str]
) -> None:
    async with open_desk(*faults) as desk:
        await act(desk)
        await desk.outbox.wait_idle()
        assert desk.log == lines


UNSURE: dict[Uncertain, list[str]] = {
    "ask": ["1 sending behind 0 'hello'", "→ send", "1 uncertain 'hello' at 3"],
    "skip": ["1 uncertain 'hello'"],
}


@pytest.mark.parametrize("uncertain", UNSURE)
async def test_what_nobody_can_look_for_is_written_down_as_that(autojump_clock: object, uncertain: Uncertain) -> None:
    """Where a line asks about it, the letter is where the line is."""
    async with open_desk(lose(carried_out=False), uncertain=uncertain, known=False) as desk:
        await send(desk)
        assert desk.log == ["1 pending 'hello'", "1 sending behind 0 'hello'", "→ send", *UNSURE[uncertain]]


async def test_letter_knows_all_that_its_message_is(autojump_clock: object) -> None:
    async with open_desk() as desk:
        bubble = desk.outbox.open_bubble(desk.place, silent=True, replies=False, turn=3)
        await desk.commit(bubble, "hello", keyboard=(("Press", "n1"),))
        [letter] = desk.diary.kept.values()
        assert (letter.place.key, letter.place.asked) == (desk.place.key, BEFORE)
        assert letter == Letter(
            1,
            letter.place,
            "sent",
            turn=3,
            content=FormattedText("hello"),
            keyboard=(("Press", "n1"),),
            silent=True,
            replies=False,
            message_id=3,
        )


# A disk that takes its time


async def test_call_leaves_when_what_it_makes_is_on_the_disk(autojump_clock: object) -> None:
    async with open_desk(diary=Diary(seconds=1.5)) as desk:
        await send(desk)
        assert [call.received for call in desk.server.telegram.journal] == [1.5]


async def test_edit_leaves_when_what_it_is_to_show_is_on_the_disk_and_its_repetition_at_once(
    autojump_clock: object,
) -> None:
    async with open_desk(Fault(method="editMessageText", action=Flood(9))) as desk:
        bubble = await preview(desk)
        desk.diary.seconds = 1.5
        began = trio.current_time()
        await desk.commit(bubble, "hello")
        first, again = desk.server.telegram.calls("editMessageText")
        assert first.received == pytest.approx(began + 1.5)
        assert again.received == pytest.approx((first.answered or 0.0) + 9.0)


@pytest.mark.parametrize("act", [send, preview])
@pytest.mark.parametrize(("diary", "seconds"), [(Diary(refuses=True), DISK), (Diary(seconds=1e6), PATIENCE)])
async def test_disk_that_refuses_or_hangs_delays_a_call_and_prevents_none(
    autojump_clock: object, act: Any, diary: Diary, seconds: float
) -> None:
    diary = Diary(seconds=diary.seconds, refuses=diary.refuses)
    async with open_desk(diary=diary) as desk:
        await act(desk)
        assert len(desk.texts()) == 1
        assert [call.received for call in desk.server.telegram.journal] == [seconds]


async def test_disk_that_hangs_holds_up_no_other_chat(autojump_clock: object) -> None:
    async with open_desk(diary=Diary(seconds=1e6)) as desk:
        desk.server.telegram.add_private_chat(2)
        for chat_id in (ADA, 2):
            place = Place(ConversationKey(chat_id), private=True)
            desk.outbox.commit(desk.outbox.open_bubble(place), FormattedText("hello"))
        await desk.outbox.wait_idle()
        assert [call.received for call in desk.server.telegram.journal] == [PATIENCE, PATIENCE]


@pytest.mark.parametrize(("act", "line"), [(send, "1 pending 'hello'"), (preview, "1 forgotten")])
async def test_call_that_has_not_left_when_the_outbox_closes_is_not_being_sent(
    autojump_clock: object, act: Any, line: str
) -> None:
    """A later run sends it without a search, and without a doubt."""
    diary = Diary(seconds=1e6)
    async with open_desk(diary=diary) as desk:
        with trio.move_on_after(1.0):
            await act(desk)
    assert desk.server.telegram.journal == []
    assert diary.lines[-1] == (1.0, line)


async def test_call_that_has_left_when_the_outbox_closes_is_being_sent(autojump_clock: object) -> None:
    async with open_desk(Fault(method="sendMessage", action=Delay(before=100.0))) as desk:
        with trio.move_on_after(1.0):
            await send(desk)
    assert told(desk.diary.kept[1]) == "sending behind 2 'hello'"


async def test_journal_that_keeps_nothing_delays_nothing(autojump_clock: object) -> None:
    journal = Forgetful()
    assert [journal.draw_number() for _ in range(3)] == [1, 2, 3]
    await journal.keep(Letter(1, Place(ConversationKey(ADA), private=True)))
    await journal.forget(1)
    assert (await journal.letters(), await journal.undelivered()) == ([], [])
    assert trio.current_time() == 0.0
