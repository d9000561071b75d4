"""The pace of drafts, edits and the typing sign, to the exact second; no test knows more than a window would."""

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
    KEEP_ALIVE,
    LONGEST,
    MOMENT,
    MOST_SHARE,
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


def edit_pace(interval: float = 0.2) -> FramePace:
    return FramePace(edit_spacing(interval, private=True))


def group_pace(interval: float = 0.2) -> FramePace:
    return FramePace(edit_spacing(interval, private=False))


# Spacings

SPACINGS = [  # the cadence; and the distance with nothing to spare, with one, two ... nine, and with many
    (draft_spacing(0.0), 1.0, [0.96, 0.7, 0.66, 0.62, 0.54, 0.44, 0.26, 0.26, 0.22, 0.18, 0.18]),
    (draft_spacing(0.5), 1.0, [0.96, 0.7, 0.66, 0.62, 0.54, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
    (draft_spacing(2.0), 1.0, [2.0] * 11),
    (edit_spacing(0.2, private=True), 1.0, [1.0, 0.6, *[0.3] * 9]),
    (edit_spacing(1.0, private=True), 1.0, [1.0] * 11),
    (edit_spacing(1.0, private=False), 6.0, [5.5, 3.8, 2.2, 1.8, *[1.0] * 7]),
    (edit_spacing(3.0, private=False), 6.0, [5.5, 3.8, *[3.0] * 9]),
]


@pytest.mark.parametrize(("spacing", "cadence", "distances"), SPACINGS)
def test_how_far_frames_are_apart(spacing: Spacing, cadence: float, distances: list[float]) -> None:
    assert [spacing.at(slack) for slack in (*range(10), 99)] == distances
    short = [6.6, 6.0 * 1.3, 6.0 * (1 + MOST_SHARE)] if cadence == 6.0 else [distances[0]] * 3
    assert [spacing.at(slack) for slack in (-1, -3, -99)] == pytest.approx(short)
    assert spacing.cadence == FramePace(spacing).cadence == cadence


# Frames, step by step


@attrs.frozen
class Step:
    """At a time, with an answer of that revision, a command; and if a frame was due, whether it was shown, with text.

    With ``shown=None`` there was nothing new to see in it. ``slack`` is what the budget had to spare afterwards: for
    drafts, 0 means 0.96 s to the next frame, 5 means 0.44 s, and 9 the least, here 0.2 s.
    """

    now: float
    revision: int
    command: Due | Wait
    shown: bool | None = True
    text: bool = True
    slack: int = 9


def walk(pace: FramePace, steps: Iterable[Step]) -> list[Step]:
    """The steps as they went; what is due is done at once."""
    found = []
    for step in steps:
        command = pace.poll(step.now, step.revision)
        assert pace.poll(step.now, step.revision) == command, "asking again changes nothing"
        found.append(attrs.evolve(step, command=command))
        if isinstance(command, Due) and step.shown is None:
            pace.unchanged(step.revision)
        elif isinstance(command, Due):
            pace.begun(step.now)
            pace.ended(step.revision, shown=bool(step.shown), text=step.text, slack=step.slack)
    return found


DRAFT_WALKS: list[tuple[str, list[Step]]] = [
    (
        "the first text is shown as soon as it comes",
        [
            Step(0.0, 0, URGENT, text=False, slack=0),
            Step(0.0, 0, Wait(8.0, newer=True)),
            Step(0.125, 1, URGENT),
            Step(0.125, 1, Wait(8.125, newer=True)),
        ],
    ),
    (
        "also at the moment of the empty frame, but only once",
        [Step(0.0, 0, URGENT, text=False), Step(0.0, 1, URGENT), Step(0.0, 2, Wait(0.2, newer=False))],
    ),
    (
        "an answer that begins with text needs no empty frame",
        [Step(5.0, 3, URGENT, slack=5), Step(5.0, 4, Wait(5.44, newer=False)), Step(5.5, 4, FRAME)],
    ),
    (
        "the less there is to spare, the wider",
        [
            Step(0.0, 1, URGENT, slack=5),
            Step(0.25, 2, Wait(0.44, newer=False)),
            Step(0.5, 2, FRAME, slack=0),
            Step(0.5, 3, Wait(0.5 + 0.96, newer=False)),
            Step(1.25, 4, Wait(0.5 + 0.96, newer=False)),
            Step(2.0, 4, FRAME, slack=-7),
            Step(2.0, 5, Wait(2.96, newer=False)),
            Step(4.0, 5, FRAME, slack=20),
            Step(4.0, 6, Wait(4.2, newer=False)),
        ],
    ),
    (
        "a frame begins with its newest word",
        [
            Step(0.0, 1, URGENT, slack=5),
            Step(0.44, 2, Wait(0.44 + MOMENT, newer=True)),
            Step(0.46, 2, Wait(0.44 + MOMENT, newer=True)),
            Step(0.46, 3, FRAME, slack=5),
            Step(0.9, 4, Wait(0.46 + 0.44 + MOMENT, newer=True)),
            Step(0.91, 5, FRAME),
        ],
    ),
    (
        "if that comes within a moment",
        [
            Step(0.0, 1, URGENT, slack=5),
            Step(0.44, 2, Wait(0.44 + MOMENT, newer=True)),
            Step(0.44 + MOMENT, 2, FRAME),
        ],
    ),
    ("a moment that is over is not waited for", [Step(0.0, 1, URGENT, slack=5), Step(0.5, 2, FRAME)]),
    (
        "thinking is kept alive, and then the text",
        [
            Step(0.0, 0, URGENT, text=False),
            Step(7.875, 0, Wait(8.0, newer=True)),
            Step(8.0, 0, REPEAT, text=False),
            Step(8.0, 0, Wait(16.0, newer=True)),
            Step(16.5, 0, REPEAT, text=False, slack=0),
            Step(16.5, 0, Wait(24.5, newer=True)),
            Step(16.5, 1, URGENT),
            Step(16.5, 1, Wait(24.5, newer=True)),
            Step(24.5, 1, REPEAT),
            Step(24.5, 1, Wait(32.5, newer=True)),
            Step(30.0, 2, FRAME),
        ],
    ),
    (
        "what looks like the last frame is not shown, and does not keep the draft alive",
        [
            Step(0.0, 1, URGENT, slack=5),
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
        "nor does it begin another moment",
        [
            Step(0.0, 1, URGENT, slack=5),
            Step(0.44, 2, Wait(0.44 + MOMENT, newer=True)),
            Step(0.45, 3, FRAME, shown=None),
            Step(0.45, 3, Wait(8.0, newer=True)),
            Step(0.46, 4, FRAME),
        ],
    ),
    (
        "what looks like nothing is no first frame",
        [Step(0.0, 1, URGENT, shown=None), Step(0.0, 1, Wait(inf, newer=True)), Step(1.0, 2, URGENT)],
    ),
    (
        "a failed first frame keeps the distance, is urgent still, and waits for no word",
        [
            Step(0.0, 0, URGENT, shown=False, text=False, slack=5),
            Step(0.0, 0, Wait(0.44, newer=False)),
            Step(0.0, 1, Wait(0.44, newer=False)),
            Step(0.44, 1, URGENT, shown=False, slack=5),
            Step(0.44, 1, Wait(0.88, newer=False)),
            Step(0.88, 1, URGENT, slack=5),
            Step(1.0, 2, Wait(0.88 + 0.44, newer=False)),
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
        "a failed later frame keeps its distance",
        [
            Step(0.0, 1, URGENT),
            Step(2.0, 2, FRAME, shown=False, slack=5),
            Step(2.0, 2, Wait(2.44, newer=False)),
            Step(2.44, 2, Wait(2.44 + MOMENT, newer=True)),
            Step(2.5, 2, FRAME),
            Step(2.5, 2, Wait(10.5, newer=True)),
        ],
    ),
    (
        "a failed repeat waits as long as any",
        [
            Step(0.0, 1, URGENT),
            Step(8.0, 1, REPEAT, shown=False, slack=0),
            Step(8.0, 1, Wait(16.0, newer=True)),
            Step(8.0, 2, Wait(8.96, newer=False)),
        ],
    ),
    (
        "a failed repeat of thinking keeps its distance from the first text",
        [
            Step(0.0, 0, URGENT, text=False),
            Step(8.0, 0, REPEAT, shown=False, text=False, slack=5),
            Step(8.0, 0, Wait(16.0, newer=True)),
            Step(8.0, 1, Wait(8.44, newer=False)),
            Step(8.44, 1, URGENT),
        ],
    ),
    (
        "a sign of life after the text is a frame like any",
        [
            Step(0.0, 1, URGENT),
            Step(1.0, 2, FRAME, text=False, slack=5),
            Step(1.0, 3, Wait(1.44, newer=False)),
            Step(1.5, 3, FRAME),
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
        Step(3.0, 2, FRAME, slack=0),
        Step(3.0, 3, Wait(5.0, newer=False)),
    ]
    assert walk(draft_pace(2.0), steps) == steps


def test_a_frame_is_bound_late_and_shows_what_was_sent() -> None:
    """The text that ends a call may be newer than the one it was asked for."""
    pace = draft_pace()
    assert pace.poll(0.0, 1) == URGENT
    pace.begun(0.5)
    pace.ended(3, shown=True, text=True, slack=5)
    assert pace.poll(0.5, 3) == Wait(8.5, newer=True)
    assert pace.poll(0.5, 4) == Wait(0.94, newer=False)


EDIT_WALKS: list[tuple[str, list[Step]]] = [
    (
        "never repeated",
        [
            Step(0.0, 1, URGENT, slack=2),
            Step(0.0, 1, Wait(inf, newer=True)),
            Step(0.25, 2, Wait(0.3, newer=False)),
            Step(0.5, 2, FRAME, slack=1),
            Step(0.5, 3, Wait(0.5 + 0.6, newer=False)),
            Step(2.0, 3, FRAME, slack=0),
            Step(1000.0, 3, Wait(inf, newer=True)),
            Step(1000.0, 4, FRAME, slack=0),
            Step(1000.0, 5, Wait(1001.0, newer=False)),
        ],
    ),
    (
        "too little text opens no message, and is asked for again with the next",
        [
            Step(0.0, 1, URGENT, shown=None),
            Step(0.0, 1, Wait(inf, newer=True)),
            Step(0.25, 2, URGENT, shown=None),
            Step(0.5, 3, URGENT, slack=0),
            Step(0.5, 4, Wait(1.5, newer=False)),
        ],
    ),
    (
        "a failed first message keeps its distance, and is urgent still",
        [
            Step(0.0, 1, URGENT, shown=False, slack=0),
            Step(0.0, 2, Wait(1.0, newer=False)),
            Step(1.0, 2, URGENT, shown=False, slack=0),
            Step(1.5, 2, Wait(2.0, newer=False)),
            Step(2.0, 2, URGENT),
        ],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(row[1], id=row[0]) for row in EDIT_WALKS])
def test_edits_step_by_step(steps: list[Step]) -> None:
    assert walk(edit_pace(), steps) == steps


# The typing sign


def test_what_the_screen_has_lost_is_due_again() -> None:
    pace = draft_pace()
    pace.begun(0.0)
    pace.ended(1, shown=True, text=True, slack=20)
    assert isinstance(pace.poll(5.0, 1), Wait)
    pace.lost()
    assert pace.poll(5.0, 1) == Due(urgent=False)


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
    """A window in its own little time, with a chat's budget: it does what both say, and each call takes ``latency``."""

    pace: FramePace
    cost: Cost
    revision_at: Callable[[float], int]
    private: bool = True
    latency: float = 0.0
    outcomes: Callable[[int], bool] = lambda _: True
    budget: ChatBudget = attrs.field(init=False)
    frames: list[float] = attrs.Factory(list)
    longest_wait: float = 0.0
    shown: int = -1
    polls: int = 0

    def __attrs_post_init__(self) -> None:
        self.budget = ChatBudget.open(private=self.private, overall=open_overall())

    def run(self, until: float, *, start: float = 0.0, step: float = 0.0625) -> None:
        """A wait for newer text ends with the first ``step`` at which there is some."""
        now = start
        while now < until:
            self.polls += 1
            revision = self.revision_at(now)
            command = self.pace.poll(now, revision)
            if isinstance(command, Wait):
                assert command.until > now
                now = self._newer(revision, now, min(command.until, until), step) if command.newer else command.until
            else:
                now = self._show(now, urgent=command.urgent)

    def _show(self, now: float, *, urgent: bool) -> float:
        free = self.budget.free_at(now, self.cost, Priority.URGENT if urgent else Priority.FRAME)
        self.longest_wait = max(self.longest_wait, free - now)
        revision = self.revision_at(free)
        self.frames.append(free)
        self.pace.begun(free)
        self.budget.begin(self.cost)
        now = free + self.latency
        self.budget.end(self.cost, now)
        shown = self.outcomes(len(self.frames))
        slack = self.budget.slack(now, self.cost, self.pace.cadence)
        self.pace.ended(revision, shown=shown, text=revision > 0, slack=slack)
        self.shown = revision if shown else self.shown
        return now

    def _newer(self, revision: int, now: float, until: float, step: float) -> float:
        while now < until and self.revision_at(now) == revision:
            now = min(now + step, until)
        return now

    @property
    def distances(self) -> list[float]:
        return [round(after - before, 9) for before, after in zip(self.frames, self.frames[1:], strict=False)]


def growing(now: float) -> int:
    """A hundred deltas a second."""
    return 1 + int(now * 100)


def busiest(times: list[float], period: float) -> int:
    return max(sum(start <= other < start + period for other in times) for start in times)


ANSWERS = pytest.mark.parametrize(
    ("open_pace", "cost", "private", "widest"),
    [
        (draft_pace, Cost.DRAFT, True, 0.96),
        (edit_pace, Cost.MESSAGE, True, 1.0),
        (group_pace, Cost.MESSAGE, False, 5.5),
    ],
)
LATENCIES = pytest.mark.parametrize("latency", [0.0, 0.0625, 0.25])


@ANSWERS
@LATENCIES
def test_an_evenly_growing_answer_never_stands_still(
    open_pace: Callable[[], FramePace], cost: Cost, private: bool, widest: float, latency: float
) -> None:
    """What the pace wants, the budget has, but for a reply's time: ten minutes of frames, and no gap among them."""
    window = Screening(open_pace(), cost, growing, private, latency)
    window.run(600.0, step=0.01)
    assert window.frames[0] == 0.0
    assert window.longest_wait <= latency + MOMENT + 1e-9
    assert max(window.distances) <= widest + MOMENT + latency + MOMENT + 1e-9


@LATENCIES
def test_early_frames_are_dense(latency: float) -> None:
    drafts = Screening(draft_pace(), Cost.DRAFT, growing, latency=latency)
    drafts.run(30.0, step=0.01)
    assert sum(now < 2.0 for now in drafts.frames) >= 7
    assert sum(now < 5.0 for now in drafts.frames) == 13
    assert sum(now < 30.0 for now in drafts.frames) == 40
    group = Screening(group_pace(), Cost.MESSAGE, growing, private=False, latency=latency)
    group.run(60.0, step=0.01)
    assert sum(now < 5.0 for now in group.frames) == 4
    assert sum(now < 60.0 for now in group.frames) == 15


@LATENCIES
def test_one_answer_after_the_other_gets_a_pace_that_it_can_keep(latency: float) -> None:
    """The first word of each is shown at once, however dense the frames before it were."""
    window = Screening(draft_pace(), Cost.DRAFT, growing, latency=latency)
    for start in range(0, 120, 6):
        window.pace = draft_pace()
        before = len(window.frames)
        window.run(start + 5.0, start=float(start), step=0.01)
        assert window.frames[before] == start
        assert len(window.frames) - before >= 5
    assert window.longest_wait <= latency
    assert busiest(window.frames, 30.0) <= 40


def test_a_window_asks_four_times_a_frame_at_most() -> None:
    """After the last frame, at newer text, when it is due, and at its newest word."""
    window = Screening(draft_pace(), Cost.DRAFT, growing)
    window.run(60.0, step=0.01)
    assert window.polls <= 4 * len(window.frames)


@pytest.mark.parametrize("revision", [0, 1])
def test_a_silent_draft_is_repeated_every_eight_seconds(revision: int) -> None:
    window = Screening(draft_pace(), Cost.DRAFT, lambda _: revision)
    window.run(60.0)
    assert window.frames == [8.0 * number for number in range(8)]
    assert KEEP_ALIVE == 8.0


@pytest.mark.parametrize("open_pace", [edit_pace, group_pace])
def test_a_silent_edit_is_not_repeated(open_pace: Callable[[], FramePace]) -> None:
    window = Screening(open_pace(), Cost.MESSAGE, lambda _: 1)
    window.run(60.0)
    assert window.frames == [0.0]


# Any answer and any luck

PACES = pytest.mark.parametrize("open_pace", [draft_pace, edit_pace, group_pace])
MOMENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.03125, 0.125, 0.25, 1.0, 5.0, 9.0]),  # until it is asked again
        st.sampled_from(["nothing", "white space", "text"]),  # what is new
        st.sampled_from([True, False, None]),  # whether a frame is shown, if it is sent at all
        st.sampled_from([0.0, 0.125, 3.0]),  # its latency
        st.integers(-3, 12),  # what is to spare then
    ),
    max_size=30,
)
Moments: TypeAlias = list[tuple[float, str, bool | None, float, int]]


@PACES
@given(moments=MOMENTS, interval=st.sampled_from([0.2, 1.0, 4.0]))
def test_frames_keep_their_distance_whatever_happens(
    open_pace: Callable[[float], FramePace], moments: Moments, interval: float
) -> None:
    """The only two frames that may be closer are the last without text and the first with it."""
    pace = open_pace(interval)
    now, revision, has_text, last = 0.0, 0, False, -inf
    had_text = failed = False
    seen: int | None = None
    for pause, news, shown, latency, slack in moments:
        now += pause
        revision += news != "nothing"
        has_text = has_text or news == "text"
        command = pace.poll(now, revision)
        if isinstance(command, Wait):
            assert command.until > now
            assert command.newer or revision != seen, "nothing newer can come that is not waited for"
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
            assert isinstance(pace.poll(now, revision), Wait) or now >= last + KEEP_ALIVE
            continue
        pace.begun(now)
        last = now
        now += latency
        pace.ended(revision, shown=shown, text=has_text, slack=slack)
        failed = not shown
        if shown:
            seen = revision
            had_text = had_text or has_text
        assert isinstance(pace.poll(last, revision), Wait), "no hot loop"


@ANSWERS
@given(
    lucky=st.lists(st.booleans(), min_size=1, max_size=5),
    latency=st.sampled_from([0.0, 0.125]),
    speed=st.sampled_from([0.1, 3.0, 40.0]),
)
def test_a_window_comes_to_show_the_whole_text(
    open_pace: Callable[[], FramePace],
    cost: Cost,
    private: bool,
    widest: float,
    lucky: list[bool],
    latency: float,
    speed: float,
) -> None:
    """With any luck that is not always bad."""
    window = Screening(
        open_pace(),
        cost,
        lambda now: int(min(now, 10.0) * speed) + 4,
        private,
        latency,
        lambda number: number > 8 or lucky[number % len(lucky)],
    )
    window.run(90.0, step=0.125)
    assert window.shown == window.revision_at(90.0)
    assert min(window.distances, default=1.0) >= 0.2


@pytest.mark.parametrize(
    ("spacing", "stretch", "seconds"),
    [
        (draft_spacing(0.2), 1.0, 0.2),
        (draft_spacing(0.2), 1.25, 1.25),
        (draft_spacing(0.2), 9.0, LONGEST),
        (edit_spacing(1.0, private=False), 3.0, LONGEST),
    ],
)
def test_a_busy_process_spends_nothing_that_the_budget_has_to_spare(
    spacing: Spacing, stretch: float, seconds: float
) -> None:
    assert spacing.at(99, stretch) == seconds


def test_a_cadence_that_is_wide_already_is_not_stretched() -> None:
    assert edit_spacing(1.0, private=False).at(0, 3.0) == edit_spacing(1.0, private=False).at(0)
