"""When the next frame of an answer is due: dense while the answer is young, wider as it grows.

A pace is asked by `poll` what to do now, and told by `begun`, `ended` and `unchanged` what was done. It knows the
answer by its revision, and never looks at the text. Rules:

1. What the screen shows already is not sent again, but to keep a draft alive.
2. The first frame is due at once; later ones when their spacing is over. Text is bound by the caller when the
   call begins, so a frame that waited is as fresh as one that did not.
3. A call that failed counts as made: the next one keeps its distance.
"""

from __future__ import annotations

import math

import attrs

KEEP_ALIVE = 8.0
"""Seconds between repeats of an unchanged draft. Clients drop one after 30 s, one server is said to set 10."""

TYPING_INTERVAL = 4.5
"""Seconds between chat actions, which last 5 (Bot API, sendChatAction)."""


@attrs.frozen
class Spacing:
    """Seconds between two frames: ``base``, and ``slope`` more for each second of the answer's age, up to ``most``."""

    base: float
    slope: float = 0.0
    most: float = math.inf
    least: float = 0.0

    def at(self, age: float) -> float:
        return max(self.least, min(self.most, self.base + self.slope * age))


def draft_spacing(interval: float) -> Spacing:
    """For drafts at least ``interval`` apart.

    40 calls in 30 s is what Telegram takes in the long run, and 4 of them are kept for the next answer. Starting at
    a quarter of a second and widening by an eighth for each second of age up to 1 s spends the other 36 on the first
    half minute, most of them early: a frame waits for the budget no longer than a reply takes.
    """
    return Spacing(0.25, 0.125, 1.0, least=interval)


def edit_spacing(interval: float, *, private: bool) -> Spacing:
    """For edits at least ``interval`` apart.

    A private chat takes one a second for ever. A group takes 20 calls a minute, of which 15 are for frames: most of
    them early, and four seconds apart in the long run.
    """
    return Spacing(interval) if private else Spacing(1.0, 0.15, 4.0, least=interval)


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
        self._first_text_at: float | None = None
        self._seen: int | None = None
        self._failed = False

    def poll(self, now: float, revision: int) -> Due | Wait:
        if revision == self._seen:
            due = self._repeat_at
            return Due(urgent=False, repeat=True) if now >= due else Wait(due, newer=True)
        due = self._last_begun + self._distance()
        return Due(urgent=self._first_text_at is None) if now >= due else Wait(due, newer=False)

    def _distance(self) -> float:
        """By the last frame's age, not by now: a time that moves on while it is waited for costs a wake-up each."""
        if self._first_text_at is None:
            return self._spacing.at(0.0) if self._failed else 0.0
        return self._spacing.at(self._last_begun - self._first_text_at)

    def begun(self, now: float) -> None:
        self._last_begun = now
        self._repeat_at = now + self._keep_alive

    def ended(self, revision: int, *, shown: bool, text: bool) -> None:
        """The frame of that revision was ``shown`` or not; without ``text`` it was only a sign of life."""
        self._failed = not shown
        if shown:
            self._seen = revision
        if shown and text and self._first_text_at is None:
            self._first_text_at = self._last_begun

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
