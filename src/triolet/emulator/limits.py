"""How often the bot may call, and what happens when it calls more often.

Rule 1: a window of ``count`` calls per ``seconds`` admits a call when fewer than ``count`` were carried out in the
        last ``seconds``; the edge belongs to the future: a call made exactly ``seconds`` later is admitted.
Rule 2: a bucket admits ``burst`` calls at once and one more each ``interval`` seconds.
Rule 3: a refused call starts a penalty that ends when the windows have room again; until then all calls of that
        peer and kind are refused, and each moves the end ``extension`` seconds on, but never further than
        ``longest`` from now. Refused calls take no room in the windows; a call that the windows admit takes some,
        whatever Telegram then says of it.
Rule 4: drafts and chat actions share their windows; sends and edits share theirs; those and deletions share the
        bot's overall window. Deletions have no window of their own in a chat, but a penalty there as the others
        have. A peer is a chat: two topics of one user share.
Rule 5: edits in a private chat may have windows besides those they share with sends; full ones refuse edits only.
Rule 6: a cool-down shuts a whole chat. It begins by chance (`Cooldowns`) with a call that would have been admitted,
        and refuses that call and every draft, action, send and edit there until it ends.

The draft windows are documented at core.telegram.org/api/bots/ai, the others in the Bots FAQ. Real penalties are
longer and follow no published rule (reports name 30 to 280 seconds): use `Limits` with a larger ``extension``, or
the harsher profiles `Limits.strict_edits` and `Limits.cooldowns`, which say what they assume.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from hashlib import blake2b
from typing import Literal, TypeAlias

import attrs

Kind: TypeAlias = Literal["draft", "message", "edit", "delete"]

KIND_OF: dict[str, Kind] = {
    "sendMessageDraft": "draft",
    "sendRichMessageDraft": "draft",
    "sendChatAction": "draft",
    "sendMessage": "message",
    "sendRichMessage": "message",
    "editMessageText": "edit",
    "deleteMessage": "delete",
}


@attrs.frozen
class Window:
    """At most ``count`` calls in any ``seconds``."""

    count: int
    seconds: float


@attrs.frozen
class Bucket:
    """``burst`` calls at once, then one each ``interval`` seconds."""

    burst: int
    interval: float


@attrs.frozen
class Cooldowns:
    """A call less than ``within`` seconds after the last one in its chat begins a cool-down, with this ``chance``.

    It lasts up to ``longest`` seconds. What happens to a chat's nth hasty call depends on the ``seed``, the chat
    and n alone, so that no chat's luck changes with what others do.
    """

    seed: int
    chance: float = 0.05
    within: float = 1.0
    longest: float = 3.0

    def length(self, chat_id: int, count: int) -> float:
        """The cool-down's seconds for this hasty call, 0 for none."""
        digest = blake2b(f"{self.seed} {chat_id} {count}".encode(), digest_size=16).digest()
        luck, share = (int.from_bytes(half, "big") / 2**64 for half in (digest[:8], digest[8:]))
        return self.longest * (1.0 - share) if luck < self.chance else 0.0


@attrs.frozen
class Limits:
    """All the numbers; the defaults are the documented ones.

    A wait of up to ``absorb_drafts`` or ``absorb_messages`` seconds is slept through instead of being refused;
    the real server sleeps 2 s for drafts and actions and 8 s for the rest.
    """

    drafts: tuple[Window, ...] = (Window(20, 5.0), Window(40, 30.0))
    private: Bucket | None = Bucket(3, 1.0)
    group: tuple[Window, ...] = (Window(20, 60.0),)
    overall: tuple[Window, ...] = (Window(30, 1.0),)
    private_edits: tuple[Window, ...] = ()
    cooling: Cooldowns | None = None
    extension: float = 1.0
    longest: float = 300.0
    absorb_drafts: float = 0.0
    absorb_messages: float = 0.0

    @classmethod
    def none(cls) -> Limits:
        """Nothing is limited."""
        return cls(drafts=(), private=None, group=(), overall=())

    @classmethod
    def strict_edits(cls) -> Limits:
        """The documented limits, and no more than 20 edits a minute in a private chat.

        Assumed: that what Telegram's developers say of groups (about 20 edits a minute) may one day be true of a
        private chat too, where the real limit is not published and changes with the chat.
        """
        return cls(private_edits=(Window(20, 60.0),))

    @classmethod
    def cooldowns(cls, seed: int) -> Limits:
        """The documented limits, and the short cool-downs that may come below them.

        core.telegram.org/api/bots/ai says of drafts that waits of at most 3 seconds may come at any pace. Assumed:
        that they come to one hasty call in twenty, that hasty means within a second of the last call in that chat,
        and that sends and edits meet them as drafts and actions do.
        """
        return cls(cooling=Cooldowns(seed))

    def patience(self, kind: Kind) -> float:
        return self.absorb_drafts if kind == "draft" else self.absorb_messages


@attrs.define(eq=False)
class Gate:
    """One peer's windows for one kind of call, with its bucket, its penalty, and what it is shut until."""

    windows: tuple[Window, ...] = ()
    bucket: Bucket | None = None
    penalty: float = -math.inf
    shut: float = -math.inf
    _stamps: deque[float] = attrs.field(init=False)
    _filled_at: float = attrs.field(init=False, default=-math.inf)  # when the bucket will be full again

    def __attrs_post_init__(self) -> None:
        self._stamps = deque(maxlen=max((window.count for window in self.windows), default=0))

    def room_at(self) -> float:
        """The earliest time at which windows and bucket have room for one more call, and nothing shuts them."""
        times = [self.shut]
        times += [self._stamps[-w.count] + w.seconds for w in self.windows if len(self._stamps) >= w.count]
        if self.bucket is not None:
            times.append(self._filled_at - (self.bucket.burst - 1) * self.bucket.interval)
        return max(times)

    def opens_at(self) -> float:
        return max(self.room_at(), self.penalty)

    def take(self, now: float) -> None:
        self._stamps.append(now)
        if self.bucket is not None:
            self._filled_at = max(self._filled_at, now) + self.bucket.interval

    def penalize(self, until: float) -> None:
        self.penalty = max(self.penalty, until)


@attrs.define(eq=False)
class Pace:
    """How the calls of one chat followed each other: when the last was carried out, and how many were hasty."""

    gate: Gate = attrs.field(factory=Gate)
    last: float = -math.inf
    hasty: int = 0


class RateWindows:
    """Every gate of the bot, made when it is first needed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._overall = Gate(limits.overall)
        self._peers: dict[tuple[Kind, int], Gate] = {}
        self._paces: defaultdict[int, Pace] = defaultdict(Pace)

    def arrive(self, kind: Kind, chat_id: int, now: float) -> None:
        """A new call is here: a cool-down may begin with it."""
        pace, cooling = self._paces[chat_id], self.limits.cooling
        if cooling is None or kind == "delete" or now - pace.last >= cooling.within:
            return
        if self.opens_at(kind, chat_id) <= now:
            pace.hasty += 1
            pace.gate.shut = now + cooling.length(chat_id, pace.hasty)

    def opens_at(self, kind: Kind, chat_id: int) -> float:
        """When such a call would be admitted; any time up to now means now."""
        return max(gate.opens_at() for gate in self._gates(kind, chat_id))

    def take(self, kind: Kind, chat_id: int, now: float) -> None:
        """Count a call that is carried out now."""
        if kind != "delete":
            self._paces[chat_id].last = now
        for gate in self._gates(kind, chat_id):
            gate.take(now)

    def refuse(self, kind: Kind, chat_id: int, now: float) -> int:
        """Count a call that came too early; return the whole seconds it is told to wait, at least 1."""
        closed = [gate for gate in self._gates(kind, chat_id) if gate.opens_at() > now]
        for gate in closed:
            again = gate.penalty > now
            gate.penalty = gate.opens_at()
            if again:
                gate.penalty = max(gate.penalty, min(gate.penalty + self.limits.extension, now + self.limits.longest))
        return whole_seconds(max(gate.penalty for gate in closed) - now)

    def penalize(self, kind: Kind, chat_id: int, until: float) -> None:
        """Close the peer's own gate until then, as a scripted flood does."""
        self._gates(kind, chat_id)[0].penalize(until)

    def _gates(self, kind: Kind, chat_id: int) -> list[Gate]:
        """What lets a call pass; a flood closes the first."""
        pace = self._paces[chat_id].gate
        match kind:
            case "draft":
                return [self._peer("draft", chat_id), pace]
            case "message":
                return [self._peer("message", chat_id), pace, self._overall]
            case "edit":
                return [self._peer("message", chat_id), self._peer("edit", chat_id), pace, self._overall]
            case "delete":
                return [self._peer("delete", chat_id), self._overall]

    def _peer(self, kind: Kind, chat_id: int) -> Gate:
        return self._peers.get((kind, chat_id)) or self._peers.setdefault((kind, chat_id), self._new(kind, chat_id))

    def _new(self, kind: Kind, chat_id: int) -> Gate:
        match kind:
            case "draft":
                return Gate(self.limits.drafts)
            case "message":
                return Gate(bucket=self.limits.private) if chat_id > 0 else Gate(self.limits.group)
            case "edit":
                return Gate(self.limits.private_edits) if chat_id > 0 else Gate()
            case "delete":
                return Gate()


def whole_seconds(wait: float) -> int:
    """Rounded up, at least 1; a millionth is forgiven, so that 0.1 + 4.9 seconds are 5 and not 6."""
    return max(1, math.ceil(wait - 1e-6))
