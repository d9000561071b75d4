"""What can be made to go wrong: a plan of faults, taken by calls in the order they are received.

A fault applies to the calls that its ``method`` and ``chat_id`` match, after the first ``skip`` of them, ``times``
times (``None``: always). A call takes every delay that applies to it, and they add up; but it takes one ending
only, the first that applies. The endings after that do not count it and wait for another call.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, ClassVar, TypeAlias

import attrs
from attrs.validators import instance_of

NUMBER = instance_of((int, float))
INT_OR_NONE = instance_of((int, NoneType))
ONCE: int | None = 1
NAMES = instance_of((str, tuple, NoneType))
BAD_GATEWAY = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>502 Bad Gateway</body>\r\n</html>\r\n"


@attrs.frozen
class Refuse:
    """Answer exactly this; nothing is carried out and no penalty begins."""

    name: ClassVar[str] = "refuse"
    code: int = attrs.field(validator=instance_of(int))
    description: str = attrs.field(validator=instance_of(str))
    parameters: dict[str, Any] | None = attrs.field(default=None, validator=instance_of((dict, NoneType)))


@attrs.frozen
class Flood:
    """Answer 429, and refuse this peer's calls of the same kind for ``retry_after`` seconds."""

    name: ClassVar[str] = "flood"
    retry_after: int = attrs.field(validator=instance_of(int))


@attrs.frozen
class ServerError:
    """The front end answers in the server's place, with HTML."""

    name: ClassVar[str] = "server_error"
    status: int = attrs.field(default=502, validator=instance_of(int))
    body: str = attrs.field(default=BAD_GATEWAY, validator=instance_of(str))


@attrs.frozen
class Delay:
    """Seconds that pass ``before`` the call is carried out and ``after`` that, before the answer is written."""

    name: ClassVar[str] = "delay"
    before: float = attrs.field(default=0.0, validator=NUMBER)
    after: float = attrs.field(default=0.0, validator=NUMBER)

    def __add__(self, other: Delay) -> Delay:
        return Delay(self.before + other.before, self.after + other.after)


@attrs.frozen
class Reset:
    """The connection closes without an answer; with ``carried_out`` the call happened all the same."""

    name: ClassVar[str] = "reset"
    carried_out: bool = attrs.field(validator=instance_of(bool))


Action: TypeAlias = Refuse | Flood | ServerError | Delay | Reset
ACTIONS: dict[str, type[Action]] = {
    action.name: action for action in (Refuse, Flood, ServerError, Delay, Reset)
}  # fmt: skip


@attrs.frozen(kw_only=True)
class Fault:
    """One entry of the plan."""

    action: Action
    method: str | tuple[str, ...] | None = attrs.field(default=None, validator=NAMES)
    chat_id: int | None = attrs.field(default=None, validator=INT_OR_NONE)
    skip: int = attrs.field(default=0, validator=instance_of(int))
    times: int | None = attrs.field(default=ONCE, validator=INT_OR_NONE)

    def matches(self, method: str, chat_id: int | None) -> bool:
        methods = (self.method,) if isinstance(self.method, str) else self.method
        return (methods is None or method in methods) and self.chat_id in {None, chat_id}


class FaultPlan:
    """The faults still to come."""

    def __init__(self) -> None:
        self._entries: list[tuple[Fault, int]] = []  # (fault, calls that matched it so far)

    def add(self, fault: Fault) -> None:
        self._entries.append((fault, 0))

    def clear(self) -> None:
        self._entries.clear()

    def take(self, method: str, chat_id: int | None) -> tuple[Action, ...]:
        """The actions for a call received now; what is used up is forgotten."""
        actions: list[Action] = []
        kept: list[tuple[Fault, int]] = []
        for fault, seen in self._entries:
            late = not isinstance(fault.action, Delay) and any(not isinstance(each, Delay) for each in actions)
            count = seen + (not late and fault.matches(method, chat_id))
            if count > seen and count > fault.skip:
                actions.append(fault.action)
            if fault.times is None or count < fault.skip + fault.times:
                kept.append((fault, count))
        self._entries = kept
        return tuple(actions)


def parse_fault(value: dict[str, Any]) -> Fault:
    """A fault from JSON: its fields, with ``action`` an object of a ``name`` and that action's own fields."""
    fields = dict(value)
    action = fields.pop("action", None)
    if not isinstance(action, dict) or action.get("name") not in list(ACTIONS):
        raise ValueError(f"action needs a name among {', '.join(ACTIONS)}")
    if isinstance(fields.get("method"), list):
        fields["method"] = tuple(fields["method"])
    given = {name: each for name, each in action.items() if name != "name"}
    try:
        return Fault(action=ACTIONS[action["name"]](**given), **fields)
    except TypeError as error:
        raise ValueError(str(error.args[0])) from error
