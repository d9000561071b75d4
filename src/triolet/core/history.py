"""What of a conversation fits into the next request.

Tokens are estimated from characters, because exact counting needs each model's tokeniser; the estimate is
corrected by what the provider reports. Rules:

1. The system prompt and the last turn always go, however long they are.
2. Whole turns (what a user asked, and all that answers it) are dropped, the oldest first; a turn is never cut, so that
   no tool result loses its call, and no answer a part of its question.
3. A turn begins with a user's message behind an assistant's. One behind another user's message was asked together with
   it, and one behind a tool's was said while the turn went on.
4. A turn that ends without an answer ends with `UNANSWERED`, which no model gets to see: what was too long to be
   answered must not become a part of what is asked next, and of all that is asked ever after. Only what interrupts a
   turn before its first word goes on with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from triolet.core.conversation import Message, OpaquePart, TextPart, ToolCallPart, ToolResultPart

_PER_MESSAGE = 4  # tokens of framing that every dialect spends on a message

UNANSWERED = Message("assistant", ())
"""What an assistant who says nothing says: a message of no parts."""


def length(message: Message) -> int:
    """The characters of a message that its model reads; what only a dialect understands has no length that we know."""
    total = 0
    for part in message.parts:
        if isinstance(part, TextPart):
            total += len(part.text)
        elif isinstance(part, ToolCallPart):
            total += len(part.name) + len(part.arguments)
        elif isinstance(part, ToolResultPart):
            total += len(part.content)
    return total


def without_blocks(message: Message) -> Message:
    """The message without what only a dialect understands."""
    return attrs.evolve(message, parts=tuple(part for part in message.parts if not isinstance(part, OpaquePart)))


@attrs.frozen
class TokenEstimate:
    """How many characters this model takes for one token; 3.3 is a cautious mean over languages."""

    characters_per_token: float = 3.3

    def tokens(self, messages: Sequence[Message], system_prompt: str = "") -> int:
        characters = len(system_prompt) + sum(map(length, messages))
        return self.tokens_of(characters, len(messages))

    def tokens_of(self, characters: int, messages: int) -> int:
        """The same of a sum that was made before: ``characters`` in so many ``messages`` and a system prompt."""
        return int(characters / self.characters_per_token) + _PER_MESSAGE * (messages + 1)

    def corrected(self, characters: int, reported_tokens: int) -> TokenEstimate:
        """Half-way to what a request of that many characters really took; small requests tell nothing."""
        if characters < 1000 or reported_tokens <= 0:
            return self
        measured = min(max(characters / reported_tokens, 0.5), 8.0)
        return TokenEstimate((self.characters_per_token + measured) / 2)


def turns(messages: Sequence[Message]) -> list[list[Message]]:
    """The messages in groups that belong together: each begins with a user's message (but maybe the first)."""
    groups: list[list[Message]] = []
    for message, before in zip(messages, [None, *messages], strict=False):
        if before is None or (message.role, before.role) == ("user", "assistant"):
            groups.append([])
        groups[-1].append(message)
    return groups


def fit(
    messages: Sequence[Message],
    *,
    context_tokens: int,
    system_prompt: str = "",
    estimate: TokenEstimate = TokenEstimate(),
) -> list[Message]:
    """The newest whole turns whose estimate is at most ``context_tokens``, the last turn in any case."""
    kept: list[list[Message]] = []
    count, characters = 0, len(system_prompt)
    for whole in reversed(turns(messages)):
        turn = [message for message in whole if message.parts]
        count += len(turn)
        characters += sum(map(length, turn))
        if kept and estimate.tokens_of(characters, count) > context_tokens:
            break
        kept.append(turn)
    return [message for turn in reversed(kept) for message in turn]
