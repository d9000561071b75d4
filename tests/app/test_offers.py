"""Buttons that outlive their run: what one does is what was written down of it, and the oldest of very many go."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from scenes import ADA, BOB

from triolet.app.offers import Offers
from triolet.core.buttons import LASTING, Button, Buttons, KeptButton
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.store import SqliteStore, open_store, run_inline

HERE = Place(ConversationKey(ADA), private=True, asked=7, asker=ADA)


@attrs.frozen
class Desk:
    """``pressed`` are the buttons that were, with the presses' update ids."""

    offers: Offers
    buttons: Buttons
    store: SqliteStore
    pressed: list[tuple[KeptButton, int]]

    def press(self, nonce: str, update_id: int = 5, chat_id: int = ADA, user_id: int = ADA) -> list[int] | str:
        found = self.buttons.redeem(nonce, chat_id=chat_id, message_id=1, user_id=user_id)
        return list(found.press(update_id)) if isinstance(found, Button) else found


@asynccontextmanager
async def open_desk(path: Path) -> AsyncIterator[Desk]:
    numbers = itertools.count()
    pressed: list[tuple[KeptButton, int]] = []

    def act(kept: KeptButton, update_id: int) -> list[int]:
        pressed.append((kept, update_id))
        return [update_id]

    async with open_store(path, executor=run_inline) as store:
        buttons = Buttons(lambda: f"{path.name}-{next(numbers)}")
        offers = Offers(buttons, store, {"continue": act, "answer": act, "resend": act})
        offers.restore(await store.buttons())
        yield Desk(offers, buttons, store, pressed)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triolet.db"


async def test_button_means_the_same_in_the_next_run(path: Path) -> None:
    async with open_desk(path) as desk:
        nonce = desk.offers.issue("resend", HERE, user_ids=[ADA], letter=3)
    async with open_desk(path) as desk:
        assert desk.press(nonce, user_id=BOB) == "foreign"
        assert desk.press(nonce, chat_id=BOB) == "unknown"
        assert desk.press(nonce, update_id=9) == [9]
        [(kept, update_id)] = desk.pressed
        assert (kept.kind, kept.letter, kept.place.key, update_id) == ("resend", 3, HERE.key, 9)
        assert desk.press(nonce) == "unknown", "once"
    async with open_desk(path) as desk:
        assert desk.press(nonce, update_id=9) == [9], "a press whose effect was not written comes again"
        desk.offers.drop(nonce)
    async with open_desk(path) as desk:
        assert desk.press(nonce) == "unknown"


async def test_what_a_button_stands_for_may_grow(path: Path) -> None:
    async with open_desk(path) as desk:
        nonce = desk.offers.issue("answer", HERE, user_ids=[ADA], update_ids=[1])
        assert desk.offers.extend(nonce, 2)
        assert not desk.offers.extend("nobody's", 2)
    async with open_desk(path) as desk:
        assert desk.offers.extend(nonce, 3)
        desk.press(nonce)
        assert [kept.update_ids for kept, _ in desk.pressed] == [(1, 2, 3)]


async def test_what_else_a_press_does_is_done_in_the_run_that_showed_the_button(path: Path) -> None:
    """Its keyboard is dropped, say: a later run knows of none."""
    done: list[str] = []
    async with open_desk(path) as desk:
        first, second = (
            desk.offers.issue("continue", HERE, user_ids=[ADA], also=lambda: done.append("dropped")) for _ in range(2)
        )
        assert (desk.press(first), done) == ([5], ["dropped"])
    async with open_desk(path) as desk:
        assert (desk.press(second), done) == ([5], ["dropped"])


async def test_buttons_of_a_conversation_are_forgotten_by_kind(path: Path) -> None:
    elsewhere = Place(ConversationKey(BOB), private=True)
    async with open_desk(path) as desk:
        gone = desk.offers.issue("continue", HERE, user_ids=[ADA])
        kinds = [desk.offers.issue("resend", HERE, user_ids=[ADA]), desk.offers.issue("answer", HERE, user_ids=[ADA])]
        other = desk.offers.issue("continue", elsewhere, user_ids=[BOB])
        desk.offers.forget(HERE.key, "continue")
        assert desk.press(gone) == "unknown"
        assert [desk.press(nonce) for nonce in kinds] == [[5], [5]]
        assert desk.press(other, chat_id=BOB, user_id=BOB) == [5]
    async with open_desk(path) as desk:
        assert desk.press(gone) == "unknown"


async def test_oldest_of_very_many_mean_nothing_any_more(path: Path) -> None:
    async with open_desk(path) as desk:
        nonces = [desk.offers.issue("continue", HERE, user_ids=[ADA]) for _ in range(LASTING + 2)]
        assert [desk.press(nonce) for nonce in nonces[:3]] == ["unknown", "unknown", [5]]
        assert len(await desk.store.buttons()) == LASTING
