"""A message on its way as the letter that is written down of it, and a letter as what is still to be done about it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from triolet.core.calls import Bubble, Call, Keyboard
from triolet.core.delivery import Delivery, Uncertain
from triolet.core.errands import State
from triolet.core.letters import Letter, LetterState

_STATES: dict[State, LetterState] = {
    State.WAITING: "pending",
    State.DELIVERED: "sent",
    State.UNCERTAIN: "uncertain",
    State.DEAD: "dead",
}


def letter_of(delivery: Delivery) -> Letter:
    """What is known of a message that is not being sent just now."""
    bubble, state = delivery.bubble, _STATES[delivery.state]
    shown = delivery.replaces if state == "pending" and delivery.replaces is not None else bubble
    if state == "uncertain" and shown.shown_id is not None and not delivery.is_told:
        state = "pending"  # an edit that was given up does no harm when it is made once more, by a later run
    return Letter(
        bubble.number,
        attrs.evolve(bubble.place),
        state,
        turn=bubble.turn,
        content=delivery.if_found,
        keyboard=delivery.keyboard,
        anew=delivery.anew,
        silent=bubble.silent,
        replies=bubble.replies,
        message_id=shown.shown_id,
        reason=delivery.reason,
        position=bubble.position,
    )


def preview_of(bubble: Bubble) -> Letter:
    """What is known of a message that grows and is on the screen."""
    return Letter(
        bubble.number,
        attrs.evolve(bubble.place),
        "sent",
        turn=bubble.turn,
        growing=True,
        silent=bubble.silent,
        replies=bubble.replies,
        message_id=bubble.shown_id,
        position=bubble.position,
    )


def bubble_of(letter: Letter, draft_id: int) -> Bubble:
    home = None if letter.message_id is None else letter.place.key.chat_id
    return Bubble(
        letter.place,
        draft_id,
        letter.message_id,
        home,
        silent=letter.silent,
        replies=letter.replies,
        number=letter.number,
        position=letter.position,
        turn=letter.turn,
    )


def delivery_of(
    letter: Letter,
    bubble: Bubble,
    *,
    uncertain: Uncertain,
    offer: Callable[[Bubble], Keyboard],
    is_copy: bool = False,
) -> Delivery:
    """The letter's content, on its way to the bubble."""
    assert letter.content is not None  # noqa: S101  # what has none is to be removed
    return Delivery(
        bubble,
        letter.content,
        bubble,
        anew=letter.anew,
        keyboard=letter.keyboard,
        uncertain=uncertain,
        offer=offer,
        is_copy=is_copy,
    )


def lost_call(delivery: Delivery, letter: Letter) -> Call:
    """The call that an earlier run has made of the letter, and nobody knows the outcome of.

    If that was a preview, its content is new, and has never been sent.
    """
    call = delivery.next_call()
    assert call is not None and call.sends, "what is being sent has no message yet"  # noqa: S101, PT018
    delivery.was_sent, delivery.is_recovered = not letter.growing, True
    return call
