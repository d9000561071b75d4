"""A provider that is opened when it is needed: importing an SDK takes seconds, and a bot polls long before it asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from triolet.core.events import Batch
from triolet.core.ports import Executor, ModelRequest, Provider

T = TypeVar("T")


async def run_here(job: Callable[[], T], /) -> T:
    """Run the job in the event loop's own thread, as the `core.ports.Executor` of whoever has no other."""
    await trio.lowlevel.checkpoint()
    return job()


class OpenedProvider(trio.abc.AsyncResource):
    """Opens the provider at its first question, or when it is told to; closing it closes the provider's connections.

    ``open_now`` imports, connects to nothing, and may take seconds: it is called once, by the executor.
    """

    def __init__(self, open_now: Callable[[], Provider], *, prefills: bool, executor: Executor) -> None:
        self.prefills = prefills
        self._open_now = open_now
        self._executor = executor
        self._one_opens = trio.Lock()
        self._provider: Provider | None = None

    async def warm_up(self) -> None:
        """Open the provider, if nobody has; who comes while somebody does waits for it.

        Cancelling ends the wait of all but the caller that opens: a job on a thread runs to its end.
        """
        await self._opened()

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        """As `core.ports.Provider.stream`."""
        provider = self._provider or await self._opened()
        await provider.stream(request, emit)

    async def _opened(self) -> Provider:
        async with self._one_opens:
            if self._provider is None:
                self._provider = await self._executor(self._open_now)
            return self._provider

    async def aclose(self) -> None:
        opened: object = self._provider
        if isinstance(opened, trio.abc.AsyncResource):
            await opened.aclose()
        else:
            await trio.lowlevel.checkpoint()
