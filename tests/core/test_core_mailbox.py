"""A conversation's mailbox: what waits, in which order it is taken, and what an edit makes of it."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.core.mailbox import Clear, Mailbox, Question, Task

ADA, BOB = 1, 2
HERE = Place(ConversationKey(-100), private=False)


def ask(number: int, user_id: int = ADA, *, place: Place = HERE) -> Question:
    return Question((number,), place, user_id, f"text {number}", message_id=number)


def filled(*tasks: Task, limit: int = 100) -> Mailbox:
    mailbox = Mailbox(limit)
    assert all(list(map(mailbox.post, tasks)))
    return mailbox


def rest(mailbox: Mailbox) -> list[Clear | tuple[Question, ...]]:
    taken = []
    while mailbox:
        taken.append(mailbox.take(together=False))
    return taken


CLEAR = Clear((9,), HERE)
A1, A2, A3, B1 = ask(1), ask(2), ask(3), ask(4, BOB)


@pytest.mark.parametrize(
    ("tasks", "taken", "left"),
    [
        ([A1], (A1,), []),
        ([A1, A2, A3], (A1, A2, A3), []),
        ([A1, B1, A2], (A1,), [(B1,), (A2,)]),
        ([A1, A2, CLEAR, A3], (A1, A2), [CLEAR, (A3,)]),
        ([CLEAR, A1, A2], CLEAR, [(A1,), (A2,)]),
        ([B1, A1, A2], (B1,), [(A1,), (A2,)]),
    ],
)
def test_what_is_taken_together(tasks: list[Task], taken: object, left: list[object]) -> None:
    mailbox = filled(*tasks)
    assert mailbox.take(together=True) == taken
    assert rest(mailbox) == left


def test_one_at_a_time_in_the_order_of_posting() -> None:
    assert rest(filled(A1, A2, B1, CLEAR, A3)) == [(A1,), (A2,), (B1,), CLEAR, (A3,)]
    assert not Mailbox(1)


@pytest.mark.parametrize(
    ("tasks", "taken"), [([A1, A2, B1, A3], (A1, A2)), ([B1, A1], ()), ([CLEAR, A1], ()), ([], ())]
)
def test_a_persons_questions_are_taken_as_far_as_nothing_else_is_before_them(
    tasks: list[Task], taken: tuple[Question, ...]
) -> None:
    mailbox = filled(*tasks)
    assert mailbox.take_from(ADA) == taken
    assert mailbox.questions == [each for each in tasks if isinstance(each, Question) and each not in taken]


def test_so_many_questions_wait_and_the_first_of_all_does_not() -> None:
    mailbox = filled(A1, CLEAR, A2, limit=1)
    assert not mailbox.post(A3)
    assert not mailbox.post(B1)
    assert mailbox.refused == 2
    assert mailbox.post(CLEAR), "what is to be forgotten finds room"
    mailbox.take(together=False)
    assert mailbox.refused == 0
    assert not mailbox.post(A3), "one waits, and one is being answered"
    mailbox.take(together=False)
    mailbox.take(together=False)
    assert mailbox.post(A3)


def test_what_is_not_limited_waits_however_many_do() -> None:
    """And takes the room of those that are, like any other."""
    mailbox = filled(A1, A2, limit=1)
    assert not mailbox.post(A3)
    assert mailbox.post(A3, limited=False)
    assert not mailbox.post(B1)
    assert mailbox.refused == 2
    assert rest(mailbox) == [(A1,), (A2,), (A3,)]


@pytest.mark.parametrize("how", ["take_from", "drop"])
def test_where_there_is_room_again_the_next_refusal_is_the_first(how: str) -> None:
    mailbox = filled(A1, A2, limit=1)
    assert not mailbox.post(A3)
    assert mailbox.take_from(BOB) == ()
    assert mailbox.refused == 1, "nothing was taken, so there is no room"
    if how == "drop":
        mailbox.drop()
    else:
        mailbox.take_from(ADA)
    assert mailbox.refused == 0


def test_what_is_posted_first_is_taken_first_however_many_wait() -> None:
    mailbox = filled(A1, A2, limit=1)
    mailbox.post_first(A3, B1)
    assert rest(mailbox) == [(A3,), (B1,), (A1,), (A2,)]


@pytest.mark.parametrize("how", ["take", "together", "take_from", "drop", "nothing"])
def test_what_was_posted_first_takes_no_room(how: str) -> None:
    mailbox = filled(A1, limit=2)
    mailbox.take(together=False)
    mailbox.post_first(A1, A2)
    if how.startswith("take"):
        mailbox.take(together=False)
    if how == "together":
        mailbox.post_first(A1)
        mailbox.take(together=True)
    if how == "take_from":
        mailbox.take_from(ADA)
    if how == "drop":
        mailbox.drop()
    assert mailbox.post(A3)
    assert mailbox.post(A3)
    assert not mailbox.post(A3)


def test_what_a_button_asks_is_asked_alone() -> None:
    pressed = attrs.evolve(A3, message_id=None)
    mailbox = filled(A1, pressed, A2, A3)
    assert [mailbox.take(together=True) for _ in range(3)] == [(A1,), (pressed,), (A2, A3)]
    assert filled(pressed).take_from(ADA) == ()


def test_an_edit_changes_the_question_where_it_waits() -> None:
    mailbox = filled(A1, A2, CLEAR, A3)
    assert mailbox.edit(attrs.evolve(A2, text="new", update_ids=(7,)))
    assert mailbox.edit(attrs.evolve(A2, text="newer", update_ids=(8,)))
    assert rest(mailbox) == [(A1,), (attrs.evolve(A2, text="newer", update_ids=(2, 7, 8)),), CLEAR, (A3,)]


@pytest.mark.parametrize(
    "other",
    [
        attrs.evolve(A1, message_id=2),
        attrs.evolve(A1, user_id=BOB),
        attrs.evolve(A1, message_id=None),
        attrs.evolve(A1, place=Place(ConversationKey(-200), private=False)),
    ],
)
def test_an_edit_of_another_message_changes_nothing(other: Question) -> None:
    mailbox = filled(A1, CLEAR)
    assert not mailbox.edit(attrs.evolve(other, text="new"))
    assert rest(mailbox) == [(A1,), CLEAR]


def test_a_button_s_question_is_nobody_s_message() -> None:
    pressed = attrs.evolve(A1, message_id=None)
    assert not filled(pressed).edit(attrs.evolve(pressed, text="new"))


def test_a_message_is_known_where_its_chat_was_when_it_was_written() -> None:
    """A group that has become a supergroup counts its messages anew."""
    moved = ask(1, place=Place(ConversationKey(-100), private=False))
    moved.place.key = ConversationKey(-200)
    new = ask(1, place=Place(ConversationKey(-200), private=False))
    assert not moved.is_edited_by(new)
    assert moved.is_edited_by(ask(1))


def test_only_questions_are_dropped() -> None:
    mailbox = filled(A1, CLEAR, B1)
    assert mailbox.drop() == [A1, B1]
    assert rest(mailbox) == [CLEAR]


def test_a_closed_one_holds_nothing() -> None:
    mailbox = filled(A1, CLEAR)
    mailbox.close()
    assert not mailbox


Act: TypeAlias = tuple[str, int, int]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["post", "post", "post", "clear", "take", "together", "from", "edit", "drop"]),
            st.sampled_from([ADA, BOB]),
            st.integers(0, 30),
        ),
        max_size=30,
    )
)
def test_every_update_comes_out_once_and_in_order(acts: list[Act]) -> None:
    mailbox, numbers = Mailbox(100), itertools.count(1)
    posted: list[int] = []
    out: list[Task] = []
    for kind, user_id, number in acts:
        if kind in {"post", "clear"}:
            new = next(numbers)
            posted.append(new)
            mailbox.post(ask(new, user_id) if kind == "post" else Clear((new,), HERE))
        elif kind in {"take", "together"} and mailbox:
            taken = mailbox.take(together=kind == "together")
            out += [taken] if isinstance(taken, Clear) else taken
        elif kind == "from":
            out += mailbox.take_from(user_id)
        elif kind == "edit" and mailbox.edit(attrs.evolve(ask(number, user_id), update_ids=(1000 + len(posted),))):
            assert number in {each.message_id for each in mailbox.questions}
        elif kind == "drop":
            before = mailbox.questions
            assert mailbox.drop() == before
            posted = [each for each in posted if each not in {question.update_ids[0] for question in before}]
    out += [task for taken in rest(mailbox) for task in ([taken] if isinstance(taken, Clear) else taken)]
    assert [task.update_ids[0] for task in out] == posted
