"""Anthropic's Messages: Anthropic itself, and every server that speaks its dialect. What holds for all is in `sdk`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic
from anthropic._base_client import get_platform

from triolet.config import ModelSettings
from triolet.core.dialects.anthropic_messages import AnthropicDecoder, decode_answer, render_request
from triolet.core.ports import ModelRequest
from triolet.net.network import Connect, connect_tcp
from triolet.providers.prefill import takes_prefill
from triolet.providers.sdk import ANTHROPIC, Asked, Dialect, SDKProvider, open_http, time_limits


class AnthropicProvider(SDKProvider):
    """``settings.base_url`` goes without ``/v1``, as everybody writes it for this dialect; with it is fine too."""

    _client: anthropic.AsyncAnthropic

    def __init__(self, settings: ModelSettings, *, connect: Connect = connect_tcp) -> None:
        dialect = Dialect(AnthropicDecoder, decode_answer, anthropic.AnthropicError)
        super().__init__(settings, _open_anthropic(settings, connect), dialect)
        self.prefills = takes_prefill(settings)

    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        limit = {"model": self._settings.name, "max_tokens": request.max_tokens}
        return {**limit, **self._thinking(), **render_request(request), "stream": True}

    def _thinking(self) -> dict[str, Any]:
        """Thoughts are asked for in readable form: some models leave them out otherwise."""
        effort = self._settings.reasoning
        thinking = {"type": "adaptive", "display": "summarized"}
        return {"thinking": thinking, "output_config": {"effort": effort}} if effort else {}

    def _ask(self, parameters: Mapping[str, Any]) -> Asked:
        keyless = {} if self._settings.api_key else {"Authorization": anthropic.Omit(), "X-Api-Key": anthropic.Omit()}
        return self._client.messages.with_streaming_response.create(**parameters, extra_headers=keyless)


def _open_anthropic(settings: ModelSettings, connect: Connect) -> anthropic.AsyncAnthropic:
    base_url = settings.base_url.removesuffix("/v1") or ANTHROPIC
    client = anthropic.AsyncAnthropic(
        # Without one, the SDK would look for others: in the environment, in files.
        api_key=settings.api_key.reveal() or "none",
        base_url=base_url,
        max_retries=0,
        timeout=time_limits(settings),
        http_client=open_http(settings, base_url, connect),
    )
    client._custom_headers = {}  # noqa: SLF001  # of the environment, which no public option leaves out
    # The first request would ask for the platform in a thread, which no virtual clock can wait for.
    client._platform = get_platform()  # noqa: SLF001
    return client
