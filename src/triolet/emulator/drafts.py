"""Live drafts and "typing…": what is on a person's screen without being a message.

Rule 1: one draft lives in each chat and topic, of text or rich. The same id updates it, another id replaces it.
Rule 2: it dies ``life`` seconds after its last update, or when a message of the bot arrives in its chat and topic.
Rule 3: an identical repeat is an update too, unless ``refresh_identical`` is off (nobody outside Telegram knows).
Rule 4: after a press of Stop its id is dead: later drafts with it are accepted and ignored. A draft sent with
        ``keep_on_stop`` stays as it is until rule 2 takes it; any other vanishes at once.
Rule 5: a typing action shows for at most 5 seconds and ends with a message of the bot.

From sendMessageDraft, sendRichMessageDraft and sendChatAction in core.telegram.org/bots/api, and from
core.telegram.org/api/bots/ai.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import attrs

from triolet.emulator.rich import Content

Place: TypeAlias = tuple[int, int | None]
"""A chat and a topic of it, or none."""

TYPING_LIFE = 5.0


@attrs.frozen
class Draft:
    """What one sendMessageDraft or sendRichMessageDraft asked to show; no text means the "Thinking…" placeholder."""

    id: int
    content: Content
    can_stop: bool = False
    keep_on_stop: bool = False


@attrs.frozen
class LiveDraft:
    """A draft on screen, until ``dies``; a stopped one has lost its button."""

    draft: Draft
    dies: float
    stopped: bool = False

    @property
    def has_button(self) -> bool:
        return self.draft.can_stop and not self.stopped


class DraftBoard:
    """Every live draft and typing action."""

    def __init__(self, life: float, *, refresh_identical: bool) -> None:
        self.life = life
        self.refresh_identical = refresh_identical
        self._live: dict[Place, LiveDraft] = {}
        self._typing: dict[Place, float] = {}  # {place: until}
        self._stopped: set[tuple[Place, int]] = set()
        self._next_death = math.inf  # never later than the first death: spares the walk when nothing is due

    def show(self, place: Place, draft: Draft, now: float) -> bool:
        """Take a draft; tell whether the screen changed."""
        if (place, draft.id) in self._stopped:
            return False
        old = self._live.get(place)
        same = old is not None and old.draft == draft and not old.stopped
        if not same or self.refresh_identical:
            self._live[place] = LiveDraft(draft, now + self.life)
            self._next_death = min(self._next_death, now + self.life)
        return not same

    def stop(self, place: Place) -> LiveDraft:
        """Press the button of the draft that is there; return the draft as it was."""
        live = self._live[place]
        self._stopped.add((place, live.draft.id))
        if live.draft.keep_on_stop:
            self._live[place] = attrs.evolve(live, stopped=True)
        else:
            del self._live[place]
        return live

    def clear(self, place: Place) -> LiveDraft | None:
        """A message of the bot arrived; return the draft it took away."""
        self._typing.pop(place, None)
        return self._live.pop(place, None)

    def at(self, place: Place) -> LiveDraft | None:
        """The draft that is on screen; call `expire` first."""
        return self._live.get(place)

    def expire(self, now: float) -> list[tuple[Place, LiveDraft]]:
        """Take away what died until now, in the order of death."""
        if now < self._next_death:
            return []
        dead = sorted(
            ((place, live) for place, live in self._live.items() if live.dies <= now),
            key=lambda item: item[1].dies,
        )
        for place, _ in dead:
            del self._live[place]
        self._next_death = min((live.dies for live in self._live.values()), default=math.inf)
        return dead

    def type(self, place: Place, now: float) -> bool:
        """Show "typing…"; tell whether the screen changed."""
        shown = self.typing(place, now)
        self._typing[place] = now + TYPING_LIFE
        return not shown

    def typing(self, place: Place, now: float) -> bool:
        return self._typing.get(place, -math.inf) > now
