"""The best that the limits allow: when somebody who knows how long an answer will be would show its frames.

Tokens are written evenly, one each ``every`` seconds, the first at position 1; all positions and lengths below count
tokens. Calls begin one after the other, at least ``spacing`` seconds apart, and the windows take them at a constant
latency, which moves nothing and is not counted here. The final call begins with the last token.

The problem. A frame is known by the last token it shows: n(1) < n(2) < ... < n(k), and n(k + 1) is the whole answer.
The tokens of a gap of m = n(j) - n(j - 1) wait m - 1, ..., 1, 0 for the call that shows them; and where the gap is
shorter than the spacing, all of them wait for the rest of it. So a gap costs m(m - 1)/2 + m max(0, spacing - m),
the first one, which no frame precedes, only m(m - 1)/2. A window of ``count`` calls in ``seconds`` asks that
n(j + count) - n(j) >= seconds. The mean wait is the sum of the costs over the number of tokens.

Why no schedule is better. Let frame j begin at t(j), n(j) <= t(j) < n(j) + 1. Its newest token waits t(j) - n(j), at
least as long as the last term says if the call before it was no later than its own newest token, and longer
otherwise. Windows: n(j + count) + 1 > t(j + count) >= t(j) + seconds >= n(j) + seconds, all of them whole numbers
but ``seconds``, hence n(j + count) - n(j) >= floor(seconds). And it is reached, by calls that begin with their newest
token, wherever ``seconds`` is a whole number of tokens and no gap is shorter than the spacing.

Why it is found. A gap's cost is convex for a spacing of up to two tokens, so the sum is an L-natural-convex function
of n (K. Murota, "Discrete Convex Analysis", 2003, chapter 7): a schedule is the best of its k if it gets no better by
moving any set of its frames together by one token, earlier or later; and a minimum cut finds the best such set.
Longer steps come first, for speed alone.

Why k need not be tried throughout. The best cost is convex in k. Let A have k - 1 frames and B k + 1, and call the
start n(0): P(j) = min(A(j), B(j + 1)) and Q(j) = max(A(j), B(j + 1)), with B's last gap added to P and its first one
to Q, have k frames each. They keep the windows, which minima and maxima do; and they cost no more than A and B
together, since the cost of a difference is submodular if it is convex. So a walk that ends where neither neighbour is
better ends at the best.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

import attrs

NEVER = 10**18
"""More than any sum of costs: what this would cost is not allowed."""

NO_FRAME = 10**12
"""Microseconds that a frame costs which shows nothing new: more than any schedule without such frames."""

MICROSECONDS = 1_000_000


@attrs.frozen
class Window:
    """At most ``count`` calls in any ``seconds``; a call exactly ``seconds`` after another is outside."""

    count: int
    seconds: float


def bucket(burst: int, interval: float, longest: float) -> tuple[Window, ...]:
    """``burst`` calls at once and one more each ``interval`` seconds, as windows, for up to ``longest`` seconds."""
    return tuple(Window(burst + i, (i + 1) * interval) for i in range(math.ceil(longest / interval)))


@attrs.frozen
class Problem:
    """An answer of ``tokens``, and what may be called; the module says what the numbers mean.

    ``earlier`` are calls before the first token that the windows count, in seconds from it, oldest first.
    ``final_counts`` says that the windows count the final call too.
    """

    tokens: int
    every: float
    spacing: float
    windows: tuple[Window, ...] = ()
    earlier: tuple[float, ...] = ()
    final_counts: bool = False

    def __attrs_post_init__(self) -> None:
        if self.tokens < 1 or self.spacing > 2 * self.every:
            raise ValueError(f"no answer, or calls more than two tokens apart: {self}")

    def whole(self, seconds: float) -> int:
        """Whole tokens of that time; a billionth is forgiven, so that 0.12 s are 3 tokens of 0.04."""
        return math.floor(seconds / self.every + 1e-9)


@attrs.frozen
class Schedule:
    """``frames`` are the last tokens that each frame shows; ``wait`` is the mean wait of a token, in seconds."""

    frames: tuple[int, ...]
    wait: float


def best_schedule(problem: Problem) -> Schedule:
    """What the module promises."""
    tried: dict[int, Schedule | None] = {}

    def wait(frames: int) -> float:
        if frames not in tried:
            tried[frames] = _Search(problem, frames).run() if frames >= 0 else None
        found = tried[frames]
        return math.inf if found is None else found.wait

    best = walk(wait, _even_frames(problem))
    found = tried[best]
    assert found is not None, "no frame but the final is always allowed"  # noqa: S101
    return found


def walk(cost: Callable[[int], float], start: int) -> int:
    """Where a convex function is least; it is infinite where it is not defined, and defined at 0."""
    while math.isinf(cost(start)):
        start -= 1
    step = 1 if cost(start + 1) < cost(start) else -1
    while cost(start + step) < cost(start):
        start += step
    return start


def _even_frames(problem: Problem) -> int:
    """As many frames as evenly spaced ones may be: where the search begins."""
    gap = max([problem.spacing, *(window.seconds / window.count for window in problem.windows)])
    return min(problem.tokens - 1, int(problem.tokens * problem.every / gap))


class _Search:
    """The best schedule of a given number of frames: `run` moves sets of them until no set gets better."""

    def __init__(self, problem: Problem, frames: int) -> None:
        self._problem = problem
        self._count = frames
        self._every = round(problem.every * MICROSECONDS)
        self._spacing = round(problem.spacing * MICROSECONDS)
        self._apart = list(self._rules(frames))
        self._first = self._earliest()
        self._last = self._latest()
        self._at = [0, *self._middle(), problem.tokens]

    def _rules(self, frames: int) -> Iterator[tuple[int, int, int]]:
        """``(i, j, least)`` for every n(j) - n(i) >= least that a window asks of two frames."""
        for window in self._problem.windows:
            least = self._problem.whole(window.seconds)
            yield from ((i, i + window.count, least) for i in range(1, frames - window.count + 1))

    def _earliest(self) -> list[int]:
        """The earliest schedule, in positions 1 to k; the calls before the first token bind it too."""
        problem = self._problem
        first = list(range(self._count + 1))
        for window in problem.windows:
            for back, time in enumerate(reversed(problem.earlier)):
                frame = window.count - back
                if 0 < frame <= self._count:
                    first[frame] = max(first[frame], problem.whole(time + problem.every + window.seconds))
        return self._pushed(first)

    def _pushed(self, at: list[int]) -> list[int]:
        """No frame earlier than there, and all rules kept: the rules into a frame come in order of its number."""
        at = list(at)
        for i, j, least in sorted(self._apart_and_growing(), key=lambda rule: rule[1]):
            at[j] = max(at[j], at[i] + least)
        return at

    def _latest(self) -> list[int]:
        problem = self._problem
        last = [problem.tokens - 1 - self._count + frame for frame in range(self._count + 1)]
        for window in problem.windows if problem.final_counts else ():
            frame = self._count + 1 - window.count
            if frame > 0:
                last[frame] = min(last[frame], problem.tokens - problem.whole(window.seconds))
        for i, j, least in sorted(self._apart_and_growing(), key=lambda rule: -rule[0]):
            last[i] = min(last[i], last[j] - least)
        return last

    def _apart_and_growing(self) -> list[tuple[int, int, int]]:
        return [*self._apart, *((i, i + 1, 1) for i in range(1, self._count))]

    def _middle(self) -> list[int]:
        """A schedule near to even spacing that keeps every rule, if there is one: they bound a lattice."""
        even = [frame * self._problem.tokens // (self._count + 1) for frame in range(self._count + 1)]
        pushed = self._pushed([max(pair) for pair in zip(even, self._first, strict=True)])
        return [min(pair) for pair in zip(pushed, self._last, strict=True)][1:]

    def run(self) -> Schedule | None:
        """`None` if there is no such schedule."""
        if any(first > last for first, last in zip(self._first[1:], self._last[1:], strict=True)):
            return None
        step = 16
        while step:
            while self._moves(step) or self._moves(-step):
                pass
            step //= 2
        cost = sum(self._gap_cost(gap, self._at[gap] - self._at[gap - 1]) for gap in range(1, len(self._at)))
        return Schedule(tuple(self._at[1:-1]), cost / self._problem.tokens / MICROSECONDS)

    def _gap_cost(self, gap: int, length: int) -> int:
        """In microseconds, summed over the tokens of the gap before frame number ``gap``."""
        if length < 1:
            return NO_FRAME * (1 - length)
        late = max(0, self._spacing - length * self._every) if gap > 1 else 0
        return length * (length - 1) // 2 * self._every + length * late

    def _moves(self, step: int) -> bool:
        """Move the best set of frames by ``step``; False if no set gets better."""
        cut = _Cut(self._count)
        for gap in range(1, self._count + 2):
            length = self._at[gap] - self._at[gap - 1]
            now = self._gap_cost(gap, length)
            cut.pair(gap - 1, gap, self._gap_cost(gap, length - step) - now, self._gap_cost(gap, length + step) - now)
        for frame in range(1, self._count + 1):
            if not self._first[frame] <= self._at[frame] + step <= self._last[frame]:
                cut.single(frame, NEVER)
        for i, j, least in self._apart:
            if self._at[j] - self._at[i] - least < abs(step):
                cut.drags(*((i, j) if step > 0 else (j, i)))
        moved = cut.solve()
        for frame in moved:
            self._at[frame] += step
        return bool(moved)


class _Cut:
    """Which of the frames 1 to ``count`` to move, for the least cost: 0 and ``count + 1`` stay where they are."""

    def __init__(self, count: int) -> None:
        self._source, self._sink = 0, count + 1
        self._single = [0] * (count + 2)
        self._arcs: list[dict[int, int]] = [{} for _ in range(count + 2)]  # from: {to: what is left of its capacity}

    def single(self, frame: int, cost: int) -> None:
        """What moving that frame costs by itself."""
        self._single[frame] += cost

    def drags(self, frame: int, other: int, cost: int = NEVER) -> None:
        """What moving the frame without the other costs."""
        self._arcs[frame][other] = self._arcs[frame].get(other, 0) + cost
        self._arcs[other].setdefault(frame, 0)

    def pair(self, left: int, right: int, only_left: int, only_right: int) -> None:
        """What moving one of two neighbours without the other costs; the sum of the two is not negative."""
        if left == self._source:
            self.single(right, only_right)
        elif right == self._sink:
            self.single(left, only_left)
        else:
            self.single(right, only_right)
            self.single(left, -only_right)
            self.drags(left, right, only_left + only_right)

    def solve(self) -> list[int]:
        """The frames to move, or none if nothing is gained."""
        gain = 0
        for frame in range(self._source + 1, self._sink):
            cost = self._single[frame]
            if cost < 0:
                gain -= cost
                self.drags(self._source, frame, -cost)
            elif cost > 0:
                self.drags(frame, self._sink, cost)
        if gain - self._flow() <= 0:
            return []
        levels = self._levels()
        return [frame for frame in range(self._source + 1, self._sink) if levels[frame] >= 0]

    def _flow(self) -> int:
        """Dinic's algorithm: the greatest flow, which is the least cut; leaves the capacities that are left."""
        total = 0
        while (levels := self._levels())[self._sink] >= 0:
            waiting = [iter(list(arcs)) for arcs in self._arcs]
            while pushed := self._push(self._source, NEVER * 10, levels, waiting):
                total += pushed
        return total

    def _levels(self) -> list[int]:
        """How many arcs with room lead to each place; -1 where none do."""
        levels = [-1] * len(self._arcs)
        levels[self._source] = 0
        queue = deque([self._source])
        while queue:
            place = queue.popleft()
            for other, room in self._arcs[place].items():
                if room > 0 and levels[other] < 0:
                    levels[other] = levels[place] + 1
                    queue.append(other)
        return levels

    def _push(self, place: int, most: int, levels: list[int], waiting: list[Iterator[int]]) -> int:
        if place == self._sink:
            return most
        for other in waiting[place]:
            room = self._arcs[place][other]
            if room > 0 and levels[other] == levels[place] + 1:
                pushed = self._push(other, min(most, room), levels, waiting)
                if pushed:
                    self._arcs[place][other] -= pushed
                    self._arcs[other][place] += pushed
                    return pushed
        return 0
