"""Whose conversation, and what was said in it: values that every room shares."""

from __future__ import annotations

import enum
import json
from typing import Any, Literal, TypeAlias

import attrs

GENERAL = 1
"""The thread id of a forum's General topic: chat actions take it, messages do without."""


@attrs.frozen
class ConversationKey:
    """One conversation: a chat, and within it a forum or private topic (``None``: no topic)."""

    chat_id: int
    thread_id: int | None = None


class Ending(enum.Enum):
    """Why a turn ended; the value is what the store keeps."""

    COMPLETE = "complete"
    LENGTH = "length"
    """The model reached the limit of its answer."""
    FILTERED = "filtered"
    """The provider withheld the rest."""
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    """Who asked has said something else meanwhile, which is answered instead."""
    FAILED = "failed"
    SHUTDOWN = "shutdown"
    """The bot ended before the answer did, in order."""
    KILLED = "killed"
    """The bot ended before the answer did, with no time for anything."""
    UNSEEN = "unseen"
    """Nobody can see it: the bot was blocked, or removed from the group."""


@attrs.frozen
class TextPart:
    """Plain text as its author wrote it, without marks or cursors of ours."""

    text: str


@attrs.frozen
class OpaquePart:
    """A block that only its ``dialect`` understands (a thinking signature, say), kept for the next round."""

    dialect: str
    data: dict[str, Any]


@attrs.frozen
class ToolCallPart:
    """A tool call that the model asked for; ``arguments`` is its JSON text as it came, which may be none."""

    call_id: str
    name: str
    arguments: str = ""

    @property
    def input(self) -> dict[str, Any] | None:
        """The arguments, empty ones for an empty text; None if they are no JSON object."""
        try:
            value = json.loads(self.arguments.strip() or "{}")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


@attrs.frozen
class ToolResultPart:
    """What a tool call gave, for the model to read."""

    call_id: str
    content: str
    is_error: bool = False


Part: TypeAlias = TextPart | OpaquePart | ToolCallPart | ToolResultPart
Role: TypeAlias = Literal["user", "assistant", "tool"]


@attrs.frozen
class Message:
    """One message of a conversation, in no provider's dialect.

    A ``tool`` message holds the results of the calls of the assistant's message before it, all of them. ``ending``
    tells how an assistant's message ended; others are always complete. An assistant's message without parts says that
    there was no answer.
    """

    role: Role
    parts: tuple[Part, ...]
    ending: Ending = Ending.COMPLETE

    @classmethod
    def of(cls, role: Role, text: str, ending: Ending = Ending.COMPLETE) -> Message:
        return cls(role, (TextPart(text),), ending)

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))
