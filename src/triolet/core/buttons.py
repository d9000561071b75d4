"""The buttons under the bot's messages: what a press means, and who may press.

A button carries a nonce and nothing else: what it does, in which chat and for whom, is known here alone, so that a
press from an old keyboard, another chat or another person's client does nothing. Each nonce works once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, TypeAlias

import attrs

from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey

ButtonKind: TypeAlias = Literal["continue", "resend", "answer"]
"""Go on with an answer that broke off; send a letter that may be lost; answer what has waited for long."""


@attrs.frozen
class KeptButton:
    """A button that outlives the run that showed it.

    ``place`` is where it stands, ``user_ids`` are who may press it, ``letter`` is the number of what is to be resent,
    and ``update_ids`` are what is to be answered.
    """

    nonce: str
    kind: ButtonKind
    place: Place
    user_ids: tuple[int, ...]
    letter: int | None = None
    update_ids: tuple[int, ...] = ()


LASTING = 1000
"""How many buttons are kept that nobody takes away again; of more than that, the oldest mean nothing any more."""


@attrs.frozen
class Button:
    """``press`` does what it is there for; ``shown_by`` tells whether a message is one that it stands under now.

    It is given the press's update id, and returns the ids of updates that need no more work.
    """

    press: Callable[[int], Sequence[int]]
    key: ConversationKey
    users: Collection[int]
    shown_by: Callable[[int], bool]


Refusal: TypeAlias = Literal["unknown", "foreign"]
"""Why a press does nothing: it means nothing any more, or it is not for that person."""


class Buttons:
    """``draw`` gives a nonce of 1 to 64 bytes (Bot API, InlineKeyboardButton.callback_data) that nobody can guess."""

    def __init__(self, draw: Callable[[], str]) -> None:
        self.draw = draw
        self._buttons: dict[str, Button] = {}

    def __len__(self) -> int:
        return len(self._buttons)

    def issue(self, button: Button) -> str:
        """The callback data of a new button, which somebody will `revoke`."""
        nonce = self.draw()
        self.add(nonce, button)
        return nonce

    def add(self, nonce: str, button: Button) -> None:
        """A button whose callback data is known already."""
        self._buttons[nonce] = button

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
