"""When the next frame of an answer is due: dense while the answer is young, wider as it uses up the budget.

A pace is asked by `poll` what to do now, and told by `begun`, `ended` and `unchanged` what was done. It knows the
answer by its revision, and never looks at the text. Rules:

1. What the screen shows already is not sent again, but to keep a draft alive.
2. The first frame is due at once; later ones when their spacing is over, which is the wider the less the budget has
   to spare: the first answer of a chat, and the tenth within a minute, each get a pace that they can keep.
3. Text is bound by the caller when the call begins, so a frame that waited is as fresh as one that did not. And it
   begins with its newest word, if that comes within a moment, and not just before it.
4. A call that failed counts as made: the next one keeps its distance.
"""

from __future__ import annotations

import math

import attrs

KEEP_ALIVE = 8.0
"""Seconds between repeats of an unchanged draft. Clients drop one after 30 s, one server is said to set 10."""

MOMENT = 0.04
"""Seconds that a frame waits for the next word: a model that speaks 25 tokens a second says one."""

LONGEST = 3.0
"""Seconds between two frames of a draft, or of a private chat's edits, however busy the machine is."""

MOST_SHARE = 0.5
"""Of the cadence, by which frames are further apart than that, at most, because the budget has no room for them."""

TYPING_INTERVAL = 4.5
"""Seconds between chat actions, which last 5 (Bot API, sendChatAction)."""


@attrs.frozen
class Spacing:
    """Seconds between two frames, by how many more the budget takes beyond one every ``cadence`` seconds.

    ``steps`` begin with none: the cadence itself, or a little less. ``least`` is the shortest distance; for each frame
    that the budget has no room for, they are a ``share`` of the cadence further apart.
    """

    cadence: float
    steps: tuple[float, ...]
    least: float
    share: float = 0.0

    def at(self, slack: int, stretch: float = 1.0) -> float:
        """Where there is a stretch, what is to spare of the budget is not spent, and the cadence is stretched."""
        seconds = max(self.least, self._step(slack))
        return seconds if stretch == 1 else max(seconds, min(self.cadence * stretch, LONGEST))

    def _step(self, slack: int) -> float:
        if slack < 0 and self.share:  # a message that filled up has taken places of frames: better some later than one
            return self.cadence * (1 + min(-slack * self.share, MOST_SHARE))
        return self.steps[max(0, min(slack, len(self.steps) - 1))]


def draft_spacing(interval: float) -> Spacing:
    """For drafts at least ``interval`` apart.

    Telegram takes 40 calls in 30 s, so one a second leaves nine to spare. They are spent early, for nobody knows how
    long an answer will get: a short one gets a frame every quarter of a second, a long one settles, and is dense again
    when its first frames have left the window. The numbers come from `benchmarks/freshness.py`: of the spacings that
    never leave a gap of more than a second, these stay closest to the best that is possible for each length.
    """
    return Spacing(1.0, (0.96, 0.7, 0.66, 0.62, 0.54, 0.44, 0.26, 0.26, 0.22, 0.18), least=interval)


def edit_spacing(interval: float, *, private: bool) -> Spacing:
    """For edits at least ``interval`` apart.

    A private chat takes one a second for ever, and two more at once. A group takes 20 calls a minute, of which 15 are
    for frames: one every six seconds leaves five to spare, for the beginning.
    """
    if private:
        return Spacing(1.0, (1.0, 0.6, 0.3), least=interval)
    return Spacing(6.0, (5.5, 3.8, 2.2, 1.8, 1.0), least=interval, share=0.1)


@attrs.frozen
class Due:
    """A frame is due; an ``urgent`` one may use the budget's reserve, a ``repeat`` is sent even if nothing is new."""

    urgent: bool
    repeat: bool = False


@attrs.frozen
class Wait:
    """Nothing is due before ``until``, unless ``newer`` and the text changes earlier."""

    until: float
    newer: bool


class FramePace:
    """The pace of one answer's frames; ``keep_alive`` is the longest time in seconds without one."""

    def __init__(self, spacing: Spacing, *, keep_alive: float = math.inf) -> None:
        self._spacing = spacing
        self._keep_alive = keep_alive
        self._last_begun = -math.inf
        self._repeat_at = math.inf
        self._distance = 0.0
        self._text_shown = False
        self._seen: int | None = None
        self._due_with: int | None = None  # the revision that there was when the frame became due

    @property
    def cadence(self) -> float:
        return self._spacing.cadence

    @property
    def next_at(self) -> float:
        """When the next frame with something new is due, at the earliest."""
        return self._last_begun + self._distance

    def poll(self, now: float, revision: int) -> Due | Wait:
        if revision == self._seen:
            due = self._repeat_at
            return Due(urgent=False, repeat=True) if now >= due else Wait(due, newer=True)
        due = self.next_at
        if now < due:
            return Wait(due, newer=False)
        if self._waits_for_word(now, revision):
            return Wait(due + MOMENT, newer=True)
        return Due(urgent=not self._text_shown)

    def _waits_for_word(self, now: float, revision: int) -> bool:
        """Whether the frame is worth a moment more; the first one is not, for there is nothing on screen."""
        if not self._text_shown or now >= self.next_at + MOMENT:
            return False
        self._due_with = revision if self._due_with is None else self._due_with
        return revision == self._due_with

    def begun(self, now: float) -> None:
        self._last_begun = now
        self._due_with = None
        self._repeat_at = now + self._keep_alive

    def ended(self, revision: int, *, shown: bool, text: bool, slack: int, stretch: float = 1.0) -> None:
        """The frame of that revision was ``shown`` or not; without ``text`` it was only a sign of life.

        ``slack`` is what the budget has to spare now, beyond the cadence of the spacing; ``stretch`` is that of `load`.
        """
        waits_for_text = shown and not text and not self._text_shown
        self._distance = 0.0 if waits_for_text else self._spacing.at(slack, stretch)
        if shown:
            self._seen = revision
            self._text_shown = self._text_shown or text

    def lost(self) -> None:
        """Nothing of it is on screen any more."""
        self._seen = None

    def unchanged(self, revision: int) -> None:
        """A frame of that revision would look like the last one, or like nothing."""
        self._seen = revision


class TypingPace:
    """The pace of a chat's typing sign."""

    def __init__(self) -> None:
        self._due = -math.inf

    @property
    def due(self) -> float:
        return self._due

    def typed(self, now: float) -> None:
        self._due = now + TYPING_INTERVAL

    def taken_away(self) -> None:
        """A new message takes the sign off the screen."""
        self._due = -math.inf
