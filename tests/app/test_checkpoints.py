"""A mistake of ours in one answer is that answer's trouble alone."""

from __future__ import annotations

import trio

from triolet.app.book import Book, Checkpoints, RestartRules
from triolet.app.turn import Turn
from triolet.core.calls import Keyboard, Place
from triolet.core.coalescer import Frame
from triolet.core.conversation import ConversationKey
from triolet.core.events import TextDelta
from triolet.core.mailbox import Question
from triolet.core.markup.layout import Unsealed
from triolet.store import open_store, run_inline
from triolet.transports.latest import Latest

KEY = ConversationKey(1)


class Mistaken:
    """A transport that can show, but has a mistake in what it writes down."""

    async def run(self, latest: Latest) -> None:
        await trio.sleep_forever()

    def snapshot(self, frame: Frame) -> Unsealed | None:
        raise IndexError("a mistake")

    def commit(self, frame: Frame, mark: str, keyboard: Keyboard = (), *, quiet: bool = False) -> None: ...

    def drop_keyboard(self) -> None: ...

    def shows_draft(self, draft_id: int) -> bool:
        return False

    def shows_message(self, message_id: int) -> bool:
        return False


async def test_mistake_in_one_answer_ends_no_other(autojump_clock: object) -> None:
    async with open_store(":memory:", executor=run_inline) as store:
        turn = Turn(Mistaken())
        question = Question((1,), Place(KEY, private=True), 1, "Hello", 1)
        book = Book(store.draw_number(), KEY, (question,), turn, store, RestartRules(lambda: 0.0))
        checkpoints = Checkpoints(store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints.run)
            with checkpoints.keeping(book):
                turn.receive((TextDelta("word"),))
                await trio.sleep(5.0)
            nursery.cancel_scope.cancel()
