"""The Protocols that rooms meet at: a room names what it needs here, and `app` fills it in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias, TypeVar

import attrs

from triolet.core.buttons import KeptButton
from triolet.core.conversation import ConversationKey, Ending, Message, ToolCallPart
from triolet.core.events import Batch
from triolet.core.letters import Letter, Undelivered
from triolet.core.markup.layout import Unsealed
from triolet.core.recovery import OpenTurn
from triolet.core.usage import Spent

T = TypeVar("T")

RawUpdate: TypeAlias = dict[str, Any]
"""An Update object of the Bot API as it came, decoded from JSON."""


class Executor(Protocol):
    """Runs a blocking function to its end and returns its result: inline, or on a thread."""

    async def __call__(self, job: Callable[[], T], /) -> T: ...


class Posted(Protocol):
    """Something that was given to be written down. It will be, whether anybody waits for it or not.

    Awaiting it returns when it is on the disk, and raises StoreError if the disk refuses it for now: it is tried again
    until it is taken. What no disk could take raises it too, and is dropped. Things are written in the order in which
    they were given.
    """

    def __await__(self) -> Generator[Any, None, None]: ...


@attrs.frozen
class Unfinished:
    """An update that nobody has finished; ``received_at`` is in seconds since 1970.

    ``is_wanted`` says that it was offered to be answered late, and is wanted all the same.
    """

    update: RawUpdate
    received_at: float
    is_wanted: bool = False


class Units(Protocol):
    def unit(self) -> AbstractContextManager[Posted]:
        """All that is given to the store within the block, which must not wait, is written in one transaction.

        It gives what can be waited for behind the block. An exception in the block gives up all of it.
        """
        ...


class Inbox(Units, Protocol):
    """What Telegram handed over and nobody has finished yet."""

    async def receive(self, updates: Sequence[RawUpdate]) -> list[RawUpdate]:
        """Store the updates durably; return those never seen before, in order. Raises StoreError: none is stored."""
        ...

    async def unfinished(self) -> list[Unfinished]:
        """Every stored update that is neither finished nor offered, in order of arrival."""
        ...

    def finish(self, update_ids: Sequence[int]) -> Posted:
        """These need no more work; an id that is unknown or finished already is fine."""
        ...

    def offer(self, update_ids: Sequence[int]) -> Posted:
        """These are answered only if somebody wants it."""
        ...

    async def want(self, update_ids: Sequence[int]) -> list[Unfinished]:
        """Somebody does: returns those of them that were offered, in order of arrival; others are left alone."""
        ...


class History(Protocol):
    """What was said in each conversation."""

    async def load(self, key: ConversationKey) -> list[Message]:
        """The messages since the conversation began or was last cleared, oldest first."""
        ...

    def record(
        self,
        key: ConversationKey,
        messages: Sequence[Message],
        *,
        finished: Sequence[int] = (),
        spent: Sequence[Spent] = (),
        user_id: int = 0,
        turn: int | None = None,
    ) -> Posted:
        """Append the messages, finish the updates that asked for them and note what they cost, in one transaction.

        ``spent`` is that of one answer; ``user_id`` is who asked, 0 for nobody known. ``turn`` is the open turn whose
        place in the store they take.
        """
        ...

    async def clear(self, key: ConversationKey, *, finished: Sequence[int] = ()) -> None:
        """Forget the conversation and finish the updates that asked for it, in one transaction.

        What it cost stays known.
        """
        ...

    def move(self, chat_id: int, to: int) -> Posted:
        """The chat is another one now, with all that was said, switched and spent in it; what is there stays."""
        ...


class Turns(Protocol):
    """Answers that are being written, for a run that comes after a crash."""

    def begin(self, turn: OpenTurn, *, instead_of: int | None = None) -> Posted:
        """Keep the turn, in the place of that one."""
        ...

    def checkpoint(
        self, number: int, *, said: Sequence[Message], live: Unsealed | None, update_ids: Sequence[int]
    ) -> Posted:
        """How far the turn is; nothing if it is open no more."""
        ...

    def stop(self, number: int, ending: Ending) -> Posted:
        """A person has ended the turn, whatever becomes of its record."""
        ...

    def begin_call(self, number: int, call: ToolCallPart, *, has_effects: bool) -> Posted:
        """The turn's tool is about to run."""
        ...

    def end_call(self, number: int, call_id: str, *, failed: bool) -> Posted:
        """It has run."""
        ...

    async def open_turns(self) -> list[OpenTurn]:
        """All of them, in the order in which they began."""
        ...


class Journal(Protocol):
    """What the bot's messages are, and how far each is."""

    def draw_number(self) -> int:
        """A number for a letter or a turn, higher than all that are in use."""
        ...

    def keep(self, letter: Letter) -> Posted:
        """The letter as it is now, in the place of what was known of its number.

        What is sent and does not grow loses its content, unless there are buttons under it, which may have to go.
        """
        ...

    def forget(self, number: int) -> Posted:
        """There is no such letter any more."""
        ...

    async def letters(self) -> list[Letter]:
        """By number: all but those that are sent, do not grow, and belong to no open turn."""
        ...

    async def message_ids(self) -> Mapping[int, Sequence[int]]:
        """The ids that messages of ours are known to have, in each chat, ascending."""
        ...

    async def undelivered(self, chat_id: int | None = None) -> list[Undelivered]:
        """The uncertain and the dead ones, of one chat or of all, newest first."""
        ...


class Offers(Protocol):
    """Buttons that outlive the run that showed them."""

    def keep_button(self, button: KeptButton) -> Posted: ...

    def drop_buttons(self, nonces: Sequence[str]) -> Posted:
        """They mean nothing any more."""
        ...

    async def buttons(self) -> list[KeptButton]:
        """All of them, oldest first."""
        ...


class Preferences(Protocol):
    """What users switched for a chat; values are short strings."""

    async def switched(self, key: ConversationKey) -> Mapping[str, str]:
        """All of them, by their names."""
        ...

    async def put(self, key: ConversationKey, name: str, value: str, *, finished: Sequence[int] = ()) -> None:
        """Keep the value and finish the updates that asked for it, in one transaction."""
        ...


class Ledger(Protocol):
    """What was spent in each conversation; a model may come twice, with what has a price and with what has none."""

    async def spending(self, key: ConversationKey, *, since: float) -> Sequence[Spent]:
        """The sums since then, in seconds since 1970; 0 for all."""
        ...

    async def last_spending(self, key: ConversationKey) -> Sequence[Spent]:
        """That of the newest answer that reported any."""
        ...


class Pins(Protocol):
    """What the tools of foreign servers looked like when somebody approved of them."""

    async def pinned(self, server: str) -> Mapping[str, str]:
        """The digest of each of the server's tools, by the tool's name."""
        ...

    async def pin(self, server: str, tool: str, digest: str) -> None:
        """Keep the digest, in the place of an older one."""
        ...


@attrs.frozen
class Recalled:
    """What is known of a conversation when it begins: what its chat has switched, and what was said."""

    switched: Mapping[str, str]
    messages: list[Message]


class Store(Inbox, History, Turns, Journal, Offers, Preferences, Ledger, Pins, Protocol):
    """All that must survive a restart, in one file."""

    async def recall(self, key: ConversationKey) -> Recalled:
        """`History.load` of the conversation and `Preferences.switched` of its chat: an answer waits for both."""
        ...

    @property
    def trouble(self) -> str:
        """Why the disk takes nothing at present; empty if it does."""
        ...

    async def prune(self) -> None:
        """Forget what was done with long ago."""
        ...


@attrs.frozen
class ToolSpec:
    """A tool as a model gets to know it; ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class Tool(Protocol):
    """What a model may call."""

    @property
    def spec(self) -> ToolSpec: ...

    @property
    def has_effects(self) -> bool:
        """Whether it changes anything outside: then a person is asked first."""
        ...

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Run it; what it gives is for the model. Cancelling ends it.

        Raises:
            ToolError: it cannot; the message tells the model why.
        """
        ...


class Toolbox(Protocol):
    """The tools that there are now; which they are may change from round to round."""

    def tools(self) -> Sequence[Tool]:
        """No two of one name."""
        ...


@attrs.frozen
class ModelRequest:
    """One question to a model: what was said, what it may call, and how much it may answer.

    Messages that end with an assistant's text ask for that text's continuation. Without ``may_call`` the ``tools`` are
    only there because earlier messages speak of them. ``rest`` tells, whenever it is asked, for how many seconds
    nobody could see more of the answer than was emitted: a provider may leave its socket alone for that time.
    """

    messages: Sequence[Message]
    system_prompt: str = ""
    max_tokens: int = 4096
    tools: Sequence[ToolSpec] = ()
    may_call: bool = True
    rest: Callable[[], float] = lambda: 0.0


class Provider(Protocol):
    """A model behind an API."""

    @property
    def prefills(self) -> bool:
        """Whether a request that ends with an assistant's text is answered with the rest of that text."""
        ...

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        """Ask, and emit what the model says, a batch for each read of the socket, until it has said all.

        A stream that was not cut off emits `Finished`, once; only usage may follow, and nothing after it is an
        error. One that is cut off in good order returns without it. Batches are never empty. Cancelling closes the
        connection at once.

        Raises:
            ProviderError: no answer, or no more of it; what came before is emitted first. The message is one line
                and, like all that hangs on it, free of secrets.
        """
        ...
