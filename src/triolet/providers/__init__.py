"""THE INTAKE: models behind their APIs, each turned into stream events.

`open_provider` makes the one that the settings name. Every provider keeps the contract of `core.ports.Provider`,
and passes the same tests. SDKs are imported when they are needed: they take seconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from triolet.config import ModelSettings
from triolet.core.ports import Provider
from triolet.net.network import Connect, connect_tcp
from triolet.providers.scripted import ScriptedProvider, demo_script


@asynccontextmanager
async def open_provider(settings: ModelSettings, *, connect: Connect = connect_tcp) -> AsyncIterator[Provider]:
    """The provider that ``settings.provider`` names; leaving it closes its connections."""
    if settings.provider == "scripted":
        yield ScriptedProvider(demo_script)
        return
    from triolet.providers.openai_chat import open_openai_chat  # noqa: PLC0415  # the SDK takes a second to import

    async with open_openai_chat(settings, connect=connect) as provider:
        yield provider
