"""The pace of drafts, edits and the typing sign, to the exact second; no test knows more than a window would."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.budget import ChatBudget, Cost, Priority, open_overall
from triolet.core.pace import (
    KEEP_ALIVE,
    TYPING_INTERVAL,
    Due,
    FramePace,
    Spacing,
    TypingPace,
    Wait,
    draft_spacing,
    edit_spacing,
)

inf = math.inf
URGENT, FRAME, REPEAT = Due(urgent=True), Due(urgent=False), Due(urgent=False, repeat=True)


def draft_pace(interval: float = 0.2) -> FramePace:
    return FramePace(draft_spacing(interval), keep_alive=KEEP_ALIVE)


def edit_pace(interval: float = 1.0) -> FramePace:
    return FramePace(edit_spacing(interval, private=True))


def group_pace(interval: float = 1.0) -> FramePace:
    return FramePace(edit_spacing(interval, private=False))


# Spacings

SPACINGS = [
    (draft_spacing(0.2), [0.25, 0.375, 0.5, 1.0, 1.0]),
    (draft_spacing(0.5), [0.5, 0.5, 0.5, 1.0, 1.0]),
    (draft_spacing(2.0), [2.0, 2.0, 2.0, 2.0, 2.0]),
    (edit_spacing(1.0, private=True), [1.0, 1.0, 1.0, 1.0, 1.0]),
    (edit_spacing(0.3, private=True), [0.3, 0.3, 0.3, 0.3, 0.3]),
    (edit_spacing(1.0, private=False), [1.0, 1.15, 1.3, 1.9, 4.0]),
    (edit_spacing(3.0, private=False), [3.0, 3.0, 3.0, 3.0, 4.0]),
    (edit_spacing(5.0, private=False), [5.0, 5.0, 5.0, 5.0, 5.0]),
]


@pytest.mark.parametrize(("spacing", "expected"), SPACINGS)
def test_how_far_frames_are_apart(spacing: Spacing, expected: list[float]) -> None:
    assert [spacing.at(age) for age in (0.0, 1.0, 2.0, 6.0, 1000.0)] == expected


# Frames, step by step


@attrs.frozen
class Step:
    """At a time, with an answer of that revision, a command; and if a frame was due, whether it was shown, with text.

    With ``shown=None`` there was nothing new to see in it.
    """

    now: float
    revision: int
    command: Due | Wait
    shown: bool | None = True
    text: bool = True


def walk(pace: FramePace, steps: Iterable[Step]) -> list[Step]:
    """The steps as they went; what is due is done at once."""
    found = []
    for step in steps:
        command = pace.poll(step.now, step.revision)
        assert pace.poll(step.now, step.revision) == command, "asking changes nothing"
        found.append(attrs.evolve(step, command=command))
        if isinstance(command, Due) and step.shown is None:
            pace.unchanged(step.revision)
        elif isinstance(command, Due):
            pace.begun(step.now)
            pace.ended(step.revision, shown=bool(step.shown), text=step.text)
    return found


DRAFT_WALKS: list[tuple[str, list[Step]]] = [
    (
        "the first text is shown as soon as it comes",
        [
            Step(0.0, 0, URGENT, text=False),
            Step(0.0, 0, Wait(8.0, newer=True)),
            Step(0.125, 1, URGENT),
            Step(0.125, 1, Wait(8.125, newer=True)),
        ],
    ),
    (
        "also at the moment of the empty frame, but only once",
        [Step(0.0, 0, URGENT, text=False), Step(0.0, 1, URGENT), Step(0.0, 2, Wait(0.25, newer=False))],
    ),
    (
        "an answer that begins with text needs no empty frame",
        [Step(5.0, 3, URGENT), Step(5.0, 4, Wait(5.25, newer=False)), Step(5.25, 4, FRAME)],
    ),
    (
        "distances grow by an eighth of a second for each second of age, up to one",
        [
            Step(0.0, 1, URGENT),
            Step(0.0, 2, Wait(0.25, newer=False)),
            Step(2.0, 2, FRAME),
            Step(2.0, 3, Wait(2.5, newer=False)),
            Step(2.375, 4, Wait(2.5, newer=False)),
            Step(2.5, 4, FRAME),
            Step(5.5, 5, FRAME),
            Step(5.5, 6, Wait(6.4375, newer=False)),
            Step(6.0, 6, Wait(6.4375, newer=False)),
            Step(7.0, 6, FRAME),
            Step(7.0, 7, Wait(8.0, newer=False)),
            Step(100.0, 7, FRAME),
            Step(100.0, 8, Wait(101.0, newer=False)),
        ],
    ),
    (
        "age begins with the first text, not with the empty frame",
        [
            Step(0.0, 0, URGENT, text=False),
            Step(4.0, 1, URGENT),
            Step(4.0, 2, Wait(4.25, newer=False)),
            Step(6.0, 2, FRAME),
            Step(6.0, 3, Wait(6.5, newer=False)),
        ],
    ),
    (
        "thinking is kept alive, and then the text",
        [
            Step(0.0, 0, URGENT, text=False),
            Step(7.875, 0, Wait(8.0, newer=True)),
            Step(8.0, 0, REPEAT, text=False),
            Step(8.0, 0, Wait(16.0, newer=True)),
            Step(16.5, 0, REPEAT, text=False),
            Step(16.5, 0, Wait(24.5, newer=True)),
            Step(20.0, 1, URGENT),
            Step(20.0, 1, Wait(28.0, newer=True)),
            Step(28.0, 1, REPEAT),
            Step(28.0, 1, Wait(36.0, newer=True)),
            Step(30.0, 2, FRAME),
        ],
    ),
    (
        "what looks like the last frame is not shown, and does not keep the draft alive",
        [
            Step(0.0, 1, URGENT),
            Step(2.0, 2, FRAME, shown=None),
            Step(2.0, 2, Wait(8.0, newer=True)),
            Step(2.0, 3, FRAME),
            Step(2.0, 3, Wait(10.0, newer=True)),
            Step(9.0, 4, FRAME, shown=None),
            Step(9.0, 4, Wait(10.0, newer=True)),
            Step(10.0, 4, REPEAT),
        ],
    ),
    (
        "what looks like nothing is no first frame",
        [Step(0.0, 1, URGENT, shown=None), Step(0.0, 1, Wait(inf, newer=True)), Step(1.0, 2, URGENT)],
    ),
    (
        "a failed first frame keeps the distance, and is urgent still",
        [
            Step(0.0, 0, URGENT, shown=False, text=False),
            Step(0.0, 0, Wait(0.25, newer=False)),
            Step(0.0, 1, Wait(0.25, newer=False)),
            Step(0.25, 1, URGENT, shown=False),
            Step(0.25, 1, Wait(0.5, newer=False)),
            Step(0.5, 1, URGENT),
            Step(0.5, 2, Wait(0.75, newer=False)),
        ],
    ),
    (
        "a failure is forgotten when the next sign is shown",
        [
            Step(0.0, 0, URGENT, shown=False, text=False),
            Step(0.25, 0, URGENT, text=False),
            Step(0.25, 1, URGENT),
        ],
    ),
    (
        "a failed later frame keeps the distance of its age",
        [
            Step(0.0, 1, URGENT),
            Step(2.0, 2, FRAME, shown=False),
            Step(2.0, 2, Wait(2.5, newer=False)),
            Step(2.5, 2, FRAME, shown=False),
            Step(2.5, 2, Wait(3.0625, newer=False)),
            Step(3.0625, 2, FRAME),
            Step(3.0625, 2, Wait(11.0625, newer=True)),
        ],
    ),
    (
        "a failed repeat waits as long as any",
        [
            Step(0.0, 1, URGENT),
            Step(8.0, 1, REPEAT, shown=False),
            Step(8.0, 1, Wait(16.0, newer=True)),
            Step(8.0, 2, Wait(9.0, newer=False)),
        ],
    ),
    (
        "a failed repeat of thinking keeps its distance from the first text",
        [
            Step(0.0, 0, URGENT, text=False),
            Step(8.0, 0, REPEAT, shown=False, text=False),
            Step(8.0, 0, Wait(16.0, newer=True)),
            Step(8.0, 1, Wait(8.25, newer=False)),
        ],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in DRAFT_WALKS])
def test_drafts_step_by_step(steps: list[Step]) -> None:
    assert walk(draft_pace(), steps) == steps


def test_a_wider_interval_is_kept_as_well() -> None:
    steps = [
        Step(0.0, 0, URGENT, text=False),
        Step(0.5, 1, URGENT),
        Step(0.5, 2, Wait(2.5, newer=False)),
        Step(2.5, 2, FRAME),
        Step(20.0, 3, FRAME),
        Step(20.0, 4, Wait(22.0, newer=False)),
    ]
    assert walk(draft_pace(2.0), steps) == steps


def test_a_frame_is_bound_late_and_shows_what_was_sent() -> None:
    """The text that ends a call may be newer than the one it was asked for."""
    pace = draft_pace()
    assert pace.poll(0.0, 1) == URGENT
    pace.begun(0.5)
    pace.ended(3, shown=True, text=True)
    assert pace.poll(0.5, 3) == Wait(8.5, newer=True)
    assert pace.poll(0.5, 4) == Wait(0.75, newer=False)


EDIT_WALKS: list[tuple[str, list[Step]]] = [
    (
        "a second apart, and never repeated",
        [
            Step(0.0, 1, URGENT),
            Step(0.0, 1, Wait(inf, newer=True)),
            Step(0.5, 2, Wait(1.0, newer=False)),
            Step(1.0, 2, FRAME),
            Step(1000.0, 2, Wait(inf, newer=True)),
            Step(1000.0, 3, FRAME),
            Step(1000.0, 4, Wait(1001.0, newer=False)),
        ],
    ),
    (
        "too little text opens no message, and is asked for again with the next",
        [
            Step(0.0, 1, URGENT, shown=None),
            Step(0.0, 1, Wait(inf, newer=True)),
            Step(0.25, 2, URGENT, shown=None),
            Step(0.5, 3, URGENT),
            Step(0.5, 4, Wait(1.5, newer=False)),
        ],
    ),
    (
        "a failed first message keeps its distance, and is urgent still",
        [
            Step(0.0, 1, URGENT, shown=False),
            Step(0.0, 2, Wait(1.0, newer=False)),
            Step(1.0, 2, URGENT, shown=False),
            Step(1.5, 2, Wait(2.0, newer=False)),
            Step(2.0, 2, URGENT),
        ],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in EDIT_WALKS])
def test_edits_step_by_step(steps: list[Step]) -> None:
    assert walk(edit_pace(), steps) == steps


# The typing sign


def test_typing_is_shown_at_once_and_while_it_lasts() -> None:
    typing = TypingPace()
    assert typing.due == -inf
    typing.typed(10.0)
    assert typing.due == 14.5
    typing.typed(14.5)
    assert typing.due == 19.0
    assert TYPING_INTERVAL < 5.0, "how long it lasts"


def test_typing_is_shown_again_after_a_message() -> None:
    typing = TypingPace()
    typing.typed(10.0)
    typing.taken_away()
    assert typing.due == -inf
    typing.typed(11.0)
    assert typing.due == 15.5


# A whole answer


@attrs.define
class Screening:
    """A window in its own little time: it does what the pace says, and each call takes ``latency``."""

    pace: FramePace
    revision_at: Callable[[float], int]
    latency: float = 0.0
    outcomes: Callable[[int], bool] = lambda _: True
    frames: list[float] = attrs.Factory(list)
    shown: int = -1
    polls: int = 0

    def run(self, until: float, step: float = 0.0625) -> None:
        """A wait for newer text ends with the first ``step`` at which there is some."""
        now = 0.0
        while now < until:
            self.polls += 1
            revision = self.revision_at(now)
            command = self.pace.poll(now, revision)
            if isinstance(command, Wait):
                assert command.until > now
                now = self._newer(revision, now, command.until, until, step) if command.newer else command.until
            else:
                self.frames.append(now)
                self.pace.begun(now)
                now += self.latency
                shown = self.outcomes(len(self.frames))
                self.pace.ended(revision, shown=shown, text=revision > 0)
                self.shown = revision if shown else self.shown

    def _newer(self, revision: int, now: float, due: float, until: float, step: float) -> float:
        while now < min(due, until) and self.revision_at(now) == revision:
            now = min(now + step, due)
        return now


def growing(now: float) -> int:
    """Sixteen deltas a second."""
    return 1 + int(now * 16)


EARLY = [0.0, 0.25, 0.53125, 0.84765625, 1.20361328125, 1.6040649414062]


def busiest(times: list[float], period: float) -> int:
    return max(sum(start <= other < start + period for other in times) for start in times)


@pytest.mark.parametrize("latency", [0.0, 0.0625, 0.25])
def test_drafts_of_an_evenly_growing_answer(latency: float) -> None:
    window = Screening(draft_pace(), growing, latency)
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
    window = Screening(draft_pace(), growing)
    window.run(60.0)
    assert window.polls <= 3 * len(window.frames)


@pytest.mark.parametrize("latency", [0.0625, 0.25, 1.0])
@pytest.mark.parametrize("thinking", [0.0, 1.0, 20.0])
def test_an_answer_in_an_idle_chat_hardly_waits_for_the_budget(latency: float, thinking: float) -> None:
    """What the pace wants, the budget has, but for a reply's time; and the reserve is free at any time."""
    budget = ChatBudget.open(private=True, overall=open_overall())
    pace = draft_pace()
    now, frames = 0.0, 0
    while now < 90.0:
        revision = growing(now - thinking) if now >= thinking else 0
        command = pace.poll(now, revision)
        if isinstance(command, Wait):
            now = min(command.until, thinking) if now < thinking else command.until
            continue
        free = budget.free_at(now, Cost.DRAFT, Priority.URGENT if command.urgent else Priority.FRAME)
        assert free - now <= latency
        now = free
        frames += 1
        for allowance in budget.drafts:
            allowance.begin()
        pace.begun(now)
        now += latency
        for allowance in budget.drafts:
            allowance.end(now)
        pace.ended(revision, shown=True, text=revision > 0)
        assert budget.free_at(now, Cost.DRAFT, Priority.URGENT) == now
    assert frames > 60


@pytest.mark.parametrize("revision", [0, 1])
def test_a_silent_draft_is_repeated_every_eight_seconds(revision: int) -> None:
    window = Screening(draft_pace(), lambda _: revision)
    window.run(60.0)
    assert window.frames == [8.0 * number for number in range(8)]
    assert KEEP_ALIVE == 8.0


def test_a_silent_edit_is_not_repeated() -> None:
    window = Screening(edit_pace(), lambda _: 1)
    window.run(60.0)
    assert window.frames == [0.0]


def test_edits_of_an_evenly_growing_answer() -> None:
    window = Screening(edit_pace(), growing)
    window.run(20.0)
    assert window.frames == [float(second) for second in range(20)]


def test_edits_in_a_group_come_early_and_then_every_four_seconds() -> None:
    window = Screening(group_pace(), growing)
    window.run(300.0)
    assert sum(now < 10.0 for now in window.frames) == 7
    distances = [round(after - before, 9) for before, after in zip(window.frames, window.frames[1:], strict=False)]
    assert distances[0] == 1.0
    assert distances == sorted(distances), "ever wider"
    assert distances[11:] == [4.0] * len(distances[11:])
    assert busiest([now for now in window.frames if now >= 20.0], 60.0) == 15, "what the budget has for ever"


# Any answer and any luck

PACES = pytest.mark.parametrize("open_pace", [draft_pace, edit_pace, group_pace])
MOMENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.125, 0.25, 1.0, 5.0, 9.0]),  # until it is asked again
        st.sampled_from(["nothing", "white space", "text"]),  # what is new
        st.sampled_from([True, False, None]),  # whether a frame is shown, if it is sent at all
        st.sampled_from([0.0, 0.125, 3.0]),  # its latency
    ),
    max_size=30,
)


@PACES
@given(moments=MOMENTS, interval=st.sampled_from([0.2, 1.0, 4.0]))
def test_frames_keep_their_distance_whatever_happens(
    open_pace: Callable[[float], FramePace], moments: list[tuple[float, str, bool | None, float]], interval: float
) -> None:
    """The only two frames that may be closer are the last without text and the first with it."""
    pace = open_pace(interval)
    now, revision, has_text, last = 0.0, 0, False, -inf
    had_text = failed = False
    seen: int | None = None
    for pause, news, shown, latency in moments:
        now += pause
        revision += news != "nothing"
        has_text = has_text or news == "text"
        command = pace.poll(now, revision)
        if isinstance(command, Wait):
            assert command.until > now
            continue
        assert command.urgent <= (not had_text)
        assert command.repeat == (revision == seen)
        if command.repeat:
            assert (open_pace is draft_pace, now >= last + KEEP_ALIVE) == (True, True)
        elif had_text or failed:
            assert now >= last + interval
        if shown is None:
            pace.unchanged(revision)
            seen = revision
            assert command.repeat or isinstance(pace.poll(now, revision), Wait) or now >= last + KEEP_ALIVE
            continue
        pace.begun(now)
        last = now
        now += latency
        pace.ended(revision, shown=shown, text=has_text)
        failed = not shown
        if shown:
            seen = revision
            had_text = had_text or has_text
        assert isinstance(pace.poll(last, revision), Wait), "no hot loop"


@PACES
@given(
    lucky=st.lists(st.booleans(), min_size=1, max_size=5),
    latency=st.sampled_from([0.0, 0.125]),
    speed=st.sampled_from([0.1, 3.0, 40.0]),
)
def test_a_window_comes_to_show_the_whole_text(
    open_pace: Callable[[float], FramePace], lucky: list[bool], latency: float, speed: float
) -> None:
    """With any luck that is not always bad, and never more often than once an interval."""
    window = Screening(
        open_pace(1.0),
        lambda now: int(min(now, 10.0) * speed) + 4,
        latency,
        lambda number: number > 15 or lucky[number % len(lucky)],
    )
    window.run(90.0, step=0.125)
    assert window.shown == window.revision_at(90.0)
    assert all(after - before >= 1.0 for before, after in zip(window.frames, window.frames[1:], strict=False))
