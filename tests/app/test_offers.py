"""Buttons that outlive a run: what was written down of one decides what it does, whenever it is pressed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest

from triolet.app.late import late_line
from triolet.app.offers import Offers
from triolet.core.buttons import LASTING, Button, Buttons, KeptButton
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.store import SqliteStore, open_store, run_inline

KEY = ConversationKey(3)
PLACE = Place(KEY, private=True)


@attrs.define
class Desk:
    """The buttons of a run on a store; ``pressed`` are those that did something."""

    store: SqliteStore
    numbers: itertools.count[int] = attrs.field(factory=itertools.count)
    pressed: list[KeptButton] = attrs.Factory(list)
    buttons: Buttons = attrs.field(init=False)
    offers: Offers = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.buttons = Buttons(lambda: f"n{next(self.numbers)}")
        actions = {"continue": self._act, "resend": self._act, "answer": self._act}
        self.offers = Offers(self.buttons, self.store, actions)  # type: ignore[arg-type]  # these are all kinds

    def _act(self, kept: KeptButton, update_id: int) -> Sequence[int]:
        self.pressed.append(kept)
        return [update_id]

    def press(self, nonce: str, user_id: int = 3) -> object:
        """What a press of it in the chat gives: ids of updates that are done with, or why it does nothing."""
        found = self.buttons.redeem(nonce, chat_id=3, message_id=9, user_id=user_id)
        return found.press(7) if isinstance(found, Button) else found

    async def kept(self) -> list[str]:
        return [each.nonce for each in await self.store.buttons()]


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    async with open_store(":memory:", executor=run_inline) as store:
        yield Desk(store)


async def test_press_does_the_same_in_any_run() -> None:
    async with open_desk() as desk:
        nonce = desk.offers.issue("answer", PLACE, user_ids=[3], update_ids=[4])
        assert desk.offers.extend(nonce, 5)
        later = Desk(desk.store)
        later.offers.restore(await desk.store.buttons())
        for each in (desk, later):
            assert each.press(nonce, user_id=4) == "foreign"
            assert each.press(nonce) == [7]
            assert [(kept.kind, kept.update_ids) for kept in each.pressed] == [("answer", (4, 5))]
            assert each.press(nonce) == "unknown"
        assert await desk.kept() == [nonce], "until what it asks for is known, a press may come again"


async def test_what_is_done_with_a_press_is_done_in_the_run_that_showed_it() -> None:
    async with open_desk() as desk:
        done: list[str] = []
        nonce = desk.offers.issue("continue", PLACE, user_ids=[3], also=lambda: done.append("keyboard dropped"))
        later = Desk(desk.store)
        later.offers.restore(await desk.store.buttons())
        assert (later.press(nonce), done) == ([7], [])
        assert (desk.press(nonce), done) == ([7], ["keyboard dropped"])


async def test_dropped_button_is_known_nowhere() -> None:
    async with open_desk() as desk:
        first, second = (desk.offers.issue("resend", PLACE, user_ids=[3], letter=n) for n in (1, 2))
        desk.offers.drop(first)
        assert (desk.press(first), desk.offers.extend(first, 5), await desk.kept()) == ("unknown", False, [second])


async def test_only_those_of_a_conversation_and_a_kind_are_forgotten() -> None:
    async with open_desk() as desk:
        elsewhere = Place(ConversationKey(3, thread_id=5), private=True)
        gone = [desk.offers.issue("continue", PLACE, user_ids=[3]) for _ in range(2)]
        stay = [
            desk.offers.issue("answer", PLACE, user_ids=[3]),
            desk.offers.issue("continue", elsewhere, user_ids=[3]),
        ]
        desk.offers.forget(KEY, "continue")
        assert await desk.kept() == stay
        assert [desk.press(nonce) for nonce in gone] == ["unknown", "unknown"]


async def test_of_too_many_the_oldest_go() -> None:
    async with open_desk() as desk:
        nonces = [desk.offers.issue("resend", PLACE, user_ids=[3], letter=n) for n in range(LASTING + 2)]
        assert await desk.kept() == nonces[2:]
        assert [desk.press(nonces[n]) for n in (0, 1, 2, -1)] == ["unknown", "unknown", [7], [7]]


@pytest.mark.parametrize(
    ("hours", "ago"), [(0.0, "a while ago"), (1.9, "a while ago"), (2.0, "2 hours ago"), (31.5, "31 hours ago")]
)
def test_how_long_ago_a_message_was_written(hours: float, ago: str) -> None:
    assert late_line(hours * 3600) == f"⏰ I was away when you wrote, {ago}. Shall I answer now?"
