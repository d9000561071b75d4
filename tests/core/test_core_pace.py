"""The pace of drafts and edits, to the exact second; no test knows more than a window would."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.budget import ChatBudget, Cost, Priority, open_overall
from triolet.core.pace import (
    FIRST_CHARACTERS,
    KEEP_ALIVE,
    TYPING_INTERVAL,
    DraftPace,
    Due,
    EditPace,
    TypingDue,
    Wait,
    draft_text,
    edit_text,
)

CURSOR = " ▉"
URGENT, FRAME = Due(urgent=True), Due(urgent=False)


def word(size: int) -> str:
    """A text without a place to cut it."""
    return "x" * size


# What a window shows of a text

DRAFTS = [
    ("", ""),
    (" \n", ""),
    ("  a b\n", "a b"),
    (word(4096), word(4096)),
    (word(4097), word(4096)),
    (word(4000) + "\n" + word(4000), word(4000)),
    (word(4000) + "\n\n" + word(50) + " " + word(4000), word(4000)),
    ("😀" * 5000, "😀" * 4096),
]


@pytest.mark.parametrize(("text", "shown"), DRAFTS)
def test_what_a_draft_shows(text: str, shown: str) -> None:
    assert draft_text(text) == shown


EDITS = [
    ("", CURSOR),
    (" a \n", f"a{CURSOR}"),
    (word(4094), word(4094) + CURSOR),
    (word(4095), word(4094) + CURSOR),
    (word(4000) + "\n" + word(4000), word(4000) + CURSOR),
]


@pytest.mark.parametrize(("text", "shown"), EDITS)
def test_what_an_edit_shows(text: str, shown: str) -> None:
    assert edit_text(text, CURSOR) == shown


def test_an_edit_without_cursor_may_be_as_long_as_a_draft() -> None:
    assert edit_text(word(5000), "") == word(4096)


@given(st.text(st.sampled_from("ab \n"), max_size=9).map(lambda text: text * 700))
def test_no_frame_is_longer_than_a_message(text: str) -> None:
    assert len(draft_text(text)) <= 4096
    assert len(edit_text(text, CURSOR)) <= 4096
    assert text.lstrip().startswith(draft_text(text))


# Drafts, step by step


@attrs.frozen
class Step:
    """At a time, with a text, a command; and if a frame was due, whether it was shown."""

    now: float
    text: str
    command: Due | TypingDue | Wait
    shown: bool = True


Pace: TypeAlias = DraftPace | EditPace


def walk(pace: Pace, steps: Iterable[Step]) -> list[Step]:
    """The steps as they went; what is due is done at once."""
    found = []
    for step in steps:
        command = pace.poll(step.now, step.text)
        found.append(attrs.evolve(step, command=command))
        if isinstance(command, TypingDue):
            assert isinstance(pace, EditPace)
            pace.typed(step.now)
        elif isinstance(command, Due):
            pace.begun(step.now)
            pace.ended(step.text, shown=step.shown)
    return found


DRAFT_WALKS: list[tuple[str, list[Step]]] = [
    (
        "the first text is shown as soon as it comes",
        [
            Step(0.0, "", URGENT),
            Step(0.0, "", Wait(8.0, newer=True)),
            Step(0.125, "a", URGENT),
            Step(0.125, "a", Wait(8.125, newer=True)),
        ],
    ),
    (
        "also at the moment of the empty frame, but only once",
        [Step(0.0, "", URGENT), Step(0.0, "a", URGENT), Step(0.0, "ab", Wait(0.25, newer=False))],
    ),
    (
        "an answer that begins with text needs no empty frame",
        [Step(5.0, "a", URGENT), Step(5.0, "ab", Wait(5.25, newer=False)), Step(5.25, "ab", FRAME)],
    ),
    (
        "distances grow by an eighth of a second for each second of age, up to one",
        [
            Step(0.0, "a", URGENT),
            Step(0.0, "ab", Wait(0.25, newer=False)),
            Step(2.0, "ab", FRAME),
            Step(2.0, "abc", Wait(2.5, newer=False)),
            Step(2.375, "abc", Wait(2.5, newer=False)),
            Step(2.5, "abc", FRAME),
            Step(5.5, "abcd", FRAME),
            Step(5.5, "abcde", Wait(6.4375, newer=False)),
            Step(6.0, "abcde", Wait(6.4375, newer=False)),
            Step(7.0, "abcde", FRAME),
            Step(7.0, "abcdef", Wait(8.0, newer=False)),
            Step(100.0, "abcdef", FRAME),
            Step(100.0, "abcdefg", Wait(101.0, newer=False)),
        ],
    ),
    (
        "thinking is kept alive, and then the text",
        [
            Step(0.0, "", URGENT),
            Step(7.875, "", Wait(8.0, newer=True)),
            Step(8.0, " \n", FRAME),
            Step(8.0, "\n", Wait(16.0, newer=True)),
            Step(16.5, "", FRAME),
            Step(16.5, "", Wait(24.5, newer=True)),
            Step(20.0, "a", URGENT),
            Step(20.0, "a", Wait(28.0, newer=True)),
            Step(28.0, "a", FRAME),
            Step(28.0, "a ", Wait(36.0, newer=True)),
            Step(30.0, "a b", FRAME),
        ],
    ),
    (
        "a failed first frame keeps the interval, and is urgent still",
        [
            Step(0.0, "", URGENT, shown=False),
            Step(0.0, "", Wait(0.2, newer=False)),
            Step(0.0, "a", Wait(0.2, newer=False)),
            Step(0.25, "a", URGENT, shown=False),
            Step(0.25, "a", Wait(0.45, newer=False)),
            Step(0.5, "a", URGENT),
            Step(0.5, "ab", Wait(0.75, newer=False)),
        ],
    ),
    (
        "a failed later frame keeps the distance of its age",
        [
            Step(0.0, "a", URGENT),
            Step(2.0, "ab", FRAME, shown=False),
            Step(2.0, "ab", Wait(2.5, newer=False)),
            Step(2.5, "ab", FRAME, shown=False),
            Step(2.5, "ab", Wait(3.0625, newer=False)),
            Step(3.0625, "a", Wait(10.5, newer=True)),
        ],
    ),
    (
        "a failed repeat waits as long as any",
        [
            Step(0.0, "a", URGENT),
            Step(8.0, "a", FRAME, shown=False),
            Step(8.0, "a", Wait(16.0, newer=True)),
            Step(8.0, "ab", Wait(9.0, newer=False)),
        ],
    ),
    (
        "a failed repeat of thinking keeps the interval from the first text",
        [
            Step(0.0, "", URGENT),
            Step(8.0, "", FRAME, shown=False),
            Step(8.0, "", Wait(16.0, newer=True)),
            Step(8.0, "a", Wait(8.2, newer=False)),
        ],
    ),
    (
        "beyond a message's length nothing is new",
        [
            Step(0.0, word(5000), URGENT),
            Step(1.0, word(5001), Wait(8.0, newer=True)),
            Step(8.0, word(9000), FRAME),
        ],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in DRAFT_WALKS])
def test_drafts_step_by_step(steps: list[Step]) -> None:
    assert walk(DraftPace(0.2), steps) == steps


def test_a_wider_interval_is_kept_as_well() -> None:
    steps = [
        Step(0.0, "", URGENT),
        Step(0.5, "a", URGENT),
        Step(0.5, "ab", Wait(2.5, newer=False)),
        Step(2.5, "ab", FRAME),
        Step(20.0, "abc", FRAME),
        Step(20.0, "abcd", Wait(22.0, newer=False)),
    ]
    assert walk(DraftPace(2.0), steps) == steps


def test_a_frame_is_bound_late_and_shows_what_was_sent() -> None:
    """The text that ends a call may be newer than the one it was asked for."""
    pace = DraftPace(0.2)
    assert pace.poll(0.0, "a") == URGENT
    pace.begun(0.5)
    pace.ended("abc", shown=True)
    assert pace.poll(0.5, "abc") == Wait(8.5, newer=True)
    assert pace.poll(0.5, "abcd") == Wait(0.75, newer=False)


# A whole answer


@attrs.define
class Screening:
    """A window in its own little time: it does what the pace says, and each call takes ``latency``."""

    pace: Pace
    text_at: Callable[[float], str]
    latency: float = 0.0
    outcomes: Callable[[int], bool] = lambda _: True
    frames: list[float] = attrs.Factory(list)
    typing: list[float] = attrs.Factory(list)
    polls: int = 0

    def run(self, until: float, step: float = 0.0625) -> None:
        """A wait for newer text ends with the first ``step`` at which there is some."""
        now = 0.0
        while now < until:
            self.polls += 1
            text = self.text_at(now)
            command = self.pace.poll(now, text)
            if isinstance(command, Wait):
                assert command.until > now
                now = self._newer(text, now, command.until, step) if command.newer else command.until
            elif isinstance(command, TypingDue):
                assert isinstance(self.pace, EditPace)
                self.typing.append(now)
                self.pace.typed(now)
                now += self.latency
            else:
                self.frames.append(now)
                self.pace.begun(now)
                now += self.latency
                self.pace.ended(text, shown=self.outcomes(len(self.frames)))

    def _newer(self, text: str, now: float, until: float, step: float) -> float:
        while now < until and self.text_at(now) == text:
            now = min(now + step, until)
        return now


def growing(now: float) -> str:
    """Sixteen characters a second."""
    return word(1 + int(now * 16))


EARLY = [0.0, 0.25, 0.53125, 0.84765625, 1.20361328125, 1.6040649414062]


def busiest(times: list[float], period: float) -> int:
    return max(sum(start <= other < start + period for other in times) for start in times)


@pytest.mark.parametrize("latency", [0.0, 0.0625, 0.25])
def test_drafts_of_an_evenly_growing_answer(latency: float) -> None:
    window = Screening(DraftPace(0.2), growing, latency)
    window.run(120.0)
    assert [round(now, 13) for now in window.frames[:6]] == EARLY or latency > 0.2
    assert sum(now < 30.0 for now in window.frames) == 36
    assert busiest(window.frames, 30.0) == 36
    assert busiest(window.frames, 5.0) <= 17
    distances = [round(after - before, 9) for before, after in zip(window.frames, window.frames[1:], strict=False)]
    assert distances == sorted(distances), "ever wider"
    assert distances[0] == 0.25
    assert distances[20:] == [1.0] * len(distances[20:])


def test_a_window_asks_thrice_a_frame_at_most() -> None:
    """After the last frame, at newer text, and when it is due: a time must not move on while it is waited for."""
    window = Screening(DraftPace(0.2), growing)
    window.run(60.0)
    assert window.polls <= 3 * len(window.frames)


@pytest.mark.parametrize("latency", [0.0625, 0.25, 1.0])
@pytest.mark.parametrize("thinking", [0.0, 1.0, 20.0])
def test_an_answer_in_an_idle_chat_hardly_waits_for_the_budget(latency: float, thinking: float) -> None:
    """What the pace wants, the budget has, but for a reply's time; and the reserve is free at any time."""
    budget = ChatBudget.open(private=True, overall=open_overall())
    pace = DraftPace(0.2)
    now, frames = 0.0, 0
    while now < 90.0:
        text = growing(now - thinking) if now >= thinking else ""
        command = pace.poll(now, text)
        if isinstance(command, Wait):
            now = min(command.until, thinking) if now < thinking else command.until
            continue
        priority = Priority.URGENT if command.urgent else Priority.FRAME
        free = budget.free_at(now, Cost.DRAFT, priority)
        assert free - now <= latency
        now = free
        frames += 1
        for allowance in budget.drafts:
            allowance.begin()
        pace.begun(now)
        now += latency
        for allowance in budget.drafts:
            allowance.end(now)
        pace.ended(text, shown=True)
        assert budget.free_at(now, Cost.DRAFT, Priority.URGENT) == now
    assert frames > 60


def test_a_silent_answer_is_repeated_every_eight_seconds() -> None:
    for text in ("", "a", word(5000)):
        window = Screening(DraftPace(0.2), lambda _, text=text: text)  # type: ignore[misc]
        window.run(60.0)
        assert window.frames == [8.0 * number for number in range(8)]
    assert KEEP_ALIVE == 8.0


# Edits, step by step

THE_FIRST = "abcd"

EDIT_WALKS: list[tuple[str, list[Step]]] = [
    (
        "typing shows first, and goes on while nothing is worth a message",
        [
            Step(0.0, "", TypingDue()),
            Step(0.0, "", Wait(4.5, newer=True)),
            Step(1.0, "abc", Wait(4.5, newer=True)),
            Step(4.5, "abc", TypingDue()),
            Step(5.0, " \n abc \n\n", Wait(9.0, newer=True)),
        ],
    ),
    (
        "four visible characters open the message, and the typing sign comes back after it",
        [
            Step(0.0, "abc", TypingDue()),
            Step(0.0, "abcd", URGENT),
            Step(0.0, "abcd", TypingDue()),
            Step(0.0, "abcd", Wait(4.5, newer=True)),
            Step(0.5, "abcde", Wait(1.0, newer=False)),
            Step(1.0, "abcdef", FRAME),
            Step(1.0, "abcdef", Wait(4.5, newer=True)),
            Step(4.25, "abcdefg", FRAME),
            Step(4.25, "abcdefgh", Wait(4.5, newer=False)),
            Step(4.5, "abcdefgh", TypingDue()),
            Step(4.5, "abcdefgh", Wait(5.25, newer=False)),
            Step(5.25, "abcdefgh", FRAME),
        ],
    ),
    (
        "an edit does not take the typing sign away",
        [
            Step(0.0, "abcd", TypingDue()),
            Step(0.0, "abcd", URGENT),
            Step(0.0, "abcd", TypingDue()),
            Step(1.0, "abcde", FRAME),
            Step(1.0, "abcde", Wait(4.5, newer=True)),
        ],
    ),
    (
        "a failed first message keeps its distance, and is urgent still",
        [
            Step(0.0, "abcd", TypingDue()),
            Step(0.0, "abcd", URGENT, shown=False),
            Step(0.0, "abcde", Wait(1.0, newer=False)),
            Step(1.0, "abcde", URGENT, shown=False),
            Step(1.5, "abcde", Wait(2.0, newer=False)),
            Step(2.0, "abcde", URGENT),
            Step(2.0, "abcde", TypingDue()),
        ],
    ),
    (
        "a failed edit keeps its distance, and what is shown is what was shown",
        [
            Step(0.0, "abcd", TypingDue()),
            Step(0.0, "abcd", URGENT),
            Step(0.0, "abcd", TypingDue()),
            Step(1.0, "abcde", FRAME, shown=False),
            Step(1.0, "abcde", Wait(2.0, newer=False)),
            Step(2.0, "abcd", Wait(4.5, newer=True)),
            Step(2.0, "abcde", FRAME),
        ],
    ),
    (
        "beyond a message's length nothing is new",
        [
            Step(0.0, word(5000), TypingDue()),
            Step(0.0, word(5000), URGENT),
            Step(0.0, word(5001), TypingDue()),
            Step(2.0, word(9000), Wait(4.5, newer=True)),
            Step(4.5, word(9000), TypingDue()),
        ],
    ),
    (
        "white space at the end is nothing new",
        [
            Step(0.0, "abcd", TypingDue()),
            Step(0.0, "abcd", URGENT),
            Step(0.0, "abcd", TypingDue()),
            Step(2.0, "abcd \n", Wait(4.5, newer=True)),
        ],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in EDIT_WALKS])
def test_edits_step_by_step(steps: list[Step]) -> None:
    assert walk(EditPace(1.0, CURSOR), steps) == steps


@pytest.mark.parametrize("cursor", ["", CURSOR])
def test_the_cursor_is_no_visible_character(cursor: str) -> None:
    pace = EditPace(1.0, cursor)
    pace.typed(0.0)
    assert FIRST_CHARACTERS == 4
    assert pace.poll(0.0, "abc") == Wait(TYPING_INTERVAL, newer=True)
    assert pace.poll(0.0, "abcd") == URGENT


def test_edits_of_an_evenly_growing_answer() -> None:
    window = Screening(EditPace(1.0, CURSOR), growing)
    window.run(20.0)
    assert window.frames == [0.1875 + second for second in range(20)]
    assert window.typing == [0.0, *(0.1875 + 4.5 * number for number in range(5))]


def test_a_silent_edit_is_not_repeated_but_typing_is() -> None:
    window = Screening(EditPace(1.0, CURSOR), lambda _: "abcd")
    window.run(20.0)
    assert window.frames == [0.0]
    assert window.typing == [0.0, 0.0, 4.5, 9.0, 13.5, 18.0]


# Any text and any luck

PACES = pytest.mark.parametrize("open_pace", [DraftPace, lambda interval: EditPace(interval, CURSOR)])
MOMENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.125, 0.25, 1.0, 5.0, 9.0]),  # until it is asked again
        st.sampled_from(["", " ", "a", "ab", "é😀", "\n\n", word(4090), word(9000)]),  # more text
        st.booleans(),  # whether a frame is shown
        st.sampled_from([0.0, 0.125, 3.0]),  # its latency
    ),
    max_size=30,
)
Moments: TypeAlias = list[tuple[float, str, bool, float]]


@PACES
@given(moments=MOMENTS, interval=st.sampled_from([0.2, 1.0, 4.0]))
def test_frames_keep_their_distance_whatever_happens(
    open_pace: Callable[[float], Pace], moments: Moments, interval: float
) -> None:
    """The only two frames that may be closer are the empty draft and the first text."""
    pace = open_pace(interval)
    now, text, last, had_text, failed = 0.0, "", -math.inf, False, False
    shown: str | None = None
    for pause, more, is_shown, latency in moments:
        now += pause
        text += more
        command = pace.poll(now, text)
        if isinstance(command, TypingDue):
            assert isinstance(pace, EditPace)
            pace.typed(now)
            command = pace.poll(now, text)
        if isinstance(command, Wait):
            assert command.until > now
            assert pace.poll(now, text) == command, "asking changes nothing"
            continue
        assert isinstance(command, Due), "typing is due once"
        frame = draft_text(text) if isinstance(pace, DraftPace) else edit_text(text, CURSOR)
        if frame == shown:
            assert isinstance(pace, DraftPace)
            assert now >= last + KEEP_ALIVE
        elif had_text or failed or shown is None or not frame:
            assert now >= last + interval
        assert command.urgent <= (not had_text)
        pace.begun(now)
        last = now
        now += latency
        pace.ended(text, shown=is_shown)
        failed = not is_shown
        if is_shown:
            shown = frame
            had_text = had_text or bool(frame)
        again = pace.poll(last, text)
        assert not isinstance(again, Due), "no hot loop"


@PACES
@given(
    lucky=st.lists(st.booleans(), min_size=1, max_size=5),
    latency=st.sampled_from([0.0, 0.125]),
    speed=st.sampled_from([0.1, 3.0, 40.0]),
)
def test_a_window_comes_to_show_the_whole_text(
    open_pace: Callable[[float], Pace], lucky: list[bool], latency: float, speed: float
) -> None:
    """With any luck that is not always bad, and never more often than once an interval."""
    window = Screening(
        open_pace(1.0),
        lambda now: word(int(min(now, 10.0) * speed) + 4),
        latency,
        lambda number: number > 20 or lucky[number % len(lucky)],
    )
    window.run(60.0, step=0.125)
    end = window.text_at(60.0)
    expected = draft_text(end) if isinstance(window.pace, DraftPace) else edit_text(end, CURSOR)
    assert window.pace._shown == expected
    assert all(after - before >= 1.0 for before, after in zip(window.frames, window.frames[1:], strict=False))
