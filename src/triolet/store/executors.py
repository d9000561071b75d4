"""Two ways to run a blocking job, with one contract.

A job runs to its end and its result reaches the caller; ``trio.Cancelled`` means that it never began. Jobs
given to one executor do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def run_inline(job: Callable[[], T], /) -> T:
    """Run the job in the event loop's own thread: a virtual clock would outrun any other."""
    await trio.lowlevel.checkpoint_if_cancelled()
    result = job()
    # The second half of a checkpoint, without its cancellation: the job is done, and the caller must hear it.
    await trio.lowlevel.cancel_shielded_checkpoint()
    return result


class ThreadExecutor:
    """Runs each job on a worker thread; callers queue for the only slot, first come, first served."""

    def __init__(self) -> None:
        # A limiter of its own: slow downloads in Trio's shared one must not keep an answer from the disk.
        self._slot = trio.CapacityLimiter(1)

    async def __call__(self, job: Callable[[], T], /) -> T:
        return await trio.to_thread.run_sync(job, limiter=self._slot)
