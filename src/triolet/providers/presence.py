"""Whether a model's server is there and takes the key: it is asked for the list of its models, which costs nothing.

No SDK takes part in that: to import one takes longer than to ask.
"""

from __future__ import annotations

from typing import Final

import httpx2
import trio

from triolet.config import ModelSettings
from triolet.errors import ProviderError, ProviderUnavailable
from triolet.net.network import Connect, connect_tcp
from triolet.providers.refusals import Refusal
from triolet.providers.sdk import ANTHROPIC, OPENAI, open_http

PATIENCE: Final = 10.0
"""Seconds for all of it."""

_NO_LIST: Final = frozenset({400, 404, 405, 422})
"""What servers say that have no list of models; the others' answers tell of the key, or of the server."""


async def ask_presence(settings: ModelSettings, *, connect: Connect = connect_tcp) -> int:
    """The status with which the server answered: 200 if it has a list of models.

    Raises:
        ProviderError: it is not there, refuses the key, or cannot answer now; the message holds no secret.
    """
    base_url, headers = _address(settings), _headers(settings)
    problem: ProviderError | None = None
    status = 0
    with trio.move_on_after(PATIENCE) as waiting:
        try:
            async with (
                open_http(settings, base_url, connect) as client,
                client.stream("GET", f"{base_url}/models", headers=headers) as response,
            ):
                status = response.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            host = httpx2.URL(base_url).host
            problem = ProviderUnavailable(f"no connection to the provider at {host} ({type(error).__name__})")
    if waiting.cancelled_caught and not status:
        problem = ProviderUnavailable(f"no answer within {PATIENCE:g} s")
    if problem is None and not 200 <= status < 300 and status not in _NO_LIST:
        problem = Refusal(status).error(str)
    if problem is not None:  # raised here, since the HTTP library's errors hold the request, and the key in it
        raise problem
    return status


def _address(settings: ModelSettings) -> str:
    if settings.provider == "anthropic":
        return f"{settings.base_url.removesuffix('/v1') or ANTHROPIC}/v1"
    return settings.base_url or OPENAI


def _headers(settings: ModelSettings) -> dict[str, str]:
    key = settings.api_key.reveal()
    if settings.provider == "anthropic":
        return {"Anthropic-Version": "2023-06-01"} | ({"X-Api-Key": key} if key else {})
    return {"Authorization": f"Bearer {key}"} if key else {}
