"""A lasting message's way to the screen, and an old one's way off it: tables of ways, and a screen to check them on."""

from __future__ import annotations

import math
from collections.abc import Iterable
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
    Outcome,
    Place,
    Refused,
    Unknown,
    absorb,
    message_call,
)
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import (
    MAX_REFUSED,
    MAX_UNKNOWN,
    PROBE_AFTER,
    SENDING_AGAIN,
    SENT_AGAIN,
    Delivery,
    Errand,
    Removal,
    State,
)
from triolet.core.lane import Lane
from triolet.core.text import MESSAGE_LIMIT, Content, FormattedText, RichText, italic

HELLO = FormattedText("hello")
RICH = RichText("<p>hello</p>", "hello")
COPY = f"*hello\n\n{SENT_AGAIN}"
LINE = f"*{SENDING_AGAIN.text}"
"""What a lost message is sent as, until the sending of that is confirmed."""
NEWEST = 20
"""The highest id that is known in the chat; a message that may have been sent is sought at 21, 22 and 23."""


def place() -> Place:
    return Place(ConversationKey(-100, 5), private=False, asked=9)


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


def walk(errand: Errand, steps: Iterable[Step]) -> list[Step]:
    """The steps as they went."""
    found = []
    for step in steps:
        assert errand.state is State.WAITING
        call = errand.next_call()
        following = errand.settle(call, absorb(call, step.outcome, NEWEST), step.now)
        found.append(
            attrs.evolve(
                step,
                call=name_of(call),
                shows=sight_of(call),
                state=errand.state,
                not_before=errand.not_before,
                reason=errand.reason,
                following=tuple(
                    f"{name_of(next_call := later.next_call())} {sight_of(next_call)}" for later in following
                ),
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


def lost(call: str, shows: str = "hello", now: float = 1.0) -> list[Step]:
    """A send, and what makes it known to be lost."""
    later = now + 2.0
    places = (Step(f"edit {message_id}", later, GONE, WAITING, later, shows) for message_id in (21, 22, 23))
    return [Step(call, now, LOST, WAITING, later, shows), *places]


BACK_OFFS = (1, 2, 4, 8, 16, 30, 30, 30)
"""The waits before the repetitions of what is refused for no known reason."""

# A plain message that nothing hinders

WAYS: list[Way] = [
    ("sent", None, [Step("send", 1, SENT, DELIVERED)]),
    ("sent, with no word of its id", None, [Step("send", 1, OK, DELIVERED)]),
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
            Step("edit 5", 10, UNEDITABLE, WAITING, 10),
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
    ("found", None, [Step("send", 1, LOST, WAITING, 3), Step("edit 21", 3, OK, DELIVERED, 3)]),
    (
        "found at the last place, where it is as it should be",
        None,
        [
            Step("send", 1, LOST, WAITING, 3),
            Step("edit 21", 3, UNEDITABLE, WAITING, 3),
            Step("edit 22", 4, GONE, WAITING, 3),
            Step("edit 23", 5, NOT_MODIFIED, DELIVERED, 3),
        ],
    ),
    (
        "found nowhere, so a line is sent, and edited into a copy",
        None,
        [
            *lost("send"),
            Step("send", 4, SENT, WAITING, 3, LINE),
            Step("edit 21", 4, OK, DELIVERED, 3, COPY),
        ],
    ),
    (
        "the line is found",
        None,
        [
            *lost("send"),
            Step("send", 4, LOST, WAITING, 6, LINE),
            Step("edit 21", 6, GONE, WAITING, 6, LINE),
            Step("edit 22", 6, NOT_MODIFIED, WAITING, 6, LINE),
            Step("edit 22", 6, LOST, WAITING, 7, COPY),
            Step("edit 22", 7, OK, DELIVERED, 7, COPY),
        ],
    ),
    (
        "the line is lost too, so another is sent, ever later",
        None,
        [
            *lost("send"),
            Step("send", 4, LOST, WAITING, 6, LINE),
            *(Step(f"edit {place}", 6, GONE, WAITING, 6, LINE) for place in (21, 22)),
            Step("edit 23", 6, GONE, WAITING, 7, LINE),
            Step("send", 7, LOST, WAITING, 9, LINE),
            *(Step(f"edit {place}", 9, GONE, WAITING, 9, LINE) for place in (21, 22)),
            Step("edit 23", 9, GONE, WAITING, 11, LINE),
            Step("send", 11, SENT, WAITING, 11, LINE),
            Step("edit 21", 11, OK, DELIVERED, 11, COPY),
        ],
    ),
    (
        "a line that was not sent is sent again",
        None,
        [
            *lost("send"),
            Step("send", 4, FLOOD, WAITING, 13, LINE),
            Step("send", 13, UNSENT, WAITING, 14, LINE),
            Step("send", 14, SENT, WAITING, 14, LINE),
            Step("edit 21", 14, OK, DELIVERED, 14, COPY),
        ],
    ),
    (
        "places that cannot be looked at are looked at again",
        None,
        [
            Step("send", 1, LOST, WAITING, 3),
            Step("edit 21", 3, LOST, WAITING, 4),
            Step("edit 21", 4, UNSENT, WAITING, 6),
            Step("edit 21", 6, FLOOD, WAITING, 15),
            Step("edit 21", 15, GONE, WAITING, 15),
            Step("edit 22", 15, LOST, WAITING, 19),
            Step("edit 22", 19, OK, DELIVERED, 19),
        ],
    ),
    (
        "but not for ever",
        None,
        [
            Step("send", 1, LOST, WAITING, 3),
            Step("edit 21", 3, GONE, WAITING, 3),
            *(Step("edit 22", 100, LOST, WAITING, 100 + wait) for wait in (1, 2, 4, 8, 16, *[30] * (MAX_UNKNOWN - 6))),
            Step("edit 22", 200, Unknown("still no answer"), UNCERTAIN, 130, reason="still no answer"),
        ],
    ),
    (
        "gone, and the new one unknown",
        5,
        [
            Step("edit 5", 1, GONE, WAITING),
            Step("send", 2, LOST, WAITING, 4),
            Step("edit 21", 4, OK, DELIVERED, 4),
        ],
    ),
    (
        "it never left, then it may have",
        None,
        [
            Step("send", 1, UNSENT, WAITING, 2),
            Step("send", 2, LOST, WAITING, 4),
            Step("edit 21", 4, OK, DELIVERED, 4),
        ],
    ),
    (
        "an edit stays unknown",
        5,
        [
            *(Step("edit 5", 100, LOST, WAITING, 100 + wait) for wait in (1, 2, 4, 8, 16, *[30] * (MAX_UNKNOWN - 6))),
            Step("edit 5", 100, LOST, UNCERTAIN, 130, reason="no answer"),
        ],
    ),
]

# A plain message that is refused for no known reason

REFUSED: list[Way] = [
    (
        "repeated for two minutes",
        None,
        [
            *(Step("send", 10, UNPARSED, WAITING, 10 + wait) for wait in BACK_OFFS),
            Step("send", 14, UNPARSED, DEAD, 40, reason=UNPARSED.description),
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
            Step("edit 5", 14, UNPARSED, WAITING, 40),
            Step("send", 14, SENT, DELIVERED, 40, following=("delete 5 ",)),
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
            Step("edit 5", 14, UNPARSED, WAITING, 40),
            Step("send", 14, ODD, DEAD, 40, reason=ODD.description),
        ],
    ),
    (
        "the one that takes its place is lost, so the old one is edited after all",
        5,
        [
            Step("edit 5", 1, NO_CHAT, WAITING),
            Step("send", 1, LOST, WAITING, 3),
            *(Step(f"edit {place}", 3, GONE, WAITING, 3) for place in (21, 22, 23)),
            Step("edit 5", 3, OK, DELIVERED, 3),
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
            Step("send", 1, LOST, WAITING, 3, "<p>hello</p>"),
            *(Step(f"edit {place}", 3, GONE, WAITING, 3, "<p>hello</p>") for place in (21, 22, 23)),
            Step("send", 4, SENT, WAITING, 3, LINE),
            Step("edit 21", 4, OK, DELIVERED, 3, f"<p>hello</p><p><i>{SENT_AGAIN}</i></p>"),
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
            Step("send", 5, TOO_LONG, DEAD, 31, "a", TOO_LONG.description),
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
        call = delivery.next_call()
        seen.append(sight_of(call))
        assert delivery.settle(call, absorb(call, UNPARSED, NEWEST), 1.0) == []
    assert seen[0] == "<p><b>hello</b> all</p>"
    assert not delivery.next_call().formatted
    assert len(seen) in (2, 3)
    assert all(form.startswith("*hello") for form in seen[1:-1])


def test_a_cut_message_goes_on_beside_it() -> None:
    """The rest is as silent, belongs to the same owner, has bubbles of its own and answers the question no more."""
    owner = Bubble(place(), 7, silent=True, unsettled=1)
    part = Bubble(owner.place, 4, silent=True)
    delivery = Delivery(part, FormattedText("aabbcc"), owner)
    following = delivery.settle(delivery.next_call(), TOO_LONG, 1.0)
    assert [later.next_call().params["text"] for later in following] == ["bcc"]
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
    ("room enough", ROOM, [Step("edit 21", 4, OK, DELIVERED, 3, f"*{'a' * ROOM}\n\n{SENT_AGAIN}")]),
    ("a character short", ROOM + 1, [Step("edit 21", 4, OK, DELIVERED, 3, "a" * (ROOM + 1), following=(MARK,))]),
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
    steps = [*lost("send", text), Step("send", 4, SENT, WAITING, 3, LINE), *steps]
    assert walk(Delivery(target, FormattedText(text), target), steps) == steps
    assert target.unsettled == 1 + (steps[-1].following == (MARK,))


def test_a_mark_goes_before_the_old_message_does() -> None:
    text = "a" * MESSAGE_LIMIT
    preview = bubble(7)
    steps = [
        *lost("send", text),
        Step("edit 7", 3, NO_CHAT, WAITING, 3, text),
        Step("send", 3, SENT, WAITING, 3, LINE),
        Step("edit 21", 3, OK, DELIVERED, 3, text, following=(MARK, "delete 7 ")),
    ]
    assert walk(Delivery(preview, FormattedText(text), preview, anew=True), steps) == steps


# A message that replaces another

REPLACING: list[tuple[str, list[Step]]] = [
    ("the old one goes when the new one is there", [Step("send", 1, SENT, DELIVERED, following=("delete 7 ",))]),
    (
        "also when it had to be sought",
        [
            Step("send", 1, LOST, WAITING, 3),
            Step("edit 21", 3, GONE, WAITING, 3),
            Step("edit 22", 3, OK, DELIVERED, 3, following=("delete 7 ",)),
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
            Step("send", 14, ODD, WAITING, 40),
            Step("edit 7", 14, OK, DELIVERED, 40),
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
        [
            Step("send", 1, LOST, WAITING, 3),
            *(Step(f"edit {place}", 3, GONE, WAITING, 3) for place in (21, 22, 23)),
            Step("edit 7", 3, LOST, WAITING, 4),
            Step("edit 7", 4, OK, DELIVERED, 4),
        ],
    ),
    (
        "with both lost, a copy says so",
        [
            *lost("send"),
            Step("edit 7", 3, GONE, WAITING, 3),
            *lost("send", LINE, 3.0)[:-1],
            Step("edit 23", 5, GONE, WAITING, 6, LINE),
            Step("send", 6, SENT, WAITING, 6, LINE),
            Step("edit 21", 6, OK, DELIVERED, 6, COPY),
        ],
    ),
    (
        "with one lost and the other fixed, a copy says so",
        [
            *lost("send"),
            Step("edit 7", 3, NO_CHAT, WAITING, 3),
            Step("send", 3, SENT, WAITING, 3, LINE),
            Step("edit 21", 3, OK, DELIVERED, 3, COPY, following=("delete 7 ",)),
        ],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in REPLACING])
def test_a_message_that_replaces_another(steps: list[Step]) -> None:
    preview = bubble(7)
    assert walk(Delivery(preview, HELLO, preview, anew=True), steps) == steps


NOTHING_TO_REPLACE: list[tuple[str, list[int], list[Step]]] = [
    ("it is not on screen", [], [Step("send", 1, SENT, DELIVERED)]),
    ("it may be on screen", [21, 22], [Step("edit 21", 1, OK, DELIVERED)]),
    (
        "it is nowhere, as it turns out",
        [22],
        [
            Step("edit 22", 1, GONE, WAITING),
            Step("send", 1, SENT, WAITING, shows=LINE),
            Step("edit 21", 1, OK, DELIVERED, shows=COPY),
        ],
    ),
]


@pytest.mark.parametrize(("candidates", "steps"), [pytest.param(*row[1:], id=row[0]) for row in NOTHING_TO_REPLACE])
def test_a_message_with_nothing_to_replace(candidates: list[int], steps: list[Step]) -> None:
    target = bubble(candidates=list(candidates), silent=True)
    assert walk(Delivery(target, HELLO, target, anew=True), steps) == steps
    assert not target.silent


@pytest.mark.parametrize("message_id", [None, 7])
@pytest.mark.parametrize("anew", [True, False])
def test_a_message_rings_if_it_is_to_be_sent_anew(message_id: int | None, anew: bool) -> None:
    """And another send of it, after a refusal, rings as well."""
    target = bubble(message_id, silent=True)
    delivery = Delivery(target, HELLO, target, anew=anew)
    for _ in range(2):
        call = delivery.next_call()
        assert ("disable_notification" in call.params) == (call.sends and not anew)
        delivery.settle(call, absorb(call, ODD, NEWEST), 1.0)


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
    [removal] = delivery.settle(delivery.next_call(), SENT, 1.0)
    assert isinstance(removal, Removal)
    assert (removal.bubble, removal.owner) == (preview, owner)


def test_what_takes_a_message_s_place_is_another_bubble() -> None:
    """Its owner still waits for the one that was committed, and the old one keeps its id until it is gone."""
    target = bubble(5)
    delivery = Delivery(target, HELLO, target)
    assert delivery.settle(delivery.next_call(), NO_CHAT, 1.0) == []
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
    assert delivery.next_call().params == message_call(Bubble(mended, 4), content).params


# Deliveries and removals themselves


def test_no_line_is_sent_for_ever() -> None:
    target = bubble()
    delivery = Delivery(target, HELLO, target)
    lines, now = 0, 0.0
    while delivery.state is WAITING:
        call = delivery.next_call()
        lines += call.sends and sight_of(call) == LINE
        assert lines <= MAX_UNKNOWN
        delivery.settle(call, absorb(call, LOST if call.sends else GONE, NEWEST), now)
        assert call.sends or delivery.not_before <= now + 30.0
        now = max(now, delivery.not_before)
    assert (delivery.state, delivery.reason, lines) == (UNCERTAIN, GONE.description, MAX_UNKNOWN)


def test_a_new_delivery_waits() -> None:
    owner, part = bubble(), bubble()
    delivery = Delivery(part, HELLO, owner)
    assert (delivery.state, delivery.not_before, delivery.reason) == (State.WAITING, 0.0, "")
    assert (delivery.bubble, delivery.owner) == (part, owner)
    assert delivery.next_call() == delivery.next_call() == message_call(part, HELLO)


def test_an_errand_that_says_nothing_is_none() -> None:
    errand = Errand(bubble(), bubble())
    with pytest.raises(NotImplementedError):
        errand.next_call()
    with pytest.raises(NotImplementedError):
        errand.settle(message_call(bubble(), HELLO), FORBIDDEN, 1.0)


def test_an_outage_of_days_ends_in_a_delivery() -> None:
    """Doubling a float a thousand times overflows."""
    target = bubble()
    delivery = Delivery(target, HELLO, target)
    now = 0.0
    while now < 3 * 24 * 3600.0:
        call = delivery.next_call()
        delivery.settle(call, absorb(call, UNSENT, NEWEST), now)
        assert now < delivery.not_before <= now + 30.0
        now = delivery.not_before
    call = delivery.next_call()
    delivery.settle(call, absorb(call, SENT, NEWEST), now)
    assert delivery.state is State.DELIVERED


def test_states_are_logged_by_their_names() -> None:
    assert all(state.value == state.name.lower() for state in State)


def test_how_often_and_how_soon() -> None:
    assert (PROBE_AFTER, MAX_REFUSED, MAX_UNKNOWN) == (2.0, 8, 20)
    assert sum(BACK_OFFS) >= 120 == 2 * 60, "two minutes"


NOT_THERE = Refused(400, "Bad Request: message to delete not found")
UNDELETABLE = Refused(400, "Bad Request: message can't be deleted")

REMOVALS: list[tuple[str, list[Step]]] = [
    ("gone", [Step("delete 7", 1, OK, DELIVERED, shows="")]),
    ("gone already", [Step("delete 7", 1, NOT_THERE, DELIVERED, shows="", reason=NOT_THERE.description)]),
    ("refused", [Step("delete 7", 1, UNDELETABLE, DEAD, shows="", reason=UNDELETABLE.description)]),
    ("for a reason that is no form's", [Step("delete 7", 1, ODD, DEAD, shows="", reason=ODD.description)]),
    (
        "after a flood",
        [Step("delete 7", 1, FLOOD, WAITING, 10, shows=""), Step("delete 7", 10, OK, DELIVERED, 10, shows="")],
    ),
    (
        "unknown, so repeated",
        [
            Step("delete 7", 1, LOST, WAITING, 2, shows=""),
            Step("delete 7", 2, UNSENT, WAITING, 4, shows=""),
            Step("delete 7", 4, NOT_THERE, DELIVERED, 4, shows="", reason=NOT_THERE.description),
        ],
    ),
    (
        "unknown for ever",
        [
            *(
                Step("delete 7", 100, LOST, WAITING, 100 + wait, shows="")
                for wait in (1, 2, 4, 8, 16, *[30] * (MAX_UNKNOWN - 6))
            ),
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


@attrs.define
class Screen:
    """A chat as its server keeps it: our messages, and as many of strangers before each as ``crowds`` has."""

    crowds: list[int]
    texts: dict[int, str] = attrs.Factory(lambda: {NEWEST: "preview"})
    strangers: set[int] = attrs.Factory(set)
    newest: int = NEWEST

    def write(self, text: str) -> int:
        self.newest += 1
        self.texts[self.newest] = text
        return self.newest

    def make(self, call: Call, luck: Luck) -> Outcome:
        if luck in REFUSALS and not (luck == "refused" and call.bubble.candidates):  # a probe is answered, or is not
            return REFUSALS[luck]
        outcome = self._send(call) if call.sends else self._change(call)
        return outcome if luck == "told" else LOST

    def _send(self, call: Call) -> Outcome:
        for _ in range(self.crowds.pop() if self.crowds else 0):
            self.strangers.add(self.write("stranger"))
        return Delivered({"message_id": self.write(call.params["text"])})

    def _change(self, call: Call) -> Outcome:
        message_id = call.params["message_id"]
        assert call.method == "editMessageText" or message_id not in self.strangers, "would be deleted for an admin"
        if message_id not in self.texts:
            return GONE if call.method == "editMessageText" else NOT_THERE
        if message_id in self.strangers:
            return UNEDITABLE
        if call.method == "deleteMessage":
            del self.texts[message_id]
        elif self.texts[message_id] == call.params["text"]:
            return NOT_MODIFIED
        else:
            self.texts[message_id] = call.params["text"]
        return OK

    def ours(self) -> list[str]:
        return [text for message_id, text in sorted(self.texts.items()) if message_id not in self.strangers]


LUCK = st.sampled_from([*REFUSALS, "told", "untold"])


@given(
    lucks=st.lists(LUCK, max_size=40),
    crowds=st.lists(st.integers(0, 2), max_size=5),
    shown=st.booleans(),
    anew=st.booleans(),
)
def test_a_message_is_on_screen_once_or_says_that_it_is_a_copy(
    lucks: list[Luck], crowds: list[int], shown: bool, anew: bool
) -> None:
    """However its calls went. A stranger's message is neither changed nor taken away."""
    screen, lane = Screen(crowds), Lane(ChatBudget.open(private=False, overall=open_overall()))
    target = Bubble(Place(ConversationKey(-100), private=False, asked=NEWEST), 4, NEWEST if shown else None)
    delivery = Delivery(target, HELLO, target, anew=anew)
    lane.commit(delivery)
    now, calls = 0.0, 0
    while (now := lane.errand_at(now)) < math.inf and (errand := lane.next_errand()) is not None:
        call = errand.next_call()
        lane.begin(call)
        outcome = lane.end(call, screen.make(call, lucks.pop() if lucks else "told"), now)
        lane.settle(errand, call, outcome, now)
        calls += 1
        assert calls <= 100, "an end, whatever happens"
    assert all(screen.texts[message_id] == "stranger" for message_id in screen.strangers)
    copies = [text for text in screen.ours() if text != "preview"]
    assert copies.count("hello") <= 1
    assert sum(SENT_AGAIN in text for text in copies) <= 1
    assert len(copies) >= (delivery.state is DELIVERED)
    assert SENDING_AGAIN.text not in copies or delivery.state is not DELIVERED
