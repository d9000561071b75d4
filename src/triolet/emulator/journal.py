"""Every call the bot made, and what became of it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

Outcome: TypeAlias = Literal["pending", "delivered", "refused", "dropped"]


@attrs.frozen
class JournalEntry:
    """One call. Times are seconds of the emulator's clock.

    ``answered`` is when the answer had been written, ``None`` if it never was; ``carried_out`` tells whether the
    call had its effect, which a dropped one may have had.
    """

    serial: int
    method: str
    params: dict[str, Any]
    peer: int | None
    received: float
    answered: float | None = None
    status: int | None = None
    outcome: Outcome = "pending"
    carried_out: bool = False
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self)


class Journal:
    """The calls in the order they were received."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []

    def open(self, method: str, params: dict[str, Any], peer: int | None, now: float) -> int:
        """Note a call that begins; return its serial."""
        self.entries.append(JournalEntry(len(self.entries), method, params, peer, now))
        return len(self.entries) - 1

    def note(self, serial: int, **facts: Any) -> None:
        """Add what became known about a call."""
        self.entries[serial] = attrs.evolve(self.entries[serial], **facts)

    def select(self, method: str | None, peer: int | None) -> list[JournalEntry]:
        return [
            entry
            for entry in self.entries
            if method in {None, entry.method} and peer in {None, entry.peer}
        ]  # fmt: skip
