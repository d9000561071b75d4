"""The buttons under the bot's messages: what a press means, and who may press.

A button carries a nonce and nothing else: what it does, in which chat and for whom, is known here alone, so that a
press from an old keyboard, another chat or another person's client does nothing. Each nonce works once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from typing import Literal, TypeAlias

import attrs

from triolet.core.conversation import ConversationKey


class Action(enum.Enum):
    """What a press does."""

    STOP = "stop"


@attrs.frozen
class Button:
    """``shown_by`` tells whether a message is one that the button stands under now."""

    action: Action
    key: ConversationKey
    users: Collection[int]
    shown_by: Callable[[int], bool]


Refusal: TypeAlias = Literal["unknown", "foreign"]
"""Why a press does nothing: it means nothing any more, or it is not for that person."""


class Buttons:
    """``draw`` gives a nonce of 1 to 64 bytes (Bot API, InlineKeyboardButton.callback_data) that nobody can guess."""

    def __init__(self, draw: Callable[[], str]) -> None:
        self._draw = draw
        self._buttons: dict[str, Button] = {}

    def __len__(self) -> int:
        return len(self._buttons)

    def issue(self, button: Button) -> str:
        """The callback data of a new button."""
        nonce = self._draw()
        self._buttons[nonce] = button
        return nonce

    def revoke(self, nonce: str) -> None:
        """The button has no meaning any more, whether it was pressed or not."""
        self._buttons.pop(nonce, None)

    def move(self, chat_id: int, to: int) -> None:
        """The chat is another one now."""
        for nonce, button in self._buttons.items():
            if button.key.chat_id == chat_id:
                self._buttons[nonce] = attrs.evolve(button, key=ConversationKey(to, button.key.thread_id))

    def redeem(self, nonce: str, *, chat_id: int, message_id: int, user_id: int) -> Button | Refusal:
        """The button that was pressed, once; what a press by somebody else finds, stays."""
        button = self._buttons.get(nonce)
        if button is None or button.key.chat_id != chat_id or not button.shown_by(message_id):
            return "unknown"
        if user_id not in button.users:
            return "foreign"
        return self._buttons.pop(nonce)
