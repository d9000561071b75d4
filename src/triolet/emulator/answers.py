"""What a call of the Bot API leads to: an answer, a wait, a dropped connection, or a refusal on its way to one.

The core never sleeps and never writes. It returns one of three values, and a small loop in `server` does what
they say: `Reply` (answer this), `Again` (ask me again at that time) and `Drop` (close without an answer).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from triolet.emulator.faults import Action
    from triolet.emulator.updates import Poll

EMULATOR = "Bad Request: emulator: "
"""Begins every refusal that is this emulator's own opinion and not a text of Telegram's."""


@attrs.frozen
class Reply:
    """An HTTP answer, to be written ``delay`` seconds from now; ``serial`` is its call's place in the journal."""

    status: int
    body: dict[str, Any] | str
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    serial: int = -1

    def encode(self) -> bytes:
        """The body as it travels: JSON, or the HTML of a front end that fell over."""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


@attrs.frozen
class Again:
    """Not yet: hand ``call`` back at time ``at``, or as soon as an update arrives if ``on_update``."""

    at: float
    on_update: bool
    call: PendingCall


@attrs.frozen
class Drop:
    """Close the connection without an answer, ``delay`` seconds from now."""

    delay: float = 0.0
    serial: int = -1


@attrs.define(eq=False)
class PendingCall:
    """A call on its way through the emulator; only `EmulatedTelegram` looks inside."""

    serial: int
    method: str
    params: dict[str, Any]
    token: str
    chat_id: int | None
    ending: Action | None  # the fault that decides how it ends
    after: float  # seconds from carrying it out to its answer
    held_since: float | None = None  # when it first met closed rate windows
    poll: Poll | None = None


class Refused(Exception):
    """The call ends with ``ok: false``; ``description`` begins with the name of its HTTP status."""

    def __init__(self, code: int, description: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        return body if self.parameters is None else {**body, "parameters": self.parameters}

    def headers(self) -> tuple[tuple[str, str], ...]:
        """A 429 repeats its seconds where HTTP clients look for them."""
        wait = (self.parameters or {}).get("retry_after")
        return (("Retry-After", str(wait)),) if self.code == 429 and wait is not None else ()


def bad_request(description: str) -> Refused:
    """A 400 with one of Telegram's own texts."""
    return Refused(400, f"Bad Request: {description}")


def objection(description: str) -> Refused:
    """A 400 that real Telegram might not answer: the second opinion of a strict reader."""
    return Refused(400, EMULATOR + description)


def upgraded(new_chat_id: int) -> Refused:
    """What every call hears that names a group which has become a supergroup."""
    text = "Bad Request: group chat was upgraded to a supergroup chat"
    return Refused(400, text, {"migrate_to_chat_id": new_chat_id})


def too_many_requests(seconds: int) -> Refused:
    return Refused(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})
