"""What ``/status`` tells: what is being done, what waits, and how the chat has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from triolet.core.commands import Preference
from triolet.core.letters import Undelivered

SHOWN: Final = 3
"""How many undelivered messages are told of one by one."""


@attrs.frozen
class Status:
    """What a conversation is at: how many ``seconds`` an answer has been written for, None if none is.

    ``awaits`` is what that one waits for, or the next one before it begins, if it is not the model; ``waiting`` is how
    many questions do.
    """

    seconds: float | None = None
    awaits: str = ""
    waiting: int = 0


def render_status(
    status: Status,
    *,
    model: str,
    switches: Mapping[Preference, str],
    letters: Sequence[Undelivered] = (),
    trouble: bool = False,
) -> str:
    """A few lines; ``switches`` are those of the chat with their values, ``letters`` what did not get there.

    With ``trouble`` the bot can write nothing down.
    """
    return "\n".join(
        [
            _work(status),
            f"Messages that wait: {status.waiting}",
            *_undelivered(letters),
            *(["⚠ My database cannot be used now: I take nothing new until it can."] if trouble else []),
            f"Model: {model}",
            " · ".join(f"/{name} {value}" for name, value in switches.items()),
        ]
    )


def _undelivered(letters: Sequence[Undelivered]) -> list[str]:
    if not letters:
        return []
    told = [f"  {each.beginning} ({each.reason})" for each in letters[:SHOWN]]
    more = [f"  … and {len(letters) - SHOWN} more"] if len(letters) > SHOWN else []
    return [f"Messages that did not get here, for all I know: {len(letters)}", *told, *more]


def _work(status: Status) -> str:
    if status.seconds is None:
        return f"I am writing no answer{f' yet, and wait for {status.awaits}' if status.awaits else ''}."
    awaits = f", and wait for {status.awaits}" if status.awaits else ""
    return f"I have been writing an answer for {status.seconds:.0f} s{awaits}."
