"""What a start does about what the run before it has left, before it asks for anything new.

In this order:

1. Buttons mean what they meant.
2. Answers that were being written are closed: what was seen of them stays, marked; `core.recovery` says what follows.
3. Messages that were on their way go on.
4. Questions are answered in the order in which they came, those that were begun first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs
import structlog

from triolet.app.book import RestartRules, continued, messages_of
from triolet.app.conversation import CONTINUE_BUTTON
from triolet.app.late import ANSWER_BUTTON
from triolet.app.supervisor import Supervisor
from triolet.core.calls import Keyboard, Place
from triolet.core.content import marked
from triolet.core.conversation import ConversationKey, Ending
from triolet.core.ending import GOES_ON, mark_of
from triolet.core.history import UNANSWERED
from triolet.core.letters import Letter, LetterState
from triolet.core.mailbox import Question
from triolet.core.markup.layout import Layout
from triolet.core.ports import Store
from triolet.core.recovery import NextStep, OpenTurn
from triolet.core.text import Content, FormattedText, split_message
from triolet.transports.answer import VERDICTS

log = structlog.get_logger()

_STEP: Final = 0.01
"""From one part's position to the next one's: what was committed after them has a position one higher at least."""


async def recover(
    store: Store,
    supervisor: Supervisor,
    rules: RestartRules,
    deliver: Callable[[Iterable[Letter], Mapping[int, Sequence[int]]], object],
) -> None:
    """Take up what is in the store.

    ``deliver`` gets the letters that are still to be delivered, in order, and the known ids of our messages.
    """
    supervisor.offers.restore(await store.buttons())
    turns, left = [at_home(turn) for turn in await store.open_turns()], await store.unfinished()
    letters = {letter.number: letter for letter in await store.letters()}
    message_ids = await store.message_ids()
    asked: list[Question] = []
    taken: set[int] = set()
    with store.unit():
        for turn in turns:
            closing = _Closing(store, supervisor, rules, letters, turn)
            asked += closing.close()
            taken |= closing.taken
        in_order = sorted(letters.values(), key=lambda each: each.position)
        left_over = [each for each in in_order if each.state != "sent" or each.growing]
        deliver(left_over, message_ids)
    with store.unit():
        done = [update_id for question in asked for update_id in supervisor.ask(question)]
        done += [i for each in left if each.update["update_id"] not in taken for i in supervisor.recover(each)]
        store.finish(done)
    if turns or left:
        log.info("bot.recovered", interrupted=len(turns), waiting=len(left))


@attrs.define
class _Closing:
    """One answer that was being written; ``letters`` are all there are, by number.

    ``taken`` are the updates that need no other attention when it is closed.
    """

    store: Store
    supervisor: Supervisor
    rules: RestartRules
    letters: dict[int, Letter]
    turn: OpenTurn
    taken: set[int] = attrs.Factory(set)

    def close(self) -> list[Question]:
        """Close it; returns what is to be asked because of it."""
        step = self.rules.next_step(self.turn)
        self._close_questions()
        if step == "afresh":
            # Nobody has seen anything of it: what grew on the screen goes, and what was said on its way comes again.
            self.taken = {update_id for each in self.turn.asked for update_id in each.update_ids}
            return [self._next_attempt(each, self.turn) for each in self.turn.asked]
        self.taken = set(self.turn.update_ids)
        if step == "offer" and not self.turn.is_begun and self.turn.asked[-1].message_id is not None:
            return self._offer_from_the_beginning()
        self._show_end(step, self._continue_button() if step == "offer" else ())
        self._record(is_open=step == "continue")
        if step != "continue":
            return []
        rest = continued(self.turn, self.store.draw_number())
        self.store.begin(rest)
        return [self._next_attempt(each, rest) for each in rest.asked]

    def _close_questions(self) -> None:
        """Nobody can answer any more what the turn asked a person."""
        for letter in list(self.letters.values()):
            is_ours = letter.turn == self.turn.number and letter.state not in {"uncertain", "dead"}
            if is_ours and letter.keyboard and not letter.is_preview:
                content = marked(letter.content or FormattedText(""), VERDICTS["unanswered"])
                state: LetterState = "sending" if letter.state == "sending" else "pending"
                self._keep(attrs.evolve(letter, content=content, keyboard=(), state=state, anew=False))

    def _keep(self, letter: Letter) -> None:
        self.letters[letter.number] = letter
        self.store.keep(letter)

    def _next_attempt(self, question: Question, turn: OpenTurn) -> Question:
        return attrs.evolve(question, turn=turn.number, attempt=self.turn.attempt + 1)

    def _offer_from_the_beginning(self) -> list[Question]:
        last = self.turn.asked[-1]
        nonce = self.supervisor.offers.issue(
            "answer", last.place, user_ids=[last.user_id], update_ids=self.turn.update_ids
        )
        self._show_end("offer", ((ANSWER_BUTTON, nonce),))
        self.store.offer(self.turn.update_ids)
        self.store.record(self.turn.key, [], turn=self.turn.number)
        return []

    def _continue_button(self) -> Keyboard:
        last = self.turn.asked[-1]
        nonce = self.supervisor.offers.issue("continue", last.place, user_ids=[last.user_id])
        return ((CONTINUE_BUTTON, nonce),)

    def _record(self, *, is_open: bool) -> None:
        said = [*self.turn.said]
        if not (said and said[-1].role == "assistant"):
            said.append(UNANSWERED)
        self.store.record(
            self.turn.key,
            [*messages_of(self.turn.asked), *said],
            finished=() if is_open else self.turn.update_ids,
            user_id=self.turn.asked[-1].user_id,
            turn=self.turn.number,
        )

    def _show_end(self, step: NextStep, keyboard: Keyboard) -> None:
        """What grew on the screen stays as it was last known, marked; what was a draft becomes a message."""
        mark = mark_of(self.turn.ending or Ending.KILLED, GOES_ON if step == "continue" else "", answered=True)
        if not mark:
            return  # nobody could see it
        *whole, last = (Layout.resumed(self.turn.live) if self.turn.live else None) or [FormattedText("")]
        parts = [*whole, *parts_of(marked(last, mark))]
        before: Letter | None = None
        for part in parts:
            letter = self._growing() if part is parts[0] else None
            if letter is None:
                place = self.turn.asked[-1].place
                number = self.store.draw_number()
                position = before.position + _STEP if before else float(number)
                letter = Letter(number, place, position=position, replies=part is parts[0])
            letter = attrs.evolve(letter, content=part, keyboard=keyboard if part is parts[-1] else (), turn=None)
            if letter.state != "sending":
                letter = attrs.evolve(letter, state="pending", growing=False)
            self._keep(letter)
            before = letter

    def _growing(self) -> Letter | None:
        """The message that grew last."""
        numbers = [n for n, each in self.letters.items() if each.turn == self.turn.number and each.is_preview]
        return self.letters[max(numbers)] if numbers else None


def at_home(turn: OpenTurn) -> OpenTurn:
    """The turn, with its questions in the chat that theirs has become meanwhile."""
    return attrs.evolve(turn, asked=tuple(attrs.evolve(each, place=_moved(each.place, turn)) for each in turn.asked))


def _moved(place: Place, turn: OpenTurn) -> Place:
    if place.key.chat_id == turn.key.chat_id:
        return place
    return attrs.evolve(place, key=ConversationKey(turn.key.chat_id, place.key.thread_id))


def parts_of(content: Content) -> list[Content]:
    """What a message shows, in as many as it takes: the mark may be too much for one."""
    return [*split_message(content)] if isinstance(content, FormattedText) else [content]
