"""What a turn asks a person before a tool does something: may it?

A question is bound to who asked for the answer, and to its turn: no other person's press counts, and no press after
the turn. Who does not answer in time has not allowed it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import attrs
import trio

from triolet.app.model import Emit
from triolet.core.buttons import Button, Buttons
from triolet.core.conversation import ConversationKey, ToolCallPart
from triolet.core.events import ApprovalAsked, ApprovalEnded, Verdict

LONGEST_ARGUMENTS = 1000
"""Characters of a call's arguments that a question shows: of longer ones the beginning and the end."""


@attrs.define(eq=False)
class _Pending:
    user_id: int
    decided: trio.Event = attrs.Factory(trio.Event)
    verdict: Verdict = "unanswered"

    def decide(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.decided.set()

    def press(self, verdict: Verdict, update_id: int) -> list[int]:
        self.decide(verdict)
        return [update_id]


@attrs.define(eq=False)
class Approvals:
    """The open questions of one conversation; each waits for ``seconds`` at most."""

    buttons: Buttons
    seconds: float
    _pending: list[_Pending] = attrs.Factory(list)

    async def ask(
        self, call: ToolCallPart, emit: Emit, *, key: ConversationKey, user_id: int, shown_by: Callable[[int], bool]
    ) -> bool:
        """Whether that person allows the call."""
        pending = _Pending(user_id)
        verdicts: tuple[Verdict, ...] = ("allowed", "denied")
        allow, deny = (
            self.buttons.issue(Button(partial(pending.press, verdict), key, {user_id}, shown_by))
            for verdict in verdicts
        )
        self._pending.append(pending)
        try:
            emit((ApprovalAsked(call.call_id, question(call), allow, deny),))
            with trio.move_on_after(self.seconds):
                await pending.decided.wait()
        finally:
            self._pending.remove(pending)
            self.buttons.revoke(allow)
            self.buttons.revoke(deny)
        emit((ApprovalEnded(call.call_id, pending.verdict),))
        return pending.verdict == "allowed"

    @property
    def is_asking(self) -> bool:
        """Whether somebody is asked."""
        return bool(self._pending)

    def decide(self, user_id: int, *, allowed: bool) -> bool:
        """Answer the oldest question to that person; False if there is none."""
        for pending in self._pending:
            if pending.user_id == user_id and not pending.decided.is_set():
                pending.decide("allowed" if allowed else "denied")
                return True
        return False


def question(call: ToolCallPart) -> str:
    """What a person reads: the tool, and exactly what it would be called with."""
    # As JSON, so that no value can pass for another line, or hide what it is.
    given = {name: json.dumps(value, ensure_ascii=False) for name, value in (call.input or {}).items()}
    lines = [f"{_escaped(name)}: {_escaped(value)}" for name, value in given.items()]
    return f"🔐 May I use {call.name}?\n{_shortened(chr(10).join(lines))}".rstrip()


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode-escape").decode() for char in text)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_ARGUMENTS:
        return text
    half = LONGEST_ARGUMENTS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} more characters …\n{text[-half:]}"
