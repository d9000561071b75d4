"""A lasting message's way to the screen, and an old one's way off it: tables of ways, and a screen to check them on."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.budget import ChatBudget, open_overall
from triolet.core.calls import (
    NEVER_LEFT,
    Bubble,
    Call,
    Delivered,
    Keyboard,
    Outcome,
    Place,
    Refused,
    Unknown,
    absorb,
    may_be_on_screen,
    message_call,
)
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import NOT_CONFIRMED, SENDING_AGAIN, SENT_AGAIN, UNCONFIRMED, Delivery, Uncertain
from triolet.core.errands import BELOW, MAX_REFUSED, MAX_UNKNOWN, SEARCH_AFTER, Errand, Removal, Search, State
from triolet.core.lane import Lane
from triolet.core.text import MESSAGE_LIMIT, Content, FormattedText, RichText, italic

HELLO = FormattedText("hello")
RICH = RichText("<p>hello</p>", "hello")
COPY = f"*hello\n\n{SENT_AGAIN}"
LINE = f"*{SENDING_AGAIN.text}"
"""What a lost message is sent as, until the sending of that is confirmed."""
ASKS = f"*{NOT_CONFIRMED.text}"
"""The line that asks whether a message is missing."""
PLACES = (21, 22, 23)
"""Where a message is sought that may have been sent."""


def place() -> Place:
    return Place(ConversationKey(-100, 5), private=False, asked=9)


def call_of(errand: Errand) -> Call:
    call = errand.next_call()
    assert call is not None, "it is over without a call"
    return call


def bubble(message_id: int | None = None, **fields: Any) -> Bubble:
    return Bubble(place(), draft_id=4, message_id=message_id, **fields)


def sight(content: Content) -> str:
    """A content as the tables have it: formatted text begins with a star, a rich one is HTML."""
    if isinstance(content, RichText):
        return content.html
    return f"*{content.text}" if content.entities else content.text


def sight_of(call: Call) -> str:
    if "rich_message" in call.params:
        return str(call.params["rich_message"]["html"])
    return ("*" if call.formatted else "") + str(call.params.get("text", ""))


def name_of(call: Call) -> str:
    """As the tables have it: "send", "edit 5", "delete 5"."""
    kind = "send" if call.sends else call.method.removesuffix("MessageText").removesuffix("Message")
    return kind if call.sends else f"{kind} {call.params['message_id']}"


@attrs.frozen
class Step:
    """A call, its outcome at a time, and what follows."""

    call: str
    now: float
    outcome: Outcome
    state: State
    not_before: float = 0.0
    shows: str = "hello"
    reason: str = ""
    following: tuple[str, ...] = ()


def walk(errand: Errand, steps: Iterable[Step], places: Sequence[int] = PLACES) -> list[Step]:
    """The steps as they went; a search goes before what it is for, as in a lane."""
    found = []
    waiting = [errand]
    for step in steps:
        current = waiting[-1]
        call = call_of(current)
        seen = absorb(call, step.outcome)
        if may_be_on_screen(call, seen):
            call.bubble.candidates, call.bubble.lost = [*places], call.bubble.lost or not places
            waiting += [Search(call, step.now)] if places else []
        following = current.settle(call, seen, step.now)
        if current.state is not State.WAITING:
            waiting.remove(current)
        found.append(
            attrs.evolve(
                step,
                call=name_of(call),
                shows=sight_of(call),
                state=current.state,
                not_before=current.not_before,
                reason=current.reason,
                following=tuple(f"{name_of(next_call := call_of(later))} {sight_of(next_call)}" for later in following),
            )
        )
    return found


GONE = Refused(400, "Bad Request: message to edit not found")
UNEDITABLE = Refused(400, "Bad Request: message can't be edited")
NOT_MODIFIED = Refused(400, "Bad Request: message is not modified: specified new message content is the same")
FLOOD = Refused(429, "Too Many Requests: retry after 9", 9.0)
FORBIDDEN = Refused(403, "Forbidden: bot was blocked by the user")
UNPARSED = Refused(400, "Bad Request: can't parse entities")
NO_CHAT = Refused(400, "Bad Request: chat not found")
ODD = Refused(413, "Request Entity Too Large")
TOO_LONG = Refused(400, "Bad Request: message is too long")
UNSENT = Refused(NEVER_LEFT, "no connection")
LOST = Unknown("no answer")
SENT = Delivered({"message_id": 21})
OK = Delivered()

WAITING, DELIVERED, UNCERTAIN, DEAD = State.WAITING, State.DELIVERED, State.UNCERTAIN, State.DEAD

Way: TypeAlias = tuple[str, int | None, list[Step]]


NOWHERE = "it is nowhere"


def lost(shows: str = "hello", now: float = 1.0, not_before: float = 0.0) -> list[Step]:
    """A send, and what makes it known to be lost."""
    later = now + 2.0
    return [
        Step("send", now, LOST, WAITING, not_before, shows),
        *(Step(f"edit {message_id}", later, GONE, WAITING, later, shows) for message_id in (21, 22)),
        Step("edit 23", later, GONE, DEAD, later, shows, NOWHERE),
    ]


BACK_OFFS = (1, 2, 4, 8, 16)
"""The waits before the repetitions of what is refused for no known reason."""

LONG_BACK_OFFS = (*BACK_OFFS, *[30] * (MAX_UNKNOWN - 1 - len(BACK_OFFS)))
"""The waits before the repetitions of what never becomes known."""

# A plain message that nothing hinders

WAYS: list[Way] = [
    ("sent", None, [Step("send", 1, SENT, DELIVERED)]),
    (
        "sent, with no word of its id",
        None,
        [Step("send", 1, OK, DELIVERED), Step("edit 21", 3, NOT_MODIFIED, DELIVERED, 3)],
    ),
    ("edited", 5, [Step("edit 5", 1, OK, DELIVERED)]),
    ("nothing to change", 5, [Step("edit 5", 1, NOT_MODIFIED, DELIVERED)]),
    ("nobody sees it", None, [Step("send", 1, FORBIDDEN, DEAD, reason=FORBIDDEN.description)]),
    ("nobody sees its edit", 5, [Step("edit 5", 1, FORBIDDEN, DEAD, reason=FORBIDDEN.description)]),
    ("refused for good", None, [Step("send", 1, NO_CHAT, DEAD, reason=NO_CHAT.description)]),
    (
        "a flood, and another",
        None,
        [
            Step("send", 1, FLOOD, WAITING, 10),
            Step("send", 10, FLOOD, WAITING, 19),
            Step("send", 19, SENT, DELIVERED, 19),
        ],
    ),
    (
        "a flood of no length",
        None,
        [Step("send", 1, Refused(429, "", 0.0), WAITING, 1), Step("send", 1, SENT, DELIVERED, 1)],
    ),
    ("gone, so sent anew", 5, [Step("edit 5", 1, GONE, WAITING), Step("send", 1, SENT, DELIVERED)]),
    ("gone is said of edits only", None, [Step("send", 1, GONE, WAITING, 2)]),
    (
        "gone after a flood",
        5,
        [
            Step("edit 5", 1, FLOOD, WAITING, 10),
            Step("edit 5", 10, GONE, WAITING, 10),
            Step("send", 11, SENT, DELIVERED, 10),
        ],
    ),
    (
        "never left, repeated ever later",
        None,
        [
            *(Step("send", 100, UNSENT, WAITING, 100 + wait) for wait in (1, 2, 4, 8, 16, 30, 30, 30)),
            Step("send", 200, SENT, DELIVERED, 130),
        ],
    ),
    (
        "an edit unknown, repeated ever later",
        5,
        [
            *(Step("edit 5", 100, LOST, WAITING, 100 + wait) for wait in (1, 2, 4, 8, 16, 30, 30)),
            Step("edit 5", 130, NOT_MODIFIED, DELIVERED, 130),
        ],
    ),
    (
        "all kinds of failure count together",
        5,
        [
            Step("edit 5", 0, LOST, WAITING, 1),
            Step("edit 5", 1, UNSENT, WAITING, 3),
            Step("edit 5", 3, ODD, WAITING, 7),
        ],
    ),
    (
        "a flood is no failure",
        None,
        [
            Step("send", 0, UNSENT, WAITING, 1),
            Step("send", 1, FLOOD, WAITING, 10),
            Step("send", 10, UNSENT, WAITING, 12),
        ],
    ),
]

# A send that may have worked

SOUGHT: list[Way] = [
    (
        "found",
        None,
        [
            Step("send", 1, LOST, WAITING),
            Step("edit 21", 3, OK, DELIVERED, 3),
            Step("edit 21", 3, NOT_MODIFIED, DELIVERED),
        ],
    ),
    (
        "found at the last place, where it is as it should be",
        None,
        [
            *lost()[:-1],
            Step("edit 23", 5, NOT_MODIFIED, DELIVERED, 3),
            Step("edit 23", 5, NOT_MODIFIED, DELIVERED),
        ],
    ),
    (
        "found nowhere, so a line is sent, and edited into a copy",
        None,
        [*lost(), Step("send", 4, SENT, WAITING, 0, LINE), Step("edit 21", 4, OK, DELIVERED, 0, COPY)],
    ),
    (
        "the line is found",
        None,
        [
            *lost(),
            Step("send", 4, LOST, WAITING, 5, LINE),
            Step("edit 21", 6, GONE, WAITING, 6, LINE),
            Step("edit 22", 6, NOT_MODIFIED, DELIVERED, 6, LINE),
            Step("edit 22", 6, NOT_MODIFIED, WAITING, 5, LINE),
            Step("edit 22", 6, LOST, WAITING, 8, COPY),
            Step("edit 22", 8, OK, DELIVERED, 8, COPY),
        ],
    ),
    (
        "the line is lost too, so another is sent, ever later",
        None,
        [
            *lost(),
            *lost(LINE, 4.0, 5.0),
            *lost(LINE, 7.0, 9.0),
            *lost(LINE, 10.0, 14.0),
            Step("send", 14, SENT, WAITING, 14, LINE),
            Step("edit 21", 14, OK, DELIVERED, 14, COPY),
        ],
    ),
    (
        "a line is sent with no word of its id",
        None,
        [
            *lost(),
            Step("send", 4, OK, WAITING, 0, LINE),
            Step("edit 21", 6, NOT_MODIFIED, DELIVERED, 6, LINE),
            Step("edit 21", 6, OK, DELIVERED, 0, COPY),
        ],
    ),
    (
        "a line that was not sent is sent again",
        None,
        [
            *lost(),
            Step("send", 4, FLOOD, WAITING, 13, LINE),
            Step("send", 13, UNSENT, WAITING, 14, LINE),
            Step("send", 14, ODD, WAITING, 16, LINE),
            Step("send", 16, SENT, WAITING, 16, LINE),
            Step("edit 21", 16, OK, DELIVERED, 16, COPY),
        ],
    ),
    (
        "nobody sees the line",
        None,
        [*lost(), Step("send", 4, FORBIDDEN, DEAD, 0, LINE, FORBIDDEN.description)],
    ),
    (
        "the line is gone, so the copy is sent itself",
        None,
        [
            *lost(),
            Step("send", 4, SENT, WAITING, 0, LINE),
            Step("edit 21", 4, GONE, WAITING, 0, COPY),
            Step("send", 4, SENT, DELIVERED, 0, COPY),
        ],
    ),
    (
        "gone, and the new one unknown",
        5,
        [
            Step("edit 5", 1, GONE, WAITING),
            Step("send", 2, LOST, WAITING),
            Step("edit 21", 4, OK, DELIVERED, 4),
            Step("edit 21", 4, NOT_MODIFIED, DELIVERED),
        ],
    ),
    (
        "it never left, then it may have",
        None,
        [
            Step("send", 1, UNSENT, WAITING, 2),
            Step("send", 2, LOST, WAITING, 2),
            Step("edit 21", 4, OK, DELIVERED, 4),
            Step("edit 21", 4, NOT_MODIFIED, DELIVERED, 2),
        ],
    ),
    (
        "an edit stays unknown",
        5,
        [
            *(Step("edit 5", 100, LOST, WAITING, 100 + wait) for wait in LONG_BACK_OFFS),
            Step("edit 5", 100, LOST, UNCERTAIN, 130, reason="no answer"),
        ],
    ),
]

# A plain message that is refused for no known reason

REFUSED: list[Way] = [
    (
        "repeated for half a minute",
        None,
        [
            *(Step("send", 10, UNPARSED, WAITING, 10 + wait) for wait in BACK_OFFS),
            Step("send", 14, UNPARSED, DEAD, 26, reason=UNPARSED.description),
        ],
    ),
    (
        "for a reason that is no form's",
        None,
        [*(Step("send", 10, ODD, WAITING, 10 + wait) for wait in (1, 2, 4)), Step("send", 14, SENT, DELIVERED, 14)],
    ),
    (
        "an edit, so another message takes its place",
        5,
        [
            *(Step("edit 5", 10, UNPARSED, WAITING, 10 + wait) for wait in BACK_OFFS),
            Step("edit 5", 14, UNPARSED, WAITING, 26),
            Step("send", 14, SENT, DELIVERED, 26, following=("delete 5 ",)),
        ],
    ),
    (
        "for good, so another one takes its place at once, but not a third",
        5,
        [Step("edit 5", 1, NO_CHAT, WAITING), Step("send", 1, NO_CHAT, DEAD, reason=NO_CHAT.description)],
    ),
    (
        "both ways",
        5,
        [
            *(Step("edit 5", 10, UNPARSED, WAITING, 10 + wait) for wait in BACK_OFFS),
            Step("edit 5", 14, UNPARSED, WAITING, 26),
            Step("send", 14, ODD, DEAD, 26, reason=ODD.description),
        ],
    ),
    (
        "the one that takes its place is lost, so the old one is edited after all",
        5,
        [
            Step("edit 5", 1, NO_CHAT, WAITING),
            *lost(),
            Step("edit 5", 3, OK, DELIVERED, shows=COPY),
        ],
    ),
]


@pytest.mark.parametrize(
    ("message_id", "steps"), [pytest.param(*row[1:], id=row[0]) for row in (*WAYS, *SOUGHT, *REFUSED)]
)
def test_a_lasting_message_s_way(message_id: int | None, steps: list[Step]) -> None:
    target = bubble(message_id)
    assert walk(Delivery(target, HELLO, target), steps) == steps


# A message of another form than its chat takes

FORMS: list[tuple[str, int | None, Content, list[Step]]] = [
    (
        "refused formatting is taken away",
        None,
        italic("hello"),
        [Step("send", 1, UNPARSED, WAITING, shows="*hello"), Step("send", 1, SENT, DELIVERED)],
    ),
    (
        "from an edit too, and then it is like any plain one",
        5,
        italic("hello"),
        [
            Step("edit 5", 1, UNPARSED, WAITING, shows="*hello"),
            *(Step("edit 5", 10, UNPARSED, WAITING, 10 + wait) for wait in (1, 2, 4)),
            Step("edit 5", 10, FORBIDDEN, DEAD, 14, reason=FORBIDDEN.description),
        ],
    ),
    (
        "a rich one becomes an ordinary one",
        None,
        RICH,
        [Step("send", 1, UNPARSED, WAITING, shows="<p>hello</p>"), Step("send", 1, SENT, DELIVERED)],
    ),
    (
        "also where the server knows of no rich ones",
        5,
        RICH,
        [
            Step("edit 5", 1, Refused(404, "Not Found: method not found"), WAITING, shows="<p>hello</p>"),
            Step("edit 5", 1, OK, DELIVERED),
        ],
    ),
    (
        "not for a reason that is no form's",
        None,
        italic("hello"),
        [Step("send", 1, ODD, WAITING, 2, shows="*hello"), Step("send", 2, SENT, DELIVERED, 2, "*hello")],
    ),
    (
        "not for another refusal",
        None,
        italic("hello"),
        [Step("send", 1, FORBIDDEN, DEAD, shows="*hello", reason=FORBIDDEN.description)],
    ),
    (
        "not if the message is gone",
        5,
        italic("hello"),
        [Step("edit 5", 1, GONE, WAITING, shows="*hello"), Step("send", 1, SENT, DELIVERED, shows="*hello")],
    ),
    (
        "not after a wait",
        None,
        italic("hello"),
        [
            Step("send", 1, FLOOD, WAITING, 10, "*hello"),
            Step("send", 10, UNSENT, WAITING, 11, "*hello"),
            Step("send", 11, SENT, DELIVERED, 11, "*hello"),
        ],
    ),
    (
        "a rich one's copy is rich",
        None,
        RICH,
        [
            *lost("<p>hello</p>"),
            Step("send", 4, SENT, WAITING, 0, LINE),
            Step("edit 21", 4, OK, DELIVERED, 0, f"<p>hello</p><p><i>{SENT_AGAIN}</i></p>"),
        ],
    ),
    (
        "a refused line makes nothing plainer, nor shorter",
        None,
        italic("hello"),
        [
            *lost("*hello"),
            Step("send", 4, UNPARSED, WAITING, 5, LINE),
            Step("send", 5, TOO_LONG, WAITING, 7, LINE),
            Step("send", 7, SENT, WAITING, 7, LINE),
            Step("edit 21", 7, UNPARSED, WAITING, 7, COPY),
            Step("edit 21", 7, OK, DELIVERED, 7, COPY.removeprefix("*")),
        ],
    ),
    (
        "what is too long is cut in two",
        5,
        FormattedText("one two three"),
        [
            Step("edit 5", 1, TOO_LONG, WAITING, shows="one two three", following=("send two ", "send three")),
            Step("edit 5", 1, OK, DELIVERED, shows="one "),
        ],
    ),
    (
        "and in two again",
        None,
        FormattedText("abcdefghijklmnop"),
        [
            Step(
                "send",
                1,
                Refused(400, "MESSAGE_TOO_LONG"),
                WAITING,
                shows="abcdefghijklmnop",
                following=("send ijklmnop",),
            ),
            Step("send", 1, Refused(400, "text is too long"), WAITING, shows="abcdefgh", following=("send efgh",)),
            Step("send", 1, Refused(400, "ENTITIES_TOO_LONG"), WAITING, shows="abcd", following=("send cd",)),
            Step("send", 1, Refused(400, "TEXT_TOO_LONG"), WAITING, shows="ab", following=("send b",)),
            *(Step("send", 1, TOO_LONG, WAITING, 1 + wait, "a") for wait in BACK_OFFS),
            Step("send", 5, TOO_LONG, DEAD, 17, "a", TOO_LONG.description),
        ],
    ),
    (
        "formatting goes before length",
        None,
        italic("abcd"),
        [
            Step("send", 1, TOO_LONG, WAITING, shows="*abcd"),
            Step("send", 1, TOO_LONG, WAITING, shows="abcd", following=("send cd",)),
            Step("send", 1, SENT, DELIVERED, shows="ab"),
        ],
    ),
]


@pytest.mark.parametrize(("message_id", "content", "steps"), [pytest.param(*row[1:], id=row[0]) for row in FORMS])
def test_a_message_s_form_is_mended(message_id: int | None, content: Content, steps: list[Step]) -> None:
    target = bubble(message_id)
    assert walk(Delivery(target, content, target), steps) == steps


def test_a_form_becomes_plainer_until_it_is_plain() -> None:
    """Rich, with entities, plain: at most two steps, and none of them counts as a repetition."""
    target = bubble()
    delivery = Delivery(target, RichText("<p><b>hello</b> all</p>", "**hello** all"), target)
    seen = []
    while delivery.not_before == 0.0:
        call = call_of(delivery)
        seen.append(sight_of(call))
        assert delivery.settle(call, absorb(call, UNPARSED), 1.0) == []
    assert seen[0] == "<p><b>hello</b> all</p>"
    assert not call_of(delivery).formatted
    assert len(seen) in (2, 3)
    assert all(form.startswith("*hello") for form in seen[1:-1])


def test_a_cut_message_goes_on_beside_it() -> None:
    """The rest is silent, belongs to the same owner, has bubbles of its own and answers the question no more."""
    owner = Bubble(place(), 7, unsettled=1)
    part = Bubble(owner.place, 4)
    delivery = Delivery(part, FormattedText("aabbcc"), owner)
    following = delivery.settle(call_of(delivery), TOO_LONG, 1.0)
    assert [call_of(later).params["text"] for later in following] == ["bcc"]
    assert owner.unsettled == 1 + len(following)
    for later in following:
        assert isinstance(later, Delivery)
        assert later.owner is owner
        assert later.bubble not in (owner, part)
        assert (later.bubble.place, later.bubble.silent, later.bubble.replies) == (owner.place, True, False)
        assert later.bubble.target is None


# A copy that has no room to say that it is one

ROOM = MESSAGE_LIMIT - len(f"\n\n{SENT_AGAIN}")
MARK = f"send *{SENT_AGAIN}"


FULL: list[tuple[str, int, list[Step]]] = [
    ("room enough", ROOM, [Step("edit 21", 4, OK, DELIVERED, 0, f"*{'a' * ROOM}\n\n{SENT_AGAIN}")]),
    ("a character short", ROOM + 1, [Step("edit 21", 4, OK, DELIVERED, 0, "a" * (ROOM + 1), following=(MARK,))]),
    (
        "said once, though the copy goes twice",
        MESSAGE_LIMIT,
        [
            Step("edit 21", 4, GONE, WAITING, 0, "a" * MESSAGE_LIMIT),
            Step("send", 4, SENT, DELIVERED, 0, "a" * MESSAGE_LIMIT, following=(MARK,)),
        ],
    ),
    (
        "said only if there is a copy",
        MESSAGE_LIMIT,
        [
            Step("edit 21", 4, UNSENT, WAITING, 5, "a" * MESSAGE_LIMIT),
            Step("edit 21", 5, FORBIDDEN, DEAD, 5, "a" * MESSAGE_LIMIT, FORBIDDEN.description),
        ],
    ),
]


@pytest.mark.parametrize(("length", "steps"), [pytest.param(*row[1:], id=row[0]) for row in FULL])
def test_a_full_copy_is_followed_by_a_mark(length: int, steps: list[Step]) -> None:
    text = "a" * length
    target = bubble(silent=True, unsettled=1)
    steps = [*lost(text), Step("send", 4, SENT, WAITING, 0, LINE), *steps]
    assert walk(Delivery(target, FormattedText(text), target), steps) == steps
    assert target.unsettled == 1 + (steps[-1].following == (MARK,))


# A message that replaces another

REPLACING: list[tuple[str, list[Step]]] = [
    ("the old one goes when the new one is there", [Step("send", 1, SENT, DELIVERED, following=("delete 7 ",))]),
    (
        "also when it had to be sought",
        [
            Step("send", 1, LOST, WAITING),
            Step("edit 21", 3, GONE, WAITING, 3),
            Step("edit 22", 3, OK, DELIVERED, 3),
            Step("edit 22", 3, NOT_MODIFIED, DELIVERED, following=("delete 7 ",)),
        ],
    ),
    (
        "not before, and not after a wait",
        [
            Step("send", 1, FLOOD, WAITING, 10),
            Step("send", 10, UNSENT, WAITING, 11),
            Step("send", 11, SENT, DELIVERED, 11, following=("delete 7 ",)),
        ],
    ),
    ("it stays for nobody to see", [Step("send", 1, FORBIDDEN, DEAD, reason=FORBIDDEN.description)]),
    (
        "the old one becomes the new one that cannot be sent",
        [
            *(Step("send", 10, ODD, WAITING, 10 + wait) for wait in BACK_OFFS),
            Step("send", 14, ODD, WAITING, 26),
            Step("edit 7", 14, OK, DELIVERED, 26),
        ],
    ),
    (
        "at once when that is certain",
        [Step("send", 1, NO_CHAT, WAITING), Step("edit 7", 1, NOT_MODIFIED, DELIVERED)],
    ),
    (
        "no third way",
        [Step("send", 1, NO_CHAT, WAITING), Step("edit 7", 1, NO_CHAT, DEAD, reason=NO_CHAT.description)],
    ),
    (
        "no third way to a message that is gone",
        [
            Step("send", 1, NO_CHAT, WAITING),
            Step("edit 7", 1, GONE, WAITING),
            Step("send", 1, NO_CHAT, DEAD, reason=NO_CHAT.description),
        ],
    ),
    (
        "the old one becomes the new one that is lost",
        [*lost(), Step("edit 7", 3, LOST, WAITING, 4, COPY), Step("edit 7", 4, OK, DELIVERED, 4, COPY)],
    ),
    (
        "in a plainer form, if need be",
        [
            *lost(),
            Step("edit 7", 3, UNPARSED, WAITING, 0, COPY),
            Step("edit 7", 3, OK, DELIVERED, 0, COPY.removeprefix("*")),
        ],
    ),
    (
        "unless nobody can see it",
        [*lost(), Step("edit 7", 3, FORBIDDEN, DEAD, 0, COPY, FORBIDDEN.description)],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in REPLACING])
def test_a_message_that_replaces_another(steps: list[Step]) -> None:
    preview = bubble(7)
    assert walk(Delivery(preview, HELLO, preview, anew=True), steps) == steps


NOTHING_TO_REPLACE: list[tuple[str, dict[str, Any], list[Step]]] = [
    ("it is not on screen", {}, [Step("send", 1, SENT, DELIVERED)]),
    ("its id is of another chat", {"message_id": 7, "home": -99}, [Step("send", 1, SENT, DELIVERED)]),
    (
        "it may be on screen, nobody knows where",
        {"lost": True},
        [Step("send", 1, SENT, WAITING, shows=LINE), Step("edit 21", 1, OK, DELIVERED, shows=COPY)],
    ),
]


@pytest.mark.parametrize(("fields", "steps"), [pytest.param(*row[1:], id=row[0]) for row in NOTHING_TO_REPLACE])
def test_a_message_with_nothing_to_replace(fields: dict[str, Any], steps: list[Step]) -> None:
    target = bubble(silent=True, **fields)
    assert walk(Delivery(target, HELLO, target, anew=True), steps) == steps
    assert not target.silent


@pytest.mark.parametrize("message_id", [None, 7])
@pytest.mark.parametrize("anew", [True, False])
def test_a_message_rings_if_it_is_to_be_sent_anew(message_id: int | None, anew: bool) -> None:
    """And another send of it, after a refusal, rings as well."""
    target = bubble(message_id, silent=True)
    delivery = Delivery(target, HELLO, target, anew=anew)
    for _ in range(2):
        call = call_of(delivery)
        assert ("disable_notification" in call.params) == (call.sends and not anew)
        delivery.settle(call, absorb(call, ODD), 1.0)


def test_what_is_on_screen_is_looked_at_when_the_call_is_made() -> None:
    """A frame may be in flight when its message is committed."""
    target = bubble()
    delivery = Delivery(target, HELLO, target, anew=True)
    target.message_id = 7
    steps = [Step("send", 1, SENT, DELIVERED, following=("delete 7 ",))]
    assert walk(delivery, steps) == steps


def test_what_is_taken_away_belongs_to_the_message_that_replaced_it() -> None:
    owner, preview = bubble(), bubble(7)
    delivery = Delivery(preview, HELLO, owner, anew=True)
    call = call_of(delivery)
    [removal] = delivery.settle(call, absorb(call, SENT), 1.0)
    assert isinstance(removal, Removal)
    assert (removal.bubble.message_id, removal.owner) == (7, owner)
    assert preview.message_id == 21, "what is done to the bubble from now on, is done to the new one"


def test_what_takes_a_message_s_place_is_another_bubble() -> None:
    """Its owner still waits for the one that was committed, and the old one keeps its id until it is gone."""
    target = bubble(5)
    delivery = Delivery(target, HELLO, target)
    assert delivery.settle(call_of(delivery), NO_CHAT, 1.0) == []
    assert delivery.owner is target
    assert delivery.bubble is not target
    assert delivery.bubble.place is target.place
    assert (target.message_id, delivery.bubble.message_id) == (5, None)


# A place that is another by now

TOPIC_GONE = Refused(400, "Bad Request: message thread not found")
UPGRADED = Refused(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to=-200)
UNASKED = Refused(400, "Bad Request: message to be replied not found")


@pytest.mark.parametrize("content", [HELLO, italic("hello"), RICH])
def test_a_place_is_mended_and_the_message_sent_as_it_was(content: Content) -> None:
    target = bubble()
    delivery = Delivery(target, content, target)
    refusals = [UPGRADED, UNASKED, TOPIC_GONE]
    steps = [Step("send", 1, refusal, WAITING, shows=sight(content)) for refusal in refusals]
    assert walk(delivery, steps) == steps
    mended = Place(ConversationKey(-200), private=False)
    assert call_of(delivery).params == message_call(Bubble(mended, 4), content).params


# What is done where nobody can tell

AGAIN = (("Again", "n1"),)
"""The button under the line that asks."""

NEW_LINE = [Step("send", 4, SENT, WAITING, 0, LINE), Step("edit 21", 4, OK, DELIVERED, 0, COPY)]
ASKED = [Step("send", 4, SENT, UNCERTAIN, 0, ASKS, UNCONFIRMED)]

UNSURE: list[tuple[str, Uncertain, Sequence[int], list[Step]]] = [
    ("nobody can look, so it is sent again", "resend", (), [Step("send", 1, LOST, WAITING), *NEW_LINE]),
    ("nobody can look, so somebody is asked", "ask", (), [Step("send", 1, LOST, WAITING), *ASKED]),
    ("all places were looked at, so it is sent again", "ask", PLACES, [*lost(), *NEW_LINE]),
    ("also where nobody is asked", "skip", PLACES, [*lost(), *NEW_LINE]),
    (
        "the places cannot be looked at",
        "ask",
        PLACES,
        [Step("send", 1, LOST, WAITING), Step("edit 21", 3, NO_CHAT, DEAD, 3, reason=NO_CHAT.description), *ASKED],
    ),
    (
        "the line is refused for now",
        "ask",
        (),
        [
            Step("send", 1, LOST, WAITING),
            Step("send", 4, UNPARSED, WAITING, 5, ASKS),
            Step("send", 5, TOO_LONG, WAITING, 7, ASKS),
            Step("send", 7, SENT, UNCERTAIN, 7, ASKS, UNCONFIRMED),
        ],
    ),
    (
        "the line is refused for good",
        "ask",
        (),
        [Step("send", 1, LOST, WAITING), Step("send", 4, FORBIDDEN, DEAD, 0, ASKS, FORBIDDEN.description)],
    ),
    (
        "the line may be there, so it is sent again, but not for ever",
        "ask",
        (),
        [
            Step("send", 1, LOST, WAITING),
            *(Step("send", 100, LOST, WAITING, 100 + wait, ASKS) for wait in LONG_BACK_OFFS),
            Step("send", 100, LOST, UNCERTAIN, 130, ASKS, "no answer"),
        ],
    ),
]


@pytest.mark.parametrize(("uncertain", "places", "steps"), [pytest.param(*row[1:], id=row[0]) for row in UNSURE])
def test_what_nobody_can_tell_is_as_configured(uncertain: Uncertain, places: Sequence[int], steps: list[Step]) -> None:
    target = bubble()
    delivery = Delivery(target, HELLO, target, uncertain=uncertain)
    assert walk(delivery, steps, places) == steps
    assert delivery.is_told == any(step.shows == ASKS for step in steps)


def test_what_nobody_can_tell_may_be_left_at_that() -> None:
    target = bubble()
    delivery = Delivery(target, HELLO, target, uncertain="skip")
    walk(delivery, [Step("send", 1, LOST, WAITING)], places=())
    assert delivery.next_call() is None
    assert (delivery.state, delivery.reason, delivery.is_told) == (UNCERTAIN, UNCONFIRMED, False)


RECOVERED: dict[Uncertain, list[Step]] = {"resend": NEW_LINE, "ask": ASKED, "skip": []}


@pytest.mark.parametrize("sought", [True, False])
@pytest.mark.parametrize("uncertain", RECOVERED)
def test_what_an_earlier_run_has_sent_is_as_configured_though_all_places_were_looked_at(
    uncertain: Uncertain, sought: bool
) -> None:
    """Others have written in the meantime: it may be anywhere."""
    target = bubble(lost=True, sought=sought)
    delivery = Delivery(target, HELLO, target, uncertain=uncertain)
    delivery.was_sent = delivery.is_recovered = True
    assert walk(delivery, RECOVERED[uncertain]) == RECOVERED[uncertain]
    assert delivery.next_call() is None
    assert delivery.state is (DELIVERED if uncertain == "resend" else UNCERTAIN)


@pytest.mark.parametrize("uncertain", RECOVERED)
def test_what_is_to_be_shown_has_been_sent_by_nobody_if_only_its_preview_was(uncertain: Uncertain) -> None:
    """So it is never left away: what may be there is an older text."""
    target = bubble(lost=True)
    delivery = Delivery(target, HELLO, target, uncertain=uncertain)
    delivery.is_recovered = True
    assert walk(delivery, NEW_LINE) == NEW_LINE


@pytest.mark.parametrize("uncertain", RECOVERED)
def test_what_was_to_replace_another_becomes_that_one_and_asks_nobody(uncertain: Uncertain) -> None:
    preview = bubble(7)
    steps = [*lost(), Step("edit 7", 3, OK, DELIVERED, 0, COPY)]
    assert walk(Delivery(preview, HELLO, preview, anew=True, uncertain=uncertain), steps) == steps


def test_who_is_asked_has_a_button_of_that_message() -> None:
    target = bubble()
    offered: list[Bubble] = []

    def offer(about: Bubble) -> Keyboard:
        offered.append(about)
        return AGAIN

    delivery = Delivery(target, HELLO, target, uncertain="ask", offer=offer)
    walk(delivery, [Step("send", 1, LOST, WAITING)], places=())
    assert call_of(delivery).params == message_call(target, NOT_CONFIRMED, keyboard=AGAIN).params
    assert offered == [target]


@pytest.mark.parametrize(("text", "following"), [("hello", ()), ("a" * MESSAGE_LIMIT, (MARK,))])
def test_what_is_a_copy_from_its_beginning_says_so(text: str, following: tuple[str, ...]) -> None:
    """Once, also if it has to be sent again."""
    target = bubble(unsettled=1)
    copy = Delivery(target, FormattedText(text), target, is_copy=True)
    shows = text if following else f"*{text}\n\n{SENT_AGAIN}"
    steps = [
        *lost(shows),
        Step("send", 4, SENT, WAITING, 0, LINE),
        Step("edit 21", 4, OK, DELIVERED, 0, shows, following=following),
    ]
    assert walk(copy, steps) == steps


def test_what_goes_beside_a_message_is_as_sure_of_itself() -> None:
    target = bubble()
    delivery = Delivery(target, FormattedText("abcd"), target, uncertain="skip")
    [rest] = delivery.settle(call_of(delivery), TOO_LONG, 1.0)
    assert isinstance(rest, Delivery)
    walk(rest, [Step("send", 1, LOST, WAITING, shows="cd")], places=())
    assert rest.next_call() is None
    assert rest.state is UNCERTAIN


# Deliveries and removals themselves


def test_no_line_is_sent_for_ever() -> None:
    """Nor is anything sought where no id is known."""
    target = bubble()
    steps = [
        Step("send", 1, LOST, WAITING),
        *(Step("send", 100, LOST, WAITING, 100 + wait, LINE) for wait in LONG_BACK_OFFS),
        Step("send", 100, LOST, UNCERTAIN, 130, LINE, "no answer"),
    ]
    assert walk(Delivery(target, HELLO, target), steps, places=()) == steps


def test_a_new_delivery_waits() -> None:
    owner, part = bubble(), bubble()
    delivery = Delivery(part, HELLO, owner)
    assert (delivery.state, delivery.not_before, delivery.reason) == (State.WAITING, 0.0, "")
    assert (delivery.bubble, delivery.owner) == (part, owner)
    assert call_of(delivery) == call_of(delivery) == message_call(part, HELLO)


def test_an_outage_of_days_ends_in_a_delivery() -> None:
    """Doubling a float a thousand times overflows."""
    target = bubble()
    delivery = Delivery(target, HELLO, target)
    now = 0.0
    while now < 3 * 24 * 3600.0:
        call = call_of(delivery)
        delivery.settle(call, absorb(call, UNSENT), now)
        assert now < delivery.not_before <= now + 30.0
        now = delivery.not_before
    call = call_of(delivery)
    delivery.settle(call, absorb(call, SENT), now)
    assert delivery.state is State.DELIVERED


def test_states_are_logged_by_their_names() -> None:
    assert all(state.value == state.name.lower() for state in State)


def test_how_often_and_how_soon() -> None:
    assert (SEARCH_AFTER, MAX_REFUSED, MAX_UNKNOWN) == (2.0, 5, 20)
    assert sum(BACK_OFFS) >= 30, "half a minute"
    assert sum(LONG_BACK_OFFS) >= 7 * 60, "seven minutes"


# A message that is looked for

SEARCHES: list[tuple[str, int | None, list[Step]]] = [
    ("where it is first looked for", 21, [Step("edit 21", 3, OK, DELIVERED, 3)]),
    ("as it should be", 21, [Step("edit 21", 3, NOT_MODIFIED, DELIVERED, 3)]),
    (
        "behind what is not there, or not ours",
        23,
        [
            Step("edit 21", 3, GONE, WAITING, 3),
            Step("edit 22", 3, UNEDITABLE, WAITING, 3),
            Step("edit 23", 3, OK, DELIVERED, 3),
        ],
    ),
    ("nowhere", None, lost()[1:]),
    (
        "when its place can be looked at",
        22,
        [
            Step("edit 21", 3, LOST, WAITING, 4),
            Step("edit 21", 4, UNSENT, WAITING, 6),
            Step("edit 21", 6, FLOOD, WAITING, 15),
            Step("edit 21", 15, ODD, WAITING, 19),
            Step("edit 21", 19, GONE, WAITING, 19),
            Step("edit 22", 19, LOST, WAITING, 27),
            Step("edit 22", 27, OK, DELIVERED, 27),
        ],
    ),
    (
        "until it has been unknown for too long",
        None,
        [
            Step("edit 21", 3, GONE, WAITING, 3),
            *(Step("edit 22", 100, LOST, WAITING, 100 + wait) for wait in LONG_BACK_OFFS),
            Step("edit 22", 200, Unknown("still no answer"), UNCERTAIN, 130, reason="still no answer"),
        ],
    ),
    (
        "until it has been refused too often",
        None,
        [
            Step("edit 21", 3, GONE, WAITING, 3),
            *(Step("edit 22", 10, UNPARSED, WAITING, 10 + wait) for wait in BACK_OFFS),
            Step("edit 22", 14, UNPARSED, DEAD, 26, reason=UNPARSED.description),
        ],
    ),
    ("not where nobody sees it", None, [Step("edit 21", 3, FORBIDDEN, DEAD, 3, reason=FORBIDDEN.description)]),
    ("not where nobody may", None, [Step("edit 21", 3, NO_CHAT, DEAD, 3, reason=NO_CHAT.description)]),
]


def seek(target: Bubble) -> Search:
    """Look for what was sent at 1 s."""
    call = message_call(target, HELLO)
    target.candidates = [*PLACES]
    return Search(call, 1.0)


@pytest.mark.parametrize(("found", "steps"), [pytest.param(*row[1:], id=row[0]) for row in SEARCHES])
def test_a_lost_message_is_looked_for(found: int | None, steps: list[Step]) -> None:
    """At its end it is known where it is, or that it is lost: no id of it is a guess any more."""
    target = bubble()
    assert walk(seek(target), steps) == steps
    assert (target.shown_id, target.candidates, target.lost) == (found, [], found is None)


def test_a_new_search_waits_for_a_late_message() -> None:
    target = bubble()
    search = seek(target)
    assert (search.state, search.not_before, search.reason) == (State.WAITING, 3.0, "")
    assert (search.bubble, search.owner) == (target, target)


def test_a_search_finds_nothing_that_was_lost_before() -> None:
    target = bubble(lost=True)
    walk(seek(target), [Step("edit 21", 3, OK, DELIVERED, 3)])
    assert (target.shown_id, target.lost) == (21, True)


# A message that goes

NOT_THERE = Refused(400, "Bad Request: message to delete not found")
UNDELETABLE = Refused(400, "Bad Request: message can't be deleted")
NO_RIGHTS = Refused(400, "Bad Request: not enough rights to delete messages in the chat")

BELOW_IT = f"*{BELOW.text}"

REMOVALS: list[tuple[str, list[Step]]] = [
    ("gone", [Step("delete 7", 1, OK, DELIVERED, shows="")]),
    ("gone already", [Step("delete 7", 1, NOT_THERE, DELIVERED, shows="")]),
    (
        "refused for a while",
        [
            Step("delete 7", 1, ODD, WAITING, 2, shows=""),
            Step("delete 7", 2, UNDELETABLE, WAITING, 4, shows=""),
            Step("delete 7", 4, OK, DELIVERED, 4, shows=""),
        ],
    ),
    (
        "refused, so it says where the answer is",
        [
            *(Step("delete 7", 10, UNDELETABLE, WAITING, 10 + wait, shows="") for wait in BACK_OFFS),
            Step("delete 7", 14, UNDELETABLE, WAITING, 26, shows=""),
            Step("edit 7", 26, LOST, WAITING, 56, shows=BELOW_IT),
            Step("edit 7", 56, NOT_MODIFIED, DELIVERED, 56, shows=BELOW_IT),
        ],
    ),
    (
        "gone before it can say so",
        [
            Step("delete 7", 1, NO_RIGHTS, WAITING, shows=""),
            Step("edit 7", 1, GONE, DELIVERED, shows=BELOW_IT),
        ],
    ),
    (
        "refused, and nobody can see it",
        [
            Step("delete 7", 1, FORBIDDEN, WAITING, shows=""),
            Step("edit 7", 1, FORBIDDEN, DEAD, shows=BELOW_IT, reason=FORBIDDEN.description),
        ],
    ),
    (
        "refused for good, and then for a while",
        [
            Step("delete 7", 1, NO_RIGHTS, WAITING, shows=""),
            *(Step("edit 7", 10, UNPARSED, WAITING, 10 + wait, BELOW_IT) for wait in BACK_OFFS),
            Step("edit 7", 14, ODD, DEAD, 26, BELOW_IT, ODD.description),
        ],
    ),
    (
        "after a flood",
        [Step("delete 7", 1, FLOOD, WAITING, 10, shows=""), Step("delete 7", 10, OK, DELIVERED, 10, shows="")],
    ),
    (
        "unknown, so repeated",
        [
            Step("delete 7", 1, LOST, WAITING, 2, shows=""),
            Step("delete 7", 2, UNSENT, WAITING, 4, shows=""),
            Step("delete 7", 4, NOT_THERE, DELIVERED, 4, shows=""),
        ],
    ),
    (
        "unknown for ever",
        [
            *(Step("delete 7", 100, LOST, WAITING, 100 + wait, shows="") for wait in LONG_BACK_OFFS),
            Step("delete 7", 100, LOST, UNCERTAIN, 130, shows="", reason="no answer"),
        ],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in REMOVALS])
def test_a_message_s_way_off_the_screen(steps: list[Step]) -> None:
    target = bubble(7)
    assert walk(Removal(target, target), steps) == steps


# Any luck

Luck: TypeAlias = Literal["told", "untold", "in vain", "flood", "unsent", "refused"]
"""The call is made and answered; made, and nobody tells; not made, and nobody tells; or refused."""

REFUSALS: dict[Luck, Outcome] = {"in vain": LOST, "flood": FLOOD, "unsent": UNSENT, "refused": ODD}

Crowd: TypeAlias = tuple[list[bool], list[bool]]
"""Messages of strangers that come before and behind one of ours, and of each whether the bot is told of it."""

PREVIEW = 20
"""The id of a message that was ours before; in some chats the bot knows it, and so where to look for others."""


@attrs.define
class Screen:
    """A chat as its server keeps it: our messages and those of strangers. ``fixed`` says why the preview stays."""

    lane: Lane
    crowds: list[Crowd]
    fixed: Refused | None = None
    texts: dict[int, str] = attrs.Factory(lambda: {PREVIEW: "preview"})
    strangers: set[int] = attrs.Factory(set)
    newest: int = PREVIEW

    def write(self, text: str) -> int:
        self.newest += 1
        self.texts[self.newest] = text
        return self.newest

    def make(self, call: Call, luck: Luck) -> Outcome:
        if luck in REFUSALS:
            return REFUSALS[luck]
        outcome = self._send(call) if call.sends else self._change(call)
        return outcome if luck == "told" else LOST

    def _send(self, call: Call) -> Outcome:
        before, behind = self.crowds.pop() if self.crowds else ([], [])
        self._crowd(before)
        message_id = self.write(call.params["text"])
        self._crowd(behind)
        return Delivered({"message_id": message_id})

    def _crowd(self, told: list[bool]) -> None:
        for is_told in told:
            self.strangers.add(self.write("stranger"))
            if is_told:
                self.lane.note_message(self.newest)

    def _change(self, call: Call) -> Outcome:
        message_id = call.params["message_id"]
        assert call.method == "editMessageText" or message_id not in self.strangers, "would be deleted for an admin"
        if message_id not in self.texts:
            return GONE if call.method == "editMessageText" else NOT_THERE
        if message_id in self.strangers:
            return UNEDITABLE
        if call.method == "deleteMessage":
            del self.texts[message_id]
        elif message_id == PREVIEW and self.fixed is not None:
            return self.fixed
        elif self.texts[message_id] == call.params["text"]:
            return NOT_MODIFIED
        else:
            self.texts[message_id] = call.params["text"]
        return OK

    def ours(self) -> list[str]:
        return [text for message_id, text in sorted(self.texts.items()) if message_id not in self.strangers]


def open_screen(crowds: list[Crowd] | None = None, *, fixed: Refused | None = None) -> Screen:
    return Screen(Lane(ChatBudget.open(private=False, overall=open_overall())), crowds or [], fixed)


def deliver_all(screen: Screen, lucks: list[Luck]) -> list[str]:
    """Make the calls of all errands of the screen's lane, in good luck as soon as there is no other; their names."""
    lane, now = screen.lane, 0.0
    names: list[str] = []
    while (now := lane.errand_at(now)) < math.inf and (errand := lane.next_errand()) is not None:
        if (call := errand.next_call()) is None:
            lane.close(errand)
            continue
        names.append(f"{name_of(call)} {sight_of(call)}")
        lane.begin(call)
        outcome = lane.end(call, screen.make(call, lucks.pop() if lucks else "told"), now)
        lane.settle(errand, call, outcome, now)
        assert len(names) <= 200, "an end, whatever happens"
    return names


def preview(message_id: int | None = PREVIEW) -> Bubble:
    return Bubble(Place(ConversationKey(-100), private=False), 4, message_id, home=-100)


LUCK = st.sampled_from([*REFUSALS, "told", "untold"])
SOME = st.lists(st.booleans(), max_size=2)


@given(
    lucks=st.lists(LUCK, max_size=40),
    crowds=st.lists(st.tuples(SOME, SOME), max_size=5),
    known=st.booleans(),
    shown=st.booleans(),
    anew=st.booleans(),
    uncertain=st.sampled_from(["resend", "ask", "skip"]),
)
def test_a_message_is_on_screen_once_or_says_that_it_is_a_copy(
    lucks: list[Luck], crowds: list[Crowd], known: bool, shown: bool, anew: bool, uncertain: Uncertain
) -> None:
    """However its calls went. No other message is changed or taken away, a stranger's or our own."""
    screen = open_screen(crowds)
    if known or shown:
        screen.lane.note_message(PREVIEW)
    targets = [preview(PREVIEW if shown else None), preview(None)]
    deliveries = [
        Delivery(target, FormattedText(text), target, anew=anew, uncertain=uncertain)
        for target, text in zip(targets, ("hello", "later"), strict=True)
    ]
    for delivery in deliveries:
        screen.lane.commit(delivery)
    deliver_all(screen, lucks)
    assert all(screen.texts[message_id] == "stranger" for message_id in screen.strangers)
    assert shown or screen.texts[PREVIEW] == "preview"
    for text, delivery in zip(("hello", "later"), deliveries, strict=True):
        check_copies(screen, text, delivery, uncertain)
    asking = sum(delivery.is_told and delivery.reason == UNCONFIRMED for delivery in deliveries)
    assert screen.ours().count(NOT_CONFIRMED.text) >= asking


def check_copies(screen: Screen, text: str, delivery: Delivery, uncertain: Uncertain) -> None:
    """There is one that is not marked at most, and none is lost without a word."""
    copies = [one for one in screen.ours() if one.startswith(text)]
    assert copies.count(text) <= 1
    assert sum(SENT_AGAIN in one for one in copies) <= 1
    assert delivery.state is not WAITING
    assert len(copies) >= (delivery.state is DELIVERED)
    assert uncertain == "ask" or not delivery.is_told
    assert delivery.state is not UNCERTAIN or uncertain == "skip" or delivery.is_told or "no answer" in delivery.reason


class LeftBy(enum.Enum):
    """What an earlier run did with a message before it ended: it was about to send it, had sent it, or its preview."""

    NOTHING = "nothing"
    ITS_SEND = "its send"
    ITS_PREVIEW = "its preview"


@given(
    lucks=st.lists(LUCK, max_size=40),
    crowd=st.lists(st.booleans(), max_size=5),
    left=st.sampled_from(LeftBy),
    known=st.booleans(),
    anew=st.booleans(),
    uncertain=st.sampled_from(["resend", "ask", "skip"]),
)
def test_a_message_that_an_earlier_run_was_sending_is_on_screen_once_or_marked_or_asked_about(
    lucks: list[Luck], crowd: list[bool], left: LeftBy, known: bool, anew: bool, uncertain: Uncertain
) -> None:
    """Strangers have written before it and behind it, and nobody has told this run."""
    screen = open_screen()
    before = len(crowd) // 2
    screen._crowd([False] * before)
    if left is not LeftBy.NOTHING:
        screen.write("hello" if left is LeftBy.ITS_SEND else "hel")
    screen._crowd([False] * (len(crowd) - before))
    target = preview(None)
    delivery = Delivery(target, HELLO, target, anew=anew, uncertain=uncertain)
    lost = call_of(delivery)
    delivery.was_sent, delivery.is_recovered = left is not LeftBy.ITS_PREVIEW, True
    screen.lane.recover(lost, PREVIEW if known else 0, 0.0)
    screen.lane.commit(delivery)
    deliver_all(screen, lucks)
    assert screen.texts[PREVIEW] == "preview"
    assert all(screen.texts[message_id] == "stranger" for message_id in screen.strangers)
    check_copies(screen, "hello", delivery, uncertain)
    if left is LeftBy.ITS_PREVIEW:
        assert delivery.state is not UNCERTAIN or "no answer" in delivery.reason


@pytest.mark.parametrize("fixed", [GONE, NO_CHAT])
@pytest.mark.parametrize("luck", ["untold", "in vain"])
def test_a_lost_message_that_the_old_one_cannot_become_is_sent_again_marked(fixed: Refused, luck: Luck) -> None:
    screen, target = open_screen(fixed=fixed), preview()
    delivery = Delivery(target, HELLO, target, anew=True)
    screen.lane.commit(delivery)
    deliver_all(screen, [luck])
    assert delivery.state is DELIVERED
    copies = [text for text in screen.ours() if text != "preview"]
    assert copies == ["hello"] * (luck == "untold") + [COPY.removeprefix("*")]


def test_a_mark_goes_before_the_old_message_does() -> None:
    screen, target = open_screen(fixed=NO_CHAT), preview()
    screen.lane.commit(Delivery(target, FormattedText("a" * MESSAGE_LIMIT), target, anew=True))
    assert deliver_all(screen, ["in vain"])[-2:] == [MARK, f"delete {PREVIEW} "]
    assert screen.ours() == ["a" * MESSAGE_LIMIT, SENT_AGAIN]


def test_a_search_that_is_given_up_where_an_older_id_was_of_another_chat_has_found_nothing() -> None:
    """Or the message would be sent once more as if it never had been."""
    target = Bubble(Place(ConversationKey(-100), private=False), 1, message_id=8, home=-99)
    search = Search(message_call(target, HELLO), 0.0)
    target.candidates = [21]
    search.settle(call_of(search), FORBIDDEN, 2.0)
    assert (search.state, target.lost, target.candidates) == (State.DEAD, True, [])
