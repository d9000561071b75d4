"""The model as a conversation knows it: one round at a time, from the first model that gives one.

There may be several models, in order of preference; who listens need not know which one speaks. Rules:

1. Before anything can be seen, whatever fails may be tried again: another model if there is one, or else the same one,
   up to `ATTEMPTS` times in all. A wait that the provider names is kept, if it is not longer than `LONGEST_WAIT`.
2. As soon as something can be seen, it stays: the same model is asked for the rest of it, `CONTINUATIONS` times.
3. An answer without its terminal event is cut off, however orderly its connection was closed.
4. A model that fails again and again is passed over for a while, or asked just once if there is no other.
5. All of it together takes `total_timeout` at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import attrs
import stamina
import structlog
import trio

from triolet.config import ModelSettings
from triolet.core.breaker import Breaker
from triolet.core.conversation import Message
from triolet.core.events import Batch, RoundStarted, TurnBatch, UsageReported
from triolet.core.history import TokenEstimate, fit, length, without_blocks
from triolet.core.ports import ModelRequest, Provider, ToolSpec
from triolet.core.rounds import Round
from triolet.core.seam import Seam
from triolet.errors import ContextTooLong, ProviderError, ProviderUnavailable

log = structlog.get_logger()

ATTEMPTS = 3
LONGEST_WAIT = 60.0
CONTINUATIONS = 2
CONTINUATION_PAUSE = 1.0

GO_ON = (
    "Your answer was cut off by a network failure. Write its last sentence once more, exactly as it begins above, and "
    "go on from there to the end of the answer. Say nothing about the interruption."
)

Emit: TypeAlias = Callable[[TurnBatch], None]

Price: TypeAlias = Callable[[str, UsageReported], float | None]
"""What a round of a model, by its name, costs in US dollars; None if nobody knows."""


@attrs.define
class Thread:
    """What the rounds of one answer have in common: who answered the last one, and the first message that it knew.

    ``rest`` is that of a `core.ports.ModelRequest`.
    """

    answered_by: object = None
    start: int = 0
    rest: Callable[[], float] = attrs.field(default=lambda: 0.0, eq=False)


@attrs.frozen
class Question:
    """What a round is asked: the conversation so far, and the tools; ``behind`` goes with its last turn in any case."""

    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    may_call: bool = True
    thread: Thread = attrs.Factory(Thread)
    behind: Sequence[Message] = ()


class _Candidate:
    """A model that may be asked; learns from its reports how long a token is, and how much it holds."""

    def __init__(self, provider: Provider, settings: ModelSettings) -> None:
        self.provider = provider
        self.settings = settings
        self.breaker = Breaker()
        self._estimate = TokenEstimate()
        self._context_tokens = settings.context_tokens

    async def ask(self, question: Question, emit: Callable[[Batch], None]) -> None:
        """Ask with as much history as fits; once more with half of it if the provider says that it is too long."""
        request = self._request(question, self._context_tokens)
        try:
            await self._stream(question, request, emit)
        except ContextTooLong:  # raised before anything is said
            # The model holds less than it was said to: halve what it refused, and come closer from request to request.
            refused = self._estimate.tokens(request.messages, request.system_prompt)
            self._context_tokens = min(self._context_tokens, int(refused * 0.9))
            shorter = self._request(question, refused // 2)
            if len(shorter.messages) == len(request.messages):
                raise ProviderError("the message is too long for the model; send less, or /new") from None
            await self._stream(question, shorter, emit)

    async def _stream(self, question: Question, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        await self.provider.stream(request, self._learning(request, emit))
        question.thread.answered_by = self
        question.thread.start = len(question.messages) + len(question.behind) - len(request.messages)

    def _request(self, question: Question, context_tokens: int) -> ModelRequest:
        prompt = self.settings.system_prompt
        room = context_tokens - (self._estimate.tokens(question.behind) if question.behind else 0)
        kept = fit(question.messages, context_tokens=room, system_prompt=prompt, estimate=self._estimate)
        thread = Thread(self, len(question.messages) - len(kept))
        if question.thread.answered_by is not None and thread != question.thread:
            # A model's blocks are bound to that model, and to all that it had read before.
            kept = [without_blocks(message) for message in kept]
        messages = [*kept, *question.behind]
        limit, rest = self.settings.max_tokens, question.thread.rest
        return ModelRequest(messages, prompt, limit, question.tools, question.may_call, rest)

    def _learning(self, request: ModelRequest, emit: Callable[[Batch], None]) -> Callable[[Batch], None]:
        def emit_and_learn(batch: Batch) -> None:
            for event in batch:
                if isinstance(event, UsageReported):
                    characters = len(request.system_prompt) + sum(map(length, request.messages))
                    self._estimate = self._estimate.corrected(characters, event.input_tokens)
            emit(batch)

        return emit_and_learn


class Model:
    """All models of the bot, for all conversations. ``hide_tags`` are those of `Hidden`: what they hide is not seen."""

    def __init__(self, models: Sequence[tuple[Provider, ModelSettings]], hide_tags: Sequence[str] = ()) -> None:
        self._candidates = [_Candidate(provider, settings) for provider, settings in models]
        self._hide_tags = hide_tags

    async def ask(self, question: Question, emit: Emit) -> Round:
        """Ask for one round; everything that is said is emitted, too.

        Raises:
            ProviderError: no answer, or no more of it.
        """
        answer = Round(self._hide_tags)
        seconds = self._candidates[0].settings.total_timeout
        with trio.move_on_after(seconds):
            await self._ask_in_order(question, answer, emit)
        if answer.finished is None:
            raise ProviderUnavailable(f"no end after {seconds:g} s")
        return answer

    async def _ask_in_order(self, question: Question, answer: Round, emit: Emit) -> None:
        note = ""
        for candidate, attempts in self._order():
            emit((RoundStarted(candidate.settings.name, note),))
            answer.begin_again()
            try:
                await self._ask_patiently(candidate, question, answer, emit, attempts=attempts)
            except ProviderError as error:
                if answer.has_spoken or candidate is self._candidates[-1]:
                    raise
                log.warning("model.passed_over", model=candidate.settings.name, problem=str(error))
                note = f"{error}; asking another model"
            else:
                return

    def _order(self) -> Iterator[tuple[_Candidate, int]]:
        """Who is asked, and how often: the last one is the only one with whom patience helps, if it is not failing."""
        for candidate in self._candidates:
            is_last = candidate is self._candidates[-1]
            if candidate.breaker.allows(trio.current_time()) or is_last:
                yield candidate, ATTEMPTS if is_last and not candidate.breaker.is_open else 1

    async def _ask_patiently(
        self, candidate: _Candidate, question: Question, answer: Round, emit: Emit, *, attempts: int
    ) -> None:
        def pause(error: Exception) -> bool | float:
            """Whether to ask again, or when."""
            if not isinstance(error, ProviderUnavailable) or answer.has_spoken:
                return False
            wait = error.retry_after
            return True if wait is None else wait if wait <= LONGEST_WAIT else False

        async for attempt in stamina.retry_context(on=pause, attempts=attempts, timeout=None, wait_initial=0.5):
            with attempt:
                try:
                    await self._ask_once(candidate, question, answer, emit)
                except ProviderUnavailable as error:
                    if attempt.num < attempts and pause(error):
                        log.info("model.asked_again", model=candidate.settings.name, problem=str(error))
                        emit((RoundStarted(candidate.settings.name, f"{error}; asking again"),))
                        answer.begin_again()
                    raise

    async def _ask_once(self, candidate: _Candidate, question: Question, answer: Round, emit: Emit) -> None:
        try:
            await _listen(candidate, question, answer, emit)
        except ProviderUnavailable as error:
            if not answer.has_spoken:
                raise
            await _go_on(candidate, question, answer, emit, error)


async def _listen(
    candidate: _Candidate, question: Question, answer: Round, emit: Emit, sew: Callable[[Batch], Batch] = tuple
) -> None:
    """One stream, from its first to its last event; its model's health is judged by it."""

    def hear(batch: Batch) -> None:
        if sewn := sew(batch):
            answer.receive(sewn)
            emit(sewn)

    try:
        await candidate.ask(question, hear)
        if answer.finished is None:
            raise ProviderUnavailable("the connection was closed too early")  # noqa: TRY301  # as if the provider had said so
    except ProviderUnavailable:
        candidate.breaker.failed(trio.current_time())
        raise
    candidate.breaker.succeeded()


async def _go_on(
    candidate: _Candidate, question: Question, answer: Round, emit: Emit, problem: ProviderUnavailable
) -> None:
    """Ask for the rest of what can be seen; raises the problem if nobody gives it."""
    for number in range(CONTINUATIONS):
        await trio.sleep(CONTINUATION_PAUSE * number)
        emit((RoundStarted(candidate.settings.name, f"{problem}; going on"),))
        answer.begin_again()
        seam = Seam(answer.text, exact=candidate.provider.prefills, hide_tags=answer.hide_tags)
        said = [Message.of("assistant", answer.text)]
        said += [] if candidate.provider.prefills else [Message.of("user", GO_ON)]
        try:
            await _listen(candidate, attrs.evolve(question, behind=said), answer, emit, seam.sew)
        except ProviderError as error:
            log.warning("model.not_continued", model=candidate.settings.name, problem=str(error))
        else:
            return
        if seam.diverged:
            break
    raise problem
