"""Buttons that outlive the run that shows them: go on, answer now, send again.

What one does is decided by its kind and by what was written down of it, so that a press does the same in any run. A
button that was pressed is known until what it asks for is: a crash in between lets the press come again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from triolet.core.buttons import LASTING, Button, ButtonKind, Buttons, KeptButton
from triolet.core.calls import Keyboard, Place
from triolet.core.conversation import ConversationKey
from triolet.core.ports import Store

Action = Callable[[KeptButton, int], Sequence[int]]
"""Does what a button is for, given the press's update id; returns the ids of updates that need no more work."""


class Offers:
    """``actions`` has one for each kind."""

    def __init__(self, buttons: Buttons, store: Store, actions: Mapping[ButtonKind, Action]) -> None:
        self._buttons = buttons
        self._store = store
        self._actions = actions
        self._kept: dict[str, KeptButton] = {}

    def issue(
        self,
        kind: ButtonKind,
        place: Place,
        *,
        user_ids: Sequence[int],
        letter: int | None = None,
        update_ids: Sequence[int] = (),
        also: Callable[[], object] = lambda: None,
    ) -> str:
        """The callback data of a new one; ``also`` is done when it is pressed in this run."""
        nonce = self._buttons.draw()
        kept = KeptButton(nonce, kind, place, tuple(user_ids), letter, tuple(update_ids))
        self._store.keep_button(kept)
        self._take(kept, also)
        return nonce

    def offer_resend(self, owner: int | None, place: Place, letter: int) -> Keyboard:
        """The button under a line that asks whether a message is missing."""
        users = dict.fromkeys((place.asker or (place.key.chat_id if place.private else 0), owner))
        nonce = self.issue("resend", place, user_ids=[user for user in users if user], letter=letter)
        return (("↻ Send again", nonce),)

    def restore(self, kept: Sequence[KeptButton]) -> None:
        """Those that earlier runs have shown."""
        for button in kept:
            self._take(button, lambda: None)

    def _take(self, kept: KeptButton, also: Callable[[], object]) -> None:
        def press(update_id: int) -> Sequence[int]:
            also()
            return self._actions[kept.kind](self._kept.get(kept.nonce, kept), update_id)

        self._kept[kept.nonce] = kept
        self._buttons.add(kept.nonce, Button(press, kept.place.key, kept.user_ids, _anywhere))
        if len(self._kept) > LASTING:
            self.drop(next(iter(self._kept)))

    def has(self, nonce: str) -> bool:
        """Whether it is one of these buttons."""
        return nonce in self._kept

    def extend(self, nonce: str, update_id: int) -> bool:
        """Have the button stand for one update more; False if it means nothing any more."""
        kept = self._kept.get(nonce)
        if kept is None:
            return False
        self._kept[nonce] = attrs.evolve(kept, update_ids=(*kept.update_ids, update_id))
        self._store.keep_button(self._kept[nonce])
        return True

    def move(self, chat_id: int, to: int) -> None:
        """The chat is another one now."""
        for nonce, kept in self._kept.items():
            if kept.place.key.chat_id == chat_id:
                place = attrs.evolve(kept.place, key=ConversationKey(to, kept.place.key.thread_id))
                self._kept[nonce] = attrs.evolve(kept, place=place)

    def drop(self, *nonces: str) -> None:
        """They mean nothing any more."""
        for nonce in nonces:
            self._kept.pop(nonce, None)
            self._buttons.revoke(nonce)
        if nonces:
            self._store.drop_buttons(nonces)

    def forget(self, key: ConversationKey, kind: ButtonKind) -> None:
        """Drop those of a conversation: what they were about is gone, or not the newest."""
        self.drop(*(nonce for nonce, kept in self._kept.items() if (kept.place.key, kept.kind) == (key, kind)))


def _anywhere(message_id: int) -> bool:
    """Any message of the chat may show the button: nobody knows its nonce who has not seen it."""
    return True
