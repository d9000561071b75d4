"""Responses: OpenAI's newer dialect, which other servers have begun to speak. What holds for all is in `sdk`.

Nothing is stored at the server (``store`` is false): the conversation is ours. A model that thinks must then get its
thoughts back before the results of the calls they led to, and OpenAI seals them for that, if asked to by ``include``.
Others refuse or ignore the word, and so do OpenAI's models that do not think: those are asked again without it.
Summaries of thoughts are asked for where the settings say how much the model is to think: models that do not think
refuse the request for it, and so do those that do, for organisations that are not verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import openai

from triolet.config import ModelSettings
from triolet.core.dialects.openai_responses import OpenAIResponsesDecoder, decode_answer, render_request
from triolet.core.ports import ModelRequest
from triolet.net.network import Connect, connect_tcp
from triolet.providers.openai_sdk import as_they_are, is_openai, key_headers, open_openai
from triolet.providers.sdk import Asked, Dialect, SDKProvider


class OpenAIResponsesProvider(SDKProvider):
    """It takes no prefill: models begin anew after an assistant's text."""

    _client: openai.AsyncOpenAI

    def __init__(self, settings: ModelSettings, *, connect: Connect = connect_tcp) -> None:
        dialect = Dialect(OpenAIResponsesDecoder, decode_answer, openai.OpenAIError)
        super().__init__(settings, open_openai(settings, connect), dialect)

    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        sealed = {"include": ["reasoning.encrypted_content"]} if is_openai(self._settings) else {}
        effort = self._settings.reasoning
        thinking = {"reasoning": {"effort": effort, "summary": "auto"}} if effort else {}
        return {
            "model": self._settings.name,
            **render_request(request),
            **sealed,
            **thinking,
            "store": False,
            "stream": True,
            "max_output_tokens": request.max_tokens,
        }

    def _ask(self, parameters: Mapping[str, Any]) -> Asked:
        create = self._client.responses.with_streaming_response.create
        return create(**as_they_are(parameters), extra_headers=key_headers(self._settings))
