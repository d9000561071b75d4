"""THE INTAKE: models behind their APIs, each turned into stream events.

`open_provider` makes the one that the settings name. Every provider keeps the contract of `core.ports.Provider`,
and passes the same tests::

    scripted                                         a script, for the demo and for tests
    openai_chat  openai_responses  anthropic_messages  local
                                                     one API each, all of them `sdk.SDKProvider`
    sdk  openai_sdk  refusals  prefill               what they share
    opening                                          SDKs are imported when they are needed: they take seconds
    prices                                           what an answer costs
    presence                                         whether a server is there, asked without an SDK
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from triolet.config import ModelSettings
from triolet.core.ports import Executor, Provider
from triolet.net.network import Connect, connect_tcp
from triolet.providers.local import LocalProvider, find_weights
from triolet.providers.opening import OpenedProvider, run_here
from triolet.providers.prefill import takes_prefill
from triolet.providers.scripted import ScriptedProvider, demo_script


def _scripted(_settings: ModelSettings, _connect: Connect) -> Provider:
    return ScriptedProvider(demo_script)


def _openai_chat(settings: ModelSettings, connect: Connect) -> Provider:
    from triolet.providers.openai_chat import OpenAIChatProvider  # noqa: PLC0415  # an SDK: seconds

    return OpenAIChatProvider(settings, connect=connect)


def _openai_responses(settings: ModelSettings, connect: Connect) -> Provider:
    from triolet.providers.openai_responses import OpenAIResponsesProvider  # noqa: PLC0415

    return OpenAIResponsesProvider(settings, connect=connect)


def _anthropic(settings: ModelSettings, connect: Connect) -> Provider:
    from triolet.providers.anthropic_messages import AnthropicProvider  # noqa: PLC0415

    return AnthropicProvider(settings, connect=connect)


def _local(settings: ModelSettings, connect: Connect) -> Provider:
    return LocalProvider(settings, connect=connect)


_PROVIDERS: dict[str, Callable[[ModelSettings, Connect], Provider]] = {
    "scripted": _scripted,
    "openai-chat": _openai_chat,
    "openai-responses": _openai_responses,
    "anthropic": _anthropic,
    "local": _local,
}


@asynccontextmanager
async def open_provider(
    settings: ModelSettings, *, connect: Connect = connect_tcp, executor: Executor = run_here
) -> AsyncIterator[OpenedProvider]:
    """The provider that ``settings.provider`` names; leaving it closes its connections.

    Nothing of it is imported before it is needed, and then by the executor.

    Raises:
        ConfigError: the local model is not installed.
    """
    if settings.provider == "local":
        find_weights()
    open_now = _PROVIDERS[settings.provider]
    prefills = open_now is _anthropic and takes_prefill(settings)
    async with OpenedProvider(lambda: open_now(settings, connect), prefills=prefills, executor=executor) as provider:
        yield provider
