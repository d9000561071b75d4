"""What an outbox does with the letters of an earlier run: every text is there once, or says that it may be twice."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.testing
from outbox_scenes import ADA, ASKED, Post, Shelf, open_post

from triolet.core.budget import Cost, Priority
from triolet.core.calls import message_call
from triolet.core.delivery import NOT_CONFIRMED, SENT_AGAIN, Uncertain
from triolet.core.letters import Letter
from triolet.core.text import FormattedText
from triolet.emulator import Delay, Fault, Flood, Reset
from triolet.telegram.outbox import Outbox

HELLO = FormattedText("hello")
COPY = f"hello\n\n{SENT_AGAIN}"
ASKS = NOT_CONFIRMED.text
FIRST = ASKED + 1
"""The id of what the earlier run has sent first."""

SENDING: dict[str, Any] = {"state": "sending", "newest": ASKED}
GROWING: dict[str, Any] = {"growing": True, "turn": 3}

CASES: list[tuple[str, list[str], dict[str, Any], Uncertain, list[str], dict[int, str]]] = [
    # what is on screen, the letter, and what is on screen and in the journal afterwards
    ("pending", [], {}, "ask", ["hello"], {1: "sent"}),
    ("pending, with a message", ["hel"], {"message_id": FIRST}, "ask", ["hello"], {1: "sent"}),
    ("pending, as it is already", ["hello"], {"message_id": FIRST}, "ask", ["hello"], {1: "sent"}),
    ("pending, anew", ["hel"], {"message_id": FIRST, "anew": True}, "ask", ["hello"], {1: "sent"}),
    ("pending, its message gone", [], {"message_id": FIRST + 3}, "ask", ["hello"], {1: "sent"}),
    ("sending, and there", ["hello"], SENDING, "ask", ["hello"], {1: "sent"}),
    ("sending, and there behind others", ["-", "-", "hello"], SENDING, "skip", ["hello"], {1: "sent"}),
    ("sending, and nowhere", [], SENDING, "ask", [ASKS], {1: "uncertain"}),
    ("sending, and nowhere, sent again", [], SENDING, "resend", [COPY], {1: "sent"}),
    ("sending, and nowhere, left", [], SENDING, "skip", [], {1: "uncertain"}),
    ("sending, and too far to be found", ["-"] * 3 + ["hello"], SENDING, "ask", ["hello", ASKS], {1: "uncertain"}),
    ("sending, no id known", ["hello"], SENDING | {"newest": 0}, "ask", ["hello", ASKS], {1: "uncertain"}),
    ("sending, no id known, again", ["hello"], SENDING | {"newest": 0}, "resend", ["hello", COPY], {1: "sent"}),
    ("sending, no id known, left", ["hello"], SENDING | {"newest": 0}, "skip", ["hello"], {1: "uncertain"}),
    (
        "sending anew, and there",
        ["hel", "hello"],
        SENDING | {"newest": FIRST, "message_id": FIRST, "anew": True},
        "ask",
        ["hello"],
        {1: "sent"},
    ),
    (
        "sending anew, and nowhere",
        ["hel"],
        SENDING | {"newest": FIRST, "message_id": FIRST, "anew": True},
        "ask",
        [COPY],
        {1: "sent"},
    ),
    ("growing, and there", ["hel"], SENDING | GROWING, "skip", ["hello"], {1: "sent"}),
    ("growing, and nowhere", [], SENDING | GROWING, "skip", [COPY], {1: "sent"}),
    (
        "grown, and its answer over",
        ["hel"],
        GROWING | {"state": "sent", "message_id": FIRST, "content": None},
        "ask",
        [],
        {},
    ),
    ("growing, its answer over, and there", ["hel"], SENDING | GROWING | {"content": None}, "ask", [], {}),
    ("growing, its answer over, and nowhere", [], SENDING | GROWING | {"content": None}, "ask", [], {}),
    ("growing, its answer over, no id known", [], SENDING | GROWING | {"content": None, "newest": 0}, "ask", [], {}),
    ("uncertain", [ASKS], {"state": "uncertain", "message_id": FIRST}, "resend", [ASKS], {1: "uncertain"}),
    ("dead", [], {"state": "dead", "reason": "blocked"}, "resend", [], {1: "dead"}),
]


async def leave(post: Post, screen: list[str], **fields: Any) -> None:
    """What an earlier run has left: its messages and others' (a dash), and a letter."""
    for text in screen:
        if text == "-":
            post.server.say(ADA, "By the way")
        else:
            await post.api.call("sendMessage", {"chat_id": ADA, "text": text})
    letter = Letter(post.shelf.draw_number(), post.place(), content=HELLO)
    await post.shelf.keep(attrs.evolve(letter, **fields))


@pytest.mark.parametrize(
    ("screen", "fields", "uncertain", "shown", "states"), [pytest.param(*row[1:], id=row[0]) for row in CASES]
)
async def test_letter_goes_on_from_wherever_it_was(
    autojump_clock: object,
    screen: list[str],
    fields: dict[str, Any],
    uncertain: Uncertain,
    shown: list[str],
    states: dict[int, str],
) -> None:
    async with open_post() as post:
        await leave(post, screen, **fields)
        async with post.open_outbox(uncertain) as outbox:
            await post.recover(outbox)
            await outbox.wait_idle()
        assert (post.texts(), post.states) == (shown, states)
        assert post.buttons() == ["Send again"] * (ASKS in shown and screen != [ASKS])


async def test_what_was_left_goes_ahead_of_what_is_committed_now(autojump_clock: object) -> None:
    async with open_post() as post:
        for text in ("one", "two", "three"):
            await leave(post, [], content=FormattedText(text))
        async with post.open_outbox() as outbox:
            await post.recover(outbox)
            outbox.commit(outbox.open_bubble(post.place()), FormattedText("four"))
            await outbox.wait_idle()
        assert post.texts() == ["one", "two", "three", "four"]


async def test_letter_keeps_its_buttons_and_how_it_comes(autojump_clock: object) -> None:
    async with open_post() as post:
        await leave(post, [], keyboard=(("Press", "n1"),), silent=True)
        async with post.open_outbox() as outbox:
            await post.recover(outbox)
            await outbox.wait_idle()
        assert (post.texts(), post.buttons(), post.server.rings(ADA)) == (["hello"], ["Press"], [])


@pytest.mark.parametrize("is_later_run", [True, False])
async def test_message_is_sent_again_where_the_line_asks_about_it_and_once(
    autojump_clock: object, is_later_run: bool
) -> None:
    async with open_post() as post:
        await leave(post, [], **SENDING)
        async with post.open_outbox() as outbox:
            await post.recover(outbox)
            await outbox.wait_idle()
            if not is_later_run:
                await resend_twice(post, outbox)
        async with post.open_outbox() as outbox:
            await post.recover(outbox)
            await resend_twice(post, outbox)
        assert (post.texts(), post.states, post.buttons()) == ([COPY], {1: "sent"}, [])


async def resend_twice(post: Post, outbox: Outbox) -> None:
    for _ in range(2):
        outbox.resend(1)
        await outbox.wait_idle()


async def test_nobody_can_have_a_message_sent_again_that_is_known_to_be_there(autojump_clock: object) -> None:
    async with open_post() as post:
        await leave(post, [])
        async with post.open_outbox() as outbox:
            await post.recover(outbox)
            await outbox.wait_idle()
            await resend_twice(post, outbox)
        assert post.texts() == ["hello"]


@pytest.mark.parametrize("is_there", [True, False])
async def test_what_an_earlier_run_has_sent_tells_where_to_look_for_more(
    autojump_clock: object, is_there: bool
) -> None:
    """So what is sent now, and never confirmed, is found, or known to be nowhere, as if there had been no start."""
    async with open_post() as post:
        await leave(post, ["before"], state="sent", message_id=FIRST, content=None)
        post.server.telegram.add_fault(Fault(method="sendMessage", action=Reset(carried_out=is_there)))
        async with post.open_outbox() as outbox:
            await post.recover(outbox)
            outbox.commit(outbox.open_bubble(post.place()), HELLO)
            await outbox.wait_idle()
        assert post.texts() == ["before", "hello" if is_there else COPY]
        assert post.states[2] == "sent"


# A kill at any moment

ANSWER = ["The beginning, ", "The beginning, the middle"]
LONG = "a" * 4096 + " " + "b" * 10
TEXTS = ["The whole answer", "a" * 4096, "b" * 10, "A notice"]


async def work(post: Post, outbox: Outbox) -> None:
    """An answer that grows and is sent anew; one in two parts; a notice."""
    place = post.place()
    outbox.note_message(place)
    bubble = outbox.open_bubble(place, silent=True, turn=3)
    for text in ANSWER:
        await outbox.wait_slot(bubble, Cost.MESSAGE, Priority.FRAME)
        await outbox.show(message_call(bubble, FormattedText(text)))
    outbox.commit(bubble, FormattedText(TEXTS[0]), anew=True)
    outbox.commit(outbox.open_bubble(place, turn=4), FormattedText(LONG))
    outbox.commit(outbox.open_bubble(place), FormattedText(TEXTS[3]))
    await outbox.wait_idle()


FAULTS: dict[str, list[Fault]] = {
    "none": [],
    "a flood": [Fault(method="sendMessage", skip=1, action=Flood(5))],
    "a send that is there": [Fault(method="sendMessage", skip=1, action=Reset(carried_out=True))],
    "a send that is nowhere": [Fault(method="sendMessage", skip=2, action=Reset(carried_out=False))],
    "a preview that is there": [Fault(method="sendMessage", action=Reset(carried_out=True))],
    "a preview that is nowhere": [Fault(method="sendMessage", action=Reset(carried_out=False))],
    "a removal that nobody tells of": [Fault(method="deleteMessage", action=Reset(carried_out=True))],
    "a slow server": [Fault(method="sendMessage", times=None, action=Delay(after=3.0))],
}


async def run_until(post: Post, killed_at: float) -> None:
    post.shelf.killed_at = killed_at
    with trio.move_on_at(killed_at):
        async with post.open_outbox("resend") as outbox:
            await work(post, outbox)


async def boundaries(faults: list[Fault]) -> list[float]:
    """When anything happens: a call comes or is answered, or something is on the disk."""
    async with open_post() as post:
        for fault in faults:
            post.server.telegram.add_fault(fault)
        await run_until(post, 1000.0)
        journal = post.server.telegram.journal
        calls = [time for call in journal for time in (call.received, call.received + 0.05, call.answered or 0.0)]
        return sorted({round(time, 6) for time in (*calls, *(at for at, _, _ in post.shelf.entries))})


async def kill_and_go_on(faults: list[Fault], killed_at: float, uncertain: Uncertain) -> Post:
    """What is left when the run is killed then, and another one has gone on."""
    async with open_post() as post:
        for fault in faults:
            post.server.telegram.add_fault(fault)
        await run_until(post, killed_at)
        await trio.sleep(5.0)
        post.server.telegram.clear_faults()
        letters, message_ids = await post.shelf.letters(), await post.shelf.message_ids()
        promised = {letter.content for letter in post.shelf.kept.values() if letter.content is not None}
        later = attrs.evolve(post, shelf=Shelf())
        async with later.open_outbox(uncertain) as outbox:
            outbox.recover(letters, message_ids)
            await outbox.wait_idle()
        check(later, [content.text for content in promised if isinstance(content, FormattedText)], uncertain)
        return later


def check(post: Post, promised: list[str], uncertain: Uncertain) -> None:
    texts = post.texts()
    asking = texts.count(ASKS)
    for text in TEXTS:
        copies = [each for each in texts if each.removesuffix(f"\n\n{SENT_AGAIN}") == text]
        assert copies.count(text) <= 1, "one that is not marked, at most"
        assert len(copies) <= 2
        if any(each.removesuffix(f"\n\n{SENT_AGAIN}") == text for each in promised) and not copies:
            asking -= 1
            assert uncertain == "skip" or asking >= 0, "what is not there is asked about"
    assert not [text for text in texts if text in ANSWER], "a preview that nobody made to stay goes"


@pytest.mark.parametrize("uncertain", ["ask", "resend", "skip"])
@pytest.mark.parametrize("case", FAULTS)
def test_killed_at_any_moment_nothing_that_was_promised_is_lost_or_doubled_unmarked(
    case: str, uncertain: Uncertain
) -> None:
    faults = FAULTS[case]
    times = trio.run(boundaries, faults, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(times) > 20
    for time in times:
        for moment in (time - 0.001, time + 0.001):
            try:
                trio.run(kill_and_go_on, faults, moment, uncertain, clock=trio.testing.MockClock(autojump_threshold=0))
            except BaseException as error:
                error.add_note(f"killed at {moment}")
                raise
