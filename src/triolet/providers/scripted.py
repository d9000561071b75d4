"""A model that follows a script: the deterministic provider of the demo and of tests.

A script is a function from a request to steps; it is asked anew for every request. Times are Trio's, so a virtual
clock plays a minute's script in no time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

import attrs
import trio

from triolet.core.conversation import Message, ToolResultPart
from triolet.core.events import (
    Batch,
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.ports import ModelRequest
from triolet.errors import ProviderError


@attrs.frozen
class Say:
    """Emit these events as one batch, as one read of a socket would bring them."""

    events: Batch

    @classmethod
    def text(cls, text: str) -> Say:
        return cls((TextDelta(text),))

    @classmethod
    def reasoning(cls, text: str) -> Say:
        return cls((ReasoningDelta(text),))

    @classmethod
    def tool_call(cls, name: str, arguments: str, *, index: int = 0, call_id: str = "call_1") -> Say:
        return cls((ToolCallDelta(index, call_id, name, arguments),))

    @classmethod
    def usage(cls, input_tokens: int, output_tokens: int) -> Say:
        return cls((UsageReported(input_tokens, output_tokens),))


@attrs.frozen
class Pause:
    """Say nothing for a while."""

    seconds: float


@attrs.frozen
class Fail:
    """Break off with this error."""

    error: ProviderError


@attrs.frozen
class Hang:
    """Say nothing any more, and do not end."""


@attrs.frozen
class Cut:
    """End without a terminal event, as a broken connection does that looks like an orderly one."""


@attrs.frozen
class End:
    """End as a model does. A script that runs out ends with ``stop``, if it has not said `Finished` itself."""

    reason: FinishReason = "stop"


Step: TypeAlias = Say | Pause | Fail | Hang | Cut | End
Script: TypeAlias = Callable[[ModelRequest], Iterable[Step]]


class ScriptedProvider:
    """Follows the script, and remembers what it was asked and how each stream ended.

    ``requests`` are the requests in order; ``open_streams`` counts those that have not ended yet.
    """

    def __init__(self, script: Script, *, prefills: bool = False) -> None:
        self._script = script
        self.prefills = prefills
        self.requests: list[ModelRequest] = []
        self.open_streams = 0

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        """As `core.ports.Provider.stream`."""
        self.requests.append(request)
        self.open_streams += 1
        try:
            await trio.lowlevel.checkpoint()
            await self._follow(self._script(request), emit)
        finally:
            self.open_streams -= 1

    async def _follow(self, steps: Iterable[Step], emit: Callable[[Batch], None]) -> None:
        finished = False
        for step in steps:
            if isinstance(step, Say):
                finished = finished or any(isinstance(event, Finished) for event in step.events)
                emit(step.events)
            elif isinstance(step, Pause):
                await trio.sleep(step.seconds)
            elif isinstance(step, Fail):
                raise step.error
            elif isinstance(step, Hang):
                await trio.sleep_forever()
            elif isinstance(step, Cut):
                return
            else:
                emit((Finished(step.reason),))
                return
        if not finished:
            emit((Finished("stop"),))


def speak(text: str, *, tokens_per_second: float = 25.0, first_after: float = 0.4) -> Iterator[Step]:
    """Steps that say a text as a model would: a token of about a word at a time, evenly."""
    yield Pause(first_after)
    tokens = re.findall(r"\s*\S+|\s+\Z", text)
    for token in tokens:
        yield Say.text(token)
        yield Pause(1 / tokens_per_second)
    yield Say((UsageReported(input_tokens=len(text) // 4, output_tokens=len(tokens)), Finished("stop")))


STORY = """\
Three musicians shared a house with one front door and one clock.

The first, a violin, spoke without pause: whatever came to her mind she played at once, note after note, and never \
asked whether anybody kept up. The second, a viola, listened to her and remembered everything. He never hurried and \
never forgot, and whenever somebody asked what the tune was so far, he could tell it whole. The third, a cello, stood \
at the window. The street below was strict: nobody was allowed to call out more than a few times in a breath. So he \
waited for his moment, turned to the viola, took the newest version of the tune, and sang that.

One evening somebody in the street raised a hand. "Stop," they said. And because the three shared one door and one \
clock, all of them stopped within the same heartbeat. The viola wrote down what had been played, the cello left it on \
the window sill, and nothing was lost.

That is all there is to a triolet: three notes in the time of two."""

GUIDE = """\
## How a frame gets to you

Telegram takes **40 drafts in 30 seconds**, and no more than 20 in any five. Whoever sends faster is told to wait, \
for seconds at first and then for hours. So a frame is worth something, and it should carry *the newest word*:

1. wait until the budget has room
2. take the text as it stands **now**, not as it stood when the waiting began
3. send it, and look at what comes back

In Python, on Trio, that is a loop that ends when its scope is cancelled:

```python
async def run_window(outbox, bubble, latest, pace):
    while True:
        await wait_due(latest, pace)
        await outbox.wait_slot(bubble)          # the budget has room
        frame = latest.take_frame()             # the newest text, now
        outcome = await outbox.show(bubble, frame)
        pace.ended(frame.revision, outcome)     # delivered, refused, unknown
```

What comes back is one of three things, and each has its rule:

| outcome   | a frame             | a message               |
|-----------|---------------------|-------------------------|
| delivered | the next one waits  | done                    |
| refused   | skipped, or plainer | mended, then repeated   |
| unknown   | forgotten           | looked for, never doubled |

A few things follow from that:

- a **stop** is a cancelled scope, at any of these lines
- a slow screen never holds up the model
  - and a fast model never floods the screen
- what looks like HTML, such as `List<String>` or <b>this</b>, is text

> The cello waits for its moment, and then sings the newest version of the tune.

That was the guide; see [Trio's documentation](https://trio.readthedocs.io) for what a scope is."""

GREETING = """\
Hello! I am the scripted demo provider: no model, no network, only a script that speaks at the pace of a model. \
Ask me for a story, for the guide with its code and its table, or for the time, which I have to look up; and press a \
key while I talk: I stop at once, and what I said so far stays."""


_PLEA = re.compile(r"\bcontinue\b|\bgo on\b", re.IGNORECASE)
"""How people, and bots, ask for the rest of an answer that broke off."""


def demo_script(request: ModelRequest) -> Iterable[Step]:
    """What the demo says: a story, a guide, the time, an introduction, or an echo with the turn's number.

    Who asks for the rest of what broke off gets that.
    """
    has_clock = any(tool.name == "current_time" for tool in request.tools)
    if has_clock and _topic(_question(request.messages)) == "time":
        return _look_up_the_time()
    return speak(_answer(request.messages))


def _question(messages: Sequence[Message]) -> str:
    """What is asked now; empty if a tool has looked it up already."""
    return messages[-1].text if messages and messages[-1].role == "user" else ""


def _topic(question: str) -> str:
    return next((topic for topic in ("story", "guide", "time") if topic in question.lower()), "")


def _answer(messages: Sequence[Message]) -> str:
    if messages and messages[-1].role == "tool":
        return _time_told(messages[-1])
    if rest := _rest(messages):
        return rest
    question, count = _question(messages), sum(message.role == "user" for message in messages)
    known = {"story": STORY, "guide": GUIDE}.get(_topic(question), GREETING if count == 1 else "")
    return known or f"You said: {question.strip()[:2000]}\n\nThat was message {count} of this conversation."


def _rest(messages: Sequence[Message]) -> str:
    """What is left of the answer that broke off, if that is what is asked for."""
    if len(messages) < 3 or not _PLEA.search(_question(messages)):
        return ""
    *before, said, _ = messages
    whole, begun = _answer(before).lstrip(), said.text.lstrip()
    if not begun or not whole.startswith(begun):
        return ""
    return whole[len(begun) :] or "That was all."


def _look_up_the_time() -> Iterator[Step]:
    yield from islice(speak("Let me look at the clock."), 12)
    yield Say.reasoning("They want the time, and a model has no clock.")
    yield Say.tool_call("current_time", '{"zone": "UTC"}')
    yield End("tool_calls")


def _time_told(message: Message) -> str:
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    return f"The clock says: {results[0].content}."


def constant(*steps: Step) -> Script:
    """A script that answers every request with the same steps."""
    return lambda _request: steps


def events(*said: StreamEvent) -> Say:
    """One batch of any events."""
    return Say(said)
