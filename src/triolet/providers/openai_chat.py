"""Chat Completions: OpenAI itself, and every server that speaks its dialect. What holds for all is in `sdk`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import openai

from triolet.config import ModelSettings
from triolet.core.dialects.openai_chat import OpenAIChatDecoder, decode_answer, render_request
from triolet.core.ports import ModelRequest
from triolet.net.network import Connect, connect_tcp
from triolet.providers.openai_sdk import as_they_are, is_openai, key_headers, open_openai
from triolet.providers.sdk import Asked, Dialect, SDKProvider


class OpenAIChatProvider(SDKProvider):
    """It takes no prefill: OpenAI's own models begin anew after an assistant's text, and nobody knows of others."""

    _client: openai.AsyncOpenAI

    def __init__(self, settings: ModelSettings, *, connect: Connect = connect_tcp) -> None:
        dialect = Dialect(OpenAIChatDecoder, decode_answer, openai.OpenAIError)
        super().__init__(settings, open_openai(settings, connect), dialect)

    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        # OpenAI's newer models refuse max_tokens; most other servers know nothing else.
        limit = "max_completion_tokens" if is_openai(self._settings) else "max_tokens"
        effort = self._settings.reasoning
        return {
            "model": self._settings.name,
            **render_request(request),
            **({"reasoning_effort": effort} if effort else {}),
            "stream": True,
            "stream_options": {"include_usage": True},
            limit: request.max_tokens,
        }

    def _ask(self, parameters: Mapping[str, Any]) -> Asked:
        create = self._client.chat.completions.with_streaming_response.create
        return create(messages=[], **as_they_are(parameters), extra_headers=key_headers(self._settings))
