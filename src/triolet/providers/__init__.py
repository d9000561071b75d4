"""THE INTAKE: models behind their APIs, each turned into stream events.

`open_provider` makes the one that the settings name. Every provider keeps the contract of `core.ports.Provider`,
and passes the same tests::

    scripted                                         a script, for the demo and for tests
    openai_chat  openai_responses  anthropic_messages  local
                                                     one API each, all of them `sdk.SDKProvider`
    sdk  openai_sdk  refusals  prefill               what they share
    opening                                          SDKs are imported when they are needed: they take seconds
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from triolet.config import ModelSettings
from triolet.core.ports import Executor, Provider
from triolet.net.network import Connect, connect_tcp
from triolet.providers.opening import OpenedProvider, check_host, run_here
from triolet.providers.scripted import ScriptedProvider, demo_script


def _scripted(_settings: ModelSettings, _connect: Connect) -> Provider:
    return ScriptedProvider(demo_script)


def _openai_chat(settings: ModelSettings, connect: Connect) -> Provider:
    from triolet.providers.openai_chat import OpenAIChatProvider  # noqa: PLC0415  # seconds, as below

    return OpenAIChatProvider(settings, connect=connect)


_PROVIDERS: dict[str, Callable[[ModelSettings, Connect], Provider]] = {
    "scripted": _scripted,
    "openai-chat": _openai_chat,
}


@asynccontextmanager
async def open_provider(
    settings: ModelSettings, *, connect: Connect = connect_tcp, executor: Executor = run_here
) -> AsyncIterator[OpenedProvider]:
    """The provider that ``settings.provider`` names; leaving it closes its connections.

    Nothing of it is imported before it is needed, and then by the executor.

    Raises:
        ConfigError: no host can have the name of ``settings.base_url``.
    """
    check_host(settings.base_url)
    open_now = _PROVIDERS[settings.provider]
    async with OpenedProvider(lambda: open_now(settings, connect), prefills=False, executor=executor) as provider:
        yield provider
