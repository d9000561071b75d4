"""What a bot's answers are made with: its models, and its tools, put together from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import structlog

from triolet.app.agent import Agent
from triolet.app.model import Model, Price
from triolet.config import ModelSettings, Settings
from triolet.core.events import UsageReported
from triolet.core.ports import Provider, Tool, Toolbox
from triolet.errors import ConfigError, ProviderError
from triolet.providers import open_provider
from triolet.providers.opening import OpenedProvider
from triolet.providers.prices import price_of
from triolet.store import ThreadExecutor
from triolet.tools import ToolLimits, open_builtin

log = structlog.get_logger()


@attrs.frozen
class Bench:
    """``own`` tools, and what is in the ``boxes`` now; of two with one name, the first is the one that is called."""

    own: Sequence[Tool] = ()
    boxes: Sequence[Toolbox] = ()

    def tools(self) -> Sequence[Tool]:
        named: dict[str, Tool] = {}
        for tool in (*self.own, *(tool for box in self.boxes for tool in box.tools())):
            named.setdefault(tool.spec.name, tool)
        return list(named.values())


def open_bench(settings: Settings, own: Sequence[Tool] = (), boxes: Sequence[Toolbox] = ()) -> Bench:
    return Bench([*own, *open_builtin(settings.tools.enabled)], boxes)


@asynccontextmanager
async def open_providers(settings: ModelSettings) -> AsyncIterator[list[OpenedProvider]]:
    """Those of ``settings.models()``, one each; leaving it closes their connections.

    They have a thread of their own, if need be: an import must not hold up the disk.
    """
    executor = ThreadExecutor()
    async with AsyncExitStack() as stack:
        opened = [open_provider(model, executor=executor) for model in settings.models()]
        yield [await stack.enter_async_context(each) for each in opened]


async def warm_up(providers: Sequence[OpenedProvider]) -> None:
    """Open the providers ahead of the first question; what cannot be opened, the question that needs it will tell."""
    for provider in providers:
        try:
            await provider.warm_up()
        except (ConfigError, ProviderError) as problem:
            log.error("provider.unusable", problem=str(problem))  # noqa: TRY400  # it says what to do


def price_list(settings: ModelSettings) -> Price:
    """What the models of the settings cost; the prices of a ``base_url`` of one's own are nobody's to know."""
    models = settings.models()
    elsewhere = {model.name for model in models if model.base_url}
    official = {model.name: model.provider for model in models if model.name not in elsewhere}

    def price(model: str, usage: UsageReported) -> float | None:
        return price_of(official[model], model, usage) if model in official else None

    return price


def open_agent(settings: Settings, providers: Sequence[Provider], bench: Toolbox) -> Agent:
    """``providers`` are those of ``settings.model.models()``, one each."""
    models = list(zip(providers, settings.model.models(), strict=True))
    limits = ToolLimits(
        seconds=settings.tools.timeout, output=settings.tools.max_output, calls=settings.tools.max_calls
    )
    return Agent(Model(models, settings.streaming.hide_tags), bench, limits, settings.model.max_rounds)
