"""The Protocols that rooms meet at: a room names what it needs here, and `app` fills it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import attrs

from triolet.core.conversation import ConversationKey, Message
from triolet.core.events import Batch
from triolet.core.usage import Spent

T = TypeVar("T")

RawUpdate: TypeAlias = dict[str, Any]
"""An Update object of the Bot API as it came, decoded from JSON."""


class Executor(Protocol):
    """Runs a blocking function to its end and returns its result: inline, or on a thread."""

    async def __call__(self, job: Callable[[], T], /) -> T: ...


class Inbox(Protocol):
    """What Telegram handed over and nobody has finished yet."""

    async def receive(self, updates: Sequence[RawUpdate]) -> list[RawUpdate]:
        """Store the updates durably; return those never seen before, in order."""
        ...

    async def unfinished(self) -> list[RawUpdate]:
        """Every stored update not finished, in order of arrival."""
        ...

    async def finish(self, update_ids: Sequence[int]) -> None:
        """These need no more work; an id that is unknown or finished already is fine."""
        ...


class History(Protocol):
    """What was said in each conversation."""

    async def load(self, key: ConversationKey) -> list[Message]:
        """The messages since the conversation began or was last cleared, oldest first."""
        ...

    async def record(
        self,
        key: ConversationKey,
        messages: Sequence[Message],
        *,
        finished: Sequence[int] = (),
        spent: Sequence[Spent] = (),
        user_id: int = 0,
    ) -> None:
        """Append the messages, finish the updates that asked for them and note what they cost, in one transaction.

        ``spent`` is that of one answer; ``user_id`` is who asked, 0 for nobody known.
        """
        ...

    async def clear(self, key: ConversationKey, *, finished: Sequence[int] = ()) -> None:
        """Forget the conversation and finish the updates that asked for it, in one transaction.

        What it cost stays known.
        """
        ...


class Preferences(Protocol):
    """What users switched for a chat; values are short strings."""

    async def get(self, key: ConversationKey, name: str) -> str | None: ...

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


class Store(Inbox, History, Preferences, Ledger, Pins, Protocol):
    """All that must survive a restart, in one file."""


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
    only there because earlier messages speak of them.
    """

    messages: Sequence[Message]
    system_prompt: str = ""
    max_tokens: int = 4096
    tools: Sequence[ToolSpec] = ()
    may_call: bool = True


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
