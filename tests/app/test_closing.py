"""What a start hands on of an answer that was being written: its message, marked, ahead of all that is sent later."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
from scenes import ADA, scene_settings

from triolet.app.bench import open_agent, open_bench
from triolet.app.book import RestartRules
from triolet.app.conversation import Services
from triolet.app.recovery import recover
from triolet.app.supervisor import Supervisor
from triolet.core.calls import Place
from triolet.core.commands import Access
from triolet.core.conversation import ConversationKey, Ending, Message
from triolet.core.letters import Letter
from triolet.core.mailbox import Question
from triolet.core.markup.layout import Unsealed
from triolet.core.recovery import OpenTurn, Resume
from triolet.core.text import FormattedText
from triolet.core.updates import BotIdentity
from triolet.providers.scripted import Hang, ScriptedProvider, constant
from triolet.store import SqliteStore, open_store, run_inline
from triolet.transports.console import ConsoleScreen
from triolet.transports.terminal import Terminal

KEY = ConversationKey(ADA)
PLACE = Place(KEY, private=True, asked=9)
SAID = (Message.of("assistant", "Because the ", Ending.KILLED),)
MARK = "⏸ interrupted: the bot was restarted"


@attrs.define
class Start:
    """A start with what is in the store; ``delivered`` is what it hands to the outbox."""

    store: SqliteStore
    supervisor: Supervisor
    delivered: list[Letter] = attrs.Factory(list)
    message_ids: Mapping[int, Sequence[int]] = attrs.Factory(dict)

    async def leave(self, *letters: Letter) -> None:
        """An answer of which people have seen a part, with these letters."""
        question = Question((1,), PLACE, ADA, "Why?", message_id=9)
        await self.store.receive([{"update_id": 1}])
        turn = OpenTurn(self.store.draw_number(), KEY, (question,), (1,), 1000.0, said=SAID)
        await self.store.begin(attrs.evolve(turn, live=Unsealed("entities", "Because the")))
        for letter in letters:
            await self.store.keep(attrs.evolve(letter, turn=turn.number))

    async def recover(self, resume: Resume) -> list[str]:
        """What each letter is that the outbox gets."""
        rules = RestartRules(lambda: 1000.0, resume)
        await recover(self.store, self.supervisor, rules, self._deliver)
        return [
            f"{each.state} {each.content.text}" for each in self.delivered if isinstance(each.content, FormattedText)
        ]

    def _deliver(self, letters: Iterable[Letter], message_ids: Mapping[int, Sequence[int]]) -> None:
        self.delivered += letters
        self.message_ids = message_ids


@asynccontextmanager
async def open_start() -> AsyncIterator[Start]:
    settings = scene_settings()
    async with open_store(":memory:", executor=run_inline) as store, trio.open_nursery() as nursery:
        agent = open_agent(settings, [ScriptedProvider(constant(Hang()))], open_bench(settings))
        screen = ConsoleScreen(Terminal(0, io.StringIO()))
        services = Services(agent, store, screen, turns=trio.CapacityLimiter(1), queue_limit=5)
        yield Start(store, Supervisor(nursery, services, Access({ADA}, "all"), BotIdentity(7, "bot")))
        nursery.cancel_scope.cancel()


async def test_message_that_grew_stays_as_it_was_last_known_and_marked(autojump_clock: object) -> None:
    async with open_start() as start:
        await start.leave(Letter(100, PLACE, "sent", growing=True, message_id=21))
        assert await start.recover("off") == [f"pending Because the\n\n{MARK}"]
        [letter] = start.delivered
        assert (letter.number, letter.message_id, letter.growing, letter.turn) == (100, 21, False, None)
        assert start.message_ids == {ADA: [21]}
        assert await start.store.open_turns() == []
        assert await start.store.unfinished() == []
        assert [message.text for message in await start.store.load(KEY)] == ["Why?", "Because the "]


async def test_draft_becomes_a_message_which_answers_the_question(autojump_clock: object) -> None:
    async with open_start() as start:
        await start.leave()
        assert await start.recover("off") == [f"pending Because the\n\n{MARK}"]
        [letter] = start.delivered
        assert (letter.message_id, letter.place.asked, letter.replies) == (None, 9, True)


async def test_message_that_may_be_there_is_sought_and_its_text_new(autojump_clock: object) -> None:
    async with open_start() as start:
        await start.leave(Letter(100, PLACE, "sending", growing=True, newest=20))
        assert await start.recover("off") == [f"sending Because the\n\n{MARK}"]
        [letter] = start.delivered
        assert (letter.growing, letter.newest) == (True, 20)


async def test_what_follows_is_asked_behind_what_is_delivered_and_offered_with_a_button(autojump_clock: object) -> None:
    for resume, mark, buttons, asked in (("auto", f"{MARK} · it goes on afterwards", 0, 1), ("ask", MARK, 1, 0)):
        async with open_start() as start:
            await start.leave()
            assert await start.recover(resume) == [f"pending Because the\n\n{mark}"]  # type: ignore[arg-type]  # its own
            [letter] = start.delivered
            assert len(letter.keyboard) == len(await start.store.buttons()) == buttons
            assert len(await start.store.open_turns()) == asked
            assert start.supervisor.is_idle == (not asked)
