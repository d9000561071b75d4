"""Buttons: a press means something once, in its chat, under its message, for its people; anything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from triolet.core.buttons import Button, Buttons
from triolet.core.conversation import ConversationKey

PRESS = {"chat_id": -100, "message_id": 8, "user_id": 3}


def numbered() -> Callable[[], str]:
    """Nonces that anybody can guess."""
    numbers = iter(range(100))
    return lambda: f"n{next(numbers)}"


def button(users: tuple[int, ...] = (3, 4), shown: tuple[int, ...] = (8,)) -> Button:
    return Button(lambda update_id: [], ConversationKey(-100, 5), users, lambda message_id: message_id in shown)


def test_a_press_works_once() -> None:
    buttons, stop = Buttons(numbered()), button()
    nonce = buttons.issue(stop)
    assert (nonce, len(buttons)) == ("n0", 1)
    assert buttons.redeem(nonce, **PRESS) is stop
    assert buttons.redeem(nonce, **PRESS) == "unknown"
    assert len(buttons) == 0


@pytest.mark.parametrize(
    ("press", "refusal"),
    [
        ({"user_id": 5}, "foreign"),
        ({"message_id": 9}, "unknown"),
        ({"chat_id": -101}, "unknown"),
        ({"chat_id": 3}, "unknown"),
        ({"user_id": 5, "message_id": 9}, "unknown"),
        ({"user_id": 5, "chat_id": -101}, "unknown"),
    ],
)
def test_a_press_from_elsewhere_does_nothing(press: dict[str, Any], refusal: str) -> None:
    """And the button still works for whom it is meant."""
    buttons, stop = Buttons(numbered()), button()
    nonce = buttons.issue(stop)
    assert buttons.redeem(nonce, **PRESS | press) == refusal
    assert buttons.redeem(nonce, **PRESS | {"user_id": 4}) is stop


@pytest.mark.parametrize("nonce", ["", "n1", "N0", "n0 "])
def test_a_nonce_that_was_not_drawn_means_nothing(nonce: str) -> None:
    buttons = Buttons(numbered())
    buttons.issue(button())
    assert buttons.redeem(nonce, **PRESS) == "unknown"
    assert len(buttons) == 1


def test_a_button_is_asked_whose_it_is_at_each_press() -> None:
    """Its message may come, or another take its place, after it was issued."""
    shown: set[int] = set()
    buttons = Buttons(numbered())
    stop = Button(lambda update_id: [], ConversationKey(-100), (3,), lambda message_id: message_id in shown)
    nonce = buttons.issue(stop)
    assert buttons.redeem(nonce, **PRESS) == "unknown"
    shown.add(8)
    assert buttons.redeem(nonce, **PRESS) is stop


def test_buttons_are_told_apart() -> None:
    buttons, first, second = Buttons(numbered()), button(), button(shown=(9,))
    nonces = [buttons.issue(first), buttons.issue(second)]
    assert nonces == ["n0", "n1"]
    buttons.revoke("n0")
    assert buttons.redeem("n0", **PRESS) == "unknown"
    assert buttons.redeem("n1", **PRESS | {"message_id": 9}) is second


def test_revoking_what_is_gone_is_fine() -> None:
    buttons = Buttons(numbered())
    nonce = buttons.issue(button())
    for _ in range(2):
        buttons.revoke(nonce)
    buttons.revoke("never drawn")
    assert len(buttons) == 0


def test_a_button_moves_with_its_chat_and_no_other_does() -> None:
    buttons, stop = Buttons(numbered()), button()
    moved, stays = (
        buttons.issue(stop),
        buttons.issue(Button(lambda update_id: [], ConversationKey(-7), (3,), lambda _: True)),
    )
    buttons.move(-100, -200)
    assert buttons.redeem(moved, **PRESS) == "unknown"
    found = buttons.redeem(moved, **PRESS | {"chat_id": -200})
    assert isinstance(found, Button)
    assert (found.key, found.users) == (ConversationKey(-200, 5), stop.users)
    assert isinstance(buttons.redeem(stays, **PRESS | {"chat_id": -7}), Button)


def test_a_button_whose_nonce_is_known_is_like_any_other() -> None:
    """One of an earlier run; and what it stands for may change while it is there."""
    buttons, old, new = Buttons(numbered()), button(), button()
    buttons.add("kept", old)
    buttons.add("kept", new)
    assert len(buttons) == 1
    assert buttons.redeem("kept", **PRESS) is new
    assert buttons.redeem("kept", **PRESS) == "unknown"
