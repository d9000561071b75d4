"""OpenAI's SDK, for both of its dialects: how the client is opened, and whose server it asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import openai
from openai._base_client import get_platform

from triolet.config import ModelSettings
from triolet.net.network import Connect
from triolet.providers.sdk import OPENAI, open_http, time_limits


def is_openai(settings: ModelSettings) -> bool:
    """Whether the server is OpenAI's own, in any region, and no other that speaks its dialect."""
    host = urlsplit(settings.base_url or OPENAI).hostname or ""
    return f".{host}".endswith(".api.openai.com")


def open_openai(settings: ModelSettings, connect: Connect) -> openai.AsyncOpenAI:
    """The client for ``settings.base_url``, or OpenAI's own address if that is empty."""
    base_url = settings.base_url or OPENAI
    client = openai.AsyncOpenAI(
        api_key=settings.api_key.reveal() or "none",  # the SDK refuses to begin without one, see `key_headers`
        base_url=base_url,
        max_retries=0,
        timeout=time_limits(settings),
        http_client=open_http(settings, base_url, connect),
    )
    client.organization = client.project = None
    client._custom_headers = {}  # noqa: SLF001  # of the environment, which no public option leaves out
    # The first request would ask for the platform in a thread, which no virtual clock can wait for.
    client._platform = get_platform()  # noqa: SLF001
    return client


def key_headers(settings: ModelSettings) -> dict[str, openai.Omit]:
    """What a request changes in the headers: none with the key, if there is no key."""
    return {} if settings.api_key else {"Authorization": openai.Omit()}


def as_they_are(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters for a call of the SDK's, which it puts into the request as they are.

    It would look through every message and tool for what its types say of it, for one or two milliseconds.
    """
    named = {name: parameters[name] for name in ("model", "stream")}
    return {**named, "extra_body": {name: value for name, value in parameters.items() if name not in named}}
