"""The agent loop: ask, run the tools that the model wants, tell it what they gave, ask again.

What a round says is on its way to the screen while it is said; nothing here looks at it. Rules:

1. The tools of a round run at once, and all of them end before the next round begins.
2. The last round that is allowed has no tools to call, so that it ends in an answer.
3. Whatever becomes of a tool is for the model to read: only the model's own failure ends the turn.
4. What who asked says meanwhile can be told to the model when the tools have run, and nowhere else. What is taken in is
   emitted in the same instant, so that no cancel can lose it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from triolet.app.model import Emit, Model, Question, Thread
from triolet.core.conversation import Message, ToolCallPart
from triolet.core.events import RoundEnded, Steered
from triolet.core.ports import Toolbox
from triolet.errors import ProviderError
from triolet.tools.runner import CallRecord, ToolLimits, run_calls


@attrs.frozen
class Agent:
    """A model with its tools, and how many rounds an answer may take."""

    model: Model
    toolbox: Toolbox
    limits: ToolLimits
    max_rounds: int

    async def answer(
        self,
        messages: Sequence[Message],
        emit: Emit,
        approve: Callable[[ToolCallPart], Awaitable[bool]],
        steer: Callable[[], Sequence[Message]],
        record: CallRecord,
        rest: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Emit the answer to the messages.

        ``approve`` asks a person whether a call may be made; ``steer`` takes what there is to be told on the way;
        ``record`` writes down which tools run; ``rest`` is that of a `core.ports.ModelRequest`.

        Raises:
            ProviderError: no answer, or no more of it.
        """
        said = list(messages)
        # The same tools in every round: a model's thoughts are bound to what it was told before.
        tools = self.toolbox.tools()
        specs, thread = [tool.spec for tool in tools], Thread(rest=rest)
        for number in range(1, self.max_rounds + 1):
            may_call = number < self.max_rounds
            answer = await self.model.ask(Question(said, specs, may_call, thread), emit)
            if not answer.wants_tools:
                return
            message = answer.message()
            if may_call:
                emit((RoundEnded(message),))
                results = await run_calls(
                    message.calls, tools, limits=self.limits, approve=approve, emit=emit, record=record
                )
                said += [message, Message("tool", results)]
                if steering := steer():
                    emit((Steered(tuple(steering)),))
                    said += steering
        raise ProviderError(f"the model still wants tools in its last round (max_rounds = {self.max_rounds})")
