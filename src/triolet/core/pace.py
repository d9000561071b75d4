"""When a window's next frame is due: dense while an answer is young, wider as it grows.

Both machines are asked by `poll` what to do now, and told by `begun` and `ended` what was done. Rules:

1. What the screen shows already is not sent again, but to keep a draft alive.
2. The first frame is due at once; later ones when their interval is over. Text is bound by the caller when the
   call begins, so a frame that waited is as fresh as one that did not.
3. A call that failed counts as made: the next one keeps its distance.
"""

from __future__ import annotations

import math

import attrs

from triolet.core.text import MESSAGE_LIMIT, is_blank, split_place

KEEP_ALIVE = 8.0
"""Seconds between repeats of an unchanged draft. Clients drop one after 30 s, one server is said to set 10."""

TYPING_INTERVAL = 4.5
"""Seconds between chat actions, which last 5 (Bot API, sendChatAction)."""

FIRST_CHARACTERS = 4
"""An edit-mode answer opens no message for less visible text than this: a message rings, a frame does not."""


@attrs.frozen
class Due:
    """A frame is due. ``urgent`` ones may use the reserve of the budget."""

    urgent: bool


@attrs.frozen
class TypingDue:
    """The chat action is due."""


@attrs.frozen
class Wait:
    """Nothing is due before ``until``, unless ``newer`` and the text changes earlier."""

    until: float
    newer: bool


def draft_text(text: str) -> str:
    """What a draft shows of an answer: its first message, trimmed as the server trims it."""
    return "" if is_blank(text) else text[: split_place(text)].strip()


def edit_text(text: str, cursor: str) -> str:
    """What an edit-mode message shows of an unfinished answer."""
    return text[: split_place(text, MESSAGE_LIMIT - len(cursor))].strip() + cursor


class DraftPace:
    """The pace of one bubble's drafts; ``interval`` is the shortest distance in seconds.

    40 calls in 30 s is what Telegram takes in the long run, and 4 of them are kept for the next answer. Starting at
    a quarter of a second and widening by an eighth for each second of age up to 1 s spends the other 36 on the first
    half minute, most of them early: a frame waits for the budget no longer than a reply takes.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last_begun = -math.inf
        self._first_text_at: float | None = None
        self._shown: str | None = None
        self._failed = True

    def poll(self, now: float, text: str) -> Due | Wait:
        text = draft_text(text)
        if text == self._shown:
            keep_alive = self._last_begun + KEEP_ALIVE
            return Due(urgent=False) if now >= keep_alive else Wait(keep_alive, newer=True)
        urgent = self._first_text_at is None
        due = self._last_begun + self._spacing()
        return Due(urgent) if now >= due else Wait(due, newer=False)

    def _spacing(self) -> float:
        """By the last frame's age, not by now: a time that moves on while it is waited for costs a wake-up each."""
        if self._first_text_at is None:
            return self._interval if self._failed else 0.0
        age = self._last_begun - self._first_text_at
        return max(self._interval, min(1.0, 0.25 + 0.125 * age))

    def begun(self, now: float) -> None:
        self._last_begun = now

    def ended(self, text: str, *, shown: bool) -> None:
        self._failed = not shown
        if not shown:
            return
        self._shown = draft_text(text)
        if self._shown and self._first_text_at is None:
            self._first_text_at = self._last_begun


class EditPace:
    """The pace of one bubble's message and of the chat's typing sign; ``interval`` in seconds."""

    def __init__(self, interval: float, cursor: str) -> None:
        self._interval = interval
        self._cursor = cursor
        self._last_begun = -math.inf
        self._typing_at = -math.inf
        self._shown: str | None = None

    def poll(self, now: float, text: str) -> Due | TypingDue | Wait:
        if now >= self._typing_at + TYPING_INTERVAL:
            return TypingDue()
        typing = self._typing_at + TYPING_INTERVAL
        if not self._worth_showing(edit_text(text, self._cursor)):
            return Wait(typing, newer=True)
        due = self._last_begun + self._interval
        return Due(urgent=self._shown is None) if now >= due else Wait(min(due, typing), newer=False)

    def _worth_showing(self, text: str) -> bool:
        if self._shown is not None:
            return text != self._shown
        return len(text) >= FIRST_CHARACTERS + len(self._cursor)

    def typed(self, now: float) -> None:
        self._typing_at = now

    def begun(self, now: float) -> None:
        self._last_begun = now

    def ended(self, text: str, *, shown: bool) -> None:
        if not shown:
            return
        if self._shown is None:
            self._typing_at = -math.inf  # a new message takes the typing sign away
        self._shown = edit_text(text, self._cursor)
