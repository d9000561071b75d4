"""A model's server is asked for its list of models, and for nothing that costs."""

from __future__ import annotations

import math
import traceback

import pytest
import trio
import trio.testing
from model_lists import open_list_server

from triolet.config import ModelSettings, Secret
from triolet.errors import ProviderError, ProviderRejected, ProviderUnavailable
from triolet.providers.presence import PATIENCE, ask_presence

KEY = "sk-CANARY"


def chat(base_url: str = "http://model/v1", key: str = KEY) -> ModelSettings:
    return ModelSettings(provider="openai-chat", base_url=base_url, api_key=Secret(key))


def claude(base_url: str = "http://model") -> ModelSettings:
    return ModelSettings(provider="anthropic", base_url=base_url, api_key=Secret(KEY))


@pytest.mark.parametrize(
    ("settings", "path", "header", "value"),
    [
        (chat(), "/v1/models", "authorization", f"Bearer {KEY}"),
        (chat(key=""), "/v1/models", "authorization", None),
        (claude(), "/v1/models", "x-api-key", KEY),
        (claude("http://model/v1"), "/v1/models", "anthropic-version", "2023-06-01"),
        (claude(), "/v1/models", "authorization", None),
    ],
)
async def test_the_list_is_asked_for_as_each_dialect_does(
    settings: ModelSettings, path: str, header: str, value: str | None
) -> None:
    async with open_list_server() as server:
        assert await ask_presence(settings, connect=server.connect) == 200
    [request] = server.asked
    assert (request.method, request.path, request.body) == ("GET", path, b"")
    assert request.header(header) == value


@pytest.mark.parametrize("status", [200, 299, 400, 404, 405, 422])
async def test_a_server_that_answers_is_there(status: int) -> None:
    async with open_list_server(status) as server:
        assert await ask_presence(chat(), connect=server.connect) == status


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (401, ProviderRejected, "the provider refuses the API key (401): check model.api_key"),
        (403, ProviderRejected, "the provider refuses the API key (403): check model.api_key"),
        (301, ProviderRejected, "the provider has moved (301): check model.base_url"),
        (402, ProviderRejected, "the provider refused the request (402)"),
        (429, ProviderUnavailable, "the provider cannot answer now (429)"),
        (503, ProviderUnavailable, "the provider cannot answer now (503)"),
    ],
)
async def test_what_a_server_refuses_is_told(status: int, kind: type[ProviderError], text: str) -> None:
    async with open_list_server(status) as server:
        with pytest.raises(kind) as caught:
            await ask_presence(chat(), connect=server.connect)
    assert str(caught.value) == text
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


async def test_a_server_that_is_not_there_is_told() -> None:
    async with open_list_server() as server:
        server.reachable = False
        with pytest.raises(ProviderUnavailable) as caught:
            await ask_presence(chat(), connect=server.connect)
    assert str(caught.value) == "no connection to the provider at model (ConnectError)"
    assert caught.value.__context__ is None


async def test_a_silent_server_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    async with open_list_server() as server:
        server.pause = math.inf
        with pytest.raises(ProviderUnavailable, match="no answer within 10 s"):
            await ask_presence(chat(), connect=server.connect)
    assert trio.current_time() == pytest.approx(PATIENCE, abs=0.1)
