"""The stations that every call passes, in this order.

1. It is received: noted in the journal, and the faults that apply to it are taken from the plan.
2. The latency and the faults' delays pass (`Again`).
3. Its token, its method and its parameters are checked.
4. A fault may end it here, with nothing carried out.
5. The rate windows may refuse it, or hold it back for a while (`Again`).
6. It is carried out, or waits as a long poll (`Again`), and is answered, dropped or refused.

A client that leaves ends its long poll, but no other call: what was received happens at its time, as it does in
a server that has read the request already.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from triolet.emulator.answers import Again, Drop, PendingCall, Refused, Reply, too_many_requests
from triolet.emulator.faults import Action, Delay, FaultPlan, Flood, Refuse, Reset, ServerError
from triolet.emulator.journal import Journal
from triolet.emulator.limits import KIND_OF, Limits, RateWindows
from triolet.emulator.methods import METHODS
from triolet.emulator.parameters import RICH_METHODS, SIGNATURES, check_parameters
from triolet.emulator.world import World

Latency: TypeAlias = Delay | Callable[[str], Delay]
"""What each call takes: always the same, or asked for by method name (from a seeded random source, say)."""

Step: TypeAlias = Reply | Again | Drop

TOKEN = re.compile(r"[1-9][0-9]*:[A-Za-z0-9_-]+")


class Dispatcher:
    """Takes calls for the bot whose ``token`` it knows; abandoned ones wait here for their time."""

    def __init__(self, token: str, world: World, limits: Limits, latency: Latency) -> None:
        if not TOKEN.fullmatch(token):
            raise ValueError("a token is <bot id>:<letters, digits, _ and ->")
        self.token = token
        self.latency = latency
        self.plan = FaultPlan()
        self.journal = Journal()
        self._world = world
        self._rates = RateWindows(limits)
        self._abandoned: list[tuple[float, int, PendingCall]] = []  # a heap of (at, serial, call)

    @property
    def due(self) -> float:
        """When the next abandoned call will be carried out; infinity if there is none."""
        return self._abandoned[0][0] if self._abandoned else math.inf

    def receive(self, method: str, params: dict[str, Any], token: str, now: float) -> Step:
        chat_id = params.get("chat_id")
        peer = chat_id if type(chat_id) is int else None
        faults = self.plan.take(method, peer)
        delay = self.latency if isinstance(self.latency, Delay) else self.latency(method)
        for fault in faults:
            delay = delay + fault if isinstance(fault, Delay) else delay
        ending = next((fault for fault in faults if not isinstance(fault, Delay)), None)
        serial = self.journal.open(method, dict(params), peer, now)
        call = PendingCall(serial, method, params, token, peer, ending, delay.after)
        return Again(now + delay.before, False, call) if delay.before > 0 else self.proceed(call, now)

    def proceed(self, call: PendingCall, now: float) -> Step:
        """Take the call from the third station as far as it goes now."""
        try:
            self._check(call)
            return self._end_early(call, call.ending, now) or self._hold_back(call, now) or self._run(call, now)
        except Refused as refused:
            return self._refuse(call, refused)

    def abandon(self, again: Again) -> None:
        """The client left."""
        call = again.call
        if call.method != "getUpdates":
            heapq.heappush(self._abandoned, (again.at, call.serial, call))
            return
        if call.poll is not None:
            self._world.updates.end(call.poll)
        self.journal.note(call.serial, outcome="dropped", description="the client left")

    def settle(self, now: float) -> None:
        """Let everything happen that is due until now, each thing at its own time."""
        while self.due <= now:
            at, _, call = heapq.heappop(self._abandoned)
            self._world.expire(at)
            step = self.proceed(call, at)
            if isinstance(step, Again):
                self.abandon(step)
        self._world.expire(now)

    def _check(self, call: PendingCall) -> None:
        if not TOKEN.fullmatch(call.token):
            raise Refused(404, "Not Found")
        if call.token != self.token:
            raise Refused(401, "Unauthorized")
        if call.method not in SIGNATURES or (call.method in RICH_METHODS and not self._world.rich):
            raise Refused(404, "Not Found: method not found")
        check_parameters(call.method, call.params)

    def _end_early(self, call: PendingCall, ending: Action | None, now: float) -> Step | None:
        """What a fault answers in the place of everything that follows."""
        if isinstance(ending, Refuse):
            raise Refused(ending.code, ending.description, ending.parameters)
        if isinstance(ending, Flood):
            self._penalize(call, now + ending.retry_after)
            raise too_many_requests(ending.retry_after)
        if isinstance(ending, ServerError):
            self.journal.note(call.serial, status=ending.status, outcome="refused", description="server error")
            return Reply(ending.status, ending.body, delay=call.after, serial=call.serial)
        if isinstance(ending, Reset) and not ending.carried_out:
            return self._drop(call, carried_out=False)
        return None

    def _penalize(self, call: PendingCall, until: float) -> None:
        kind = KIND_OF.get(call.method)
        if kind is not None and call.chat_id is not None:
            self._rates.penalize(kind, call.chat_id, until)

    def _hold_back(self, call: PendingCall, now: float) -> Again | None:
        """Pass the rate windows, wait for them, or be refused by them."""
        kind = KIND_OF.get(call.method)
        if kind is None or call.chat_id is None:
            return None
        if call.held_since is None:
            self._rates.arrive(kind, call.chat_id, now)
        opens_at = self._rates.opens_at(kind, call.chat_id)
        if opens_at <= now:
            self._rates.take(kind, call.chat_id, now)
            return None
        call.held_since = now if call.held_since is None else call.held_since
        if opens_at - call.held_since <= self._rates.limits.patience(kind):
            return Again(opens_at, False, call)
        raise too_many_requests(self._rates.refuse(kind, call.chat_id, now))

    def _run(self, call: PendingCall, now: float) -> Step:
        if call.method == "getUpdates":
            call.poll = call.poll or self._world.updates.begin(call.params, now)
            result: Any = self._world.updates.fetch(call.poll, now)
            if result is None:
                return Again(call.poll.deadline, True, call)
        else:
            result = METHODS[call.method](self._world, call.params, now)
        if isinstance(call.ending, Reset):
            return self._drop(call, carried_out=True)
        self.journal.note(call.serial, status=200, outcome="delivered", carried_out=True)
        return Reply(200, {"ok": True, "result": result}, delay=call.after, serial=call.serial)

    def _refuse(self, call: PendingCall, refused: Refused) -> Step:
        if isinstance(call.ending, Reset):
            return self._drop(call, carried_out=False)
        self.journal.note(call.serial, status=refused.code, outcome="refused", description=refused.description)
        return Reply(refused.code, refused.body(), refused.headers(), delay=call.after, serial=call.serial)

    def _drop(self, call: PendingCall, *, carried_out: bool) -> Drop:
        self.journal.note(call.serial, outcome="dropped", carried_out=carried_out)
        return Drop(delay=call.after, serial=call.serial)
