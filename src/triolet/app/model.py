"""The model as a conversation knows it: history in, events out, with the context kept to its bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from triolet.config import ModelSettings
from triolet.core.conversation import Message
from triolet.core.events import Batch, UsageReported
from triolet.core.history import TokenEstimate, fit
from triolet.core.ports import ModelRequest, Provider
from triolet.errors import ContextTooLong, ProviderError


class Model:
    """One provider for all conversations; learns from its reports how long a token is."""

    def __init__(self, provider: Provider, settings: ModelSettings) -> None:
        self._provider = provider
        self._settings = settings
        self._estimate = TokenEstimate()
        self._context_tokens = settings.context_tokens

    async def ask(self, messages: Sequence[Message], emit: Callable[[Batch], None]) -> None:
        """Ask with as much history as fits; once more with half of it if the provider says that it is too long.

        Raises:
            ProviderError: no answer, or no more of it.
        """
        request = self._request(messages, self._context_tokens)
        try:
            await self._provider.stream(request, self._learning(request, emit))
        except ContextTooLong:  # raised before anything is said
            # The model holds less than it was said to: halve what it refused, and come closer from request to request.
            refused = self._estimate.tokens(request.messages, request.system_prompt)
            self._context_tokens = min(self._context_tokens, int(refused * 0.9))
            shorter = self._request(messages, refused // 2)
            if len(shorter.messages) == len(request.messages):
                raise ProviderError("the message is too long for the model; send less, or /new") from None
            await self._provider.stream(shorter, self._learning(shorter, emit))

    def _request(self, messages: Sequence[Message], context_tokens: int) -> ModelRequest:
        prompt = self._settings.system_prompt
        kept = fit(messages, context_tokens=context_tokens, system_prompt=prompt, estimate=self._estimate)
        return ModelRequest(kept, prompt, self._settings.max_tokens)

    def _learning(self, request: ModelRequest, emit: Callable[[Batch], None]) -> Callable[[Batch], None]:
        def emit_and_learn(batch: Batch) -> None:
            for event in batch:
                if isinstance(event, UsageReported):
                    self._estimate = self._estimate.corrected(_characters(request), event.input_tokens)
            emit(batch)

        return emit_and_learn


def _characters(request: ModelRequest) -> int:
    return len(request.system_prompt) + sum(len(message.text) for message in request.messages)
