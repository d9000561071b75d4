"""The benchmark's optimum, against all schedules there are where they can be counted, and against a pencil's."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

from optimum import Problem, Window, best_schedule, bucket, walk

EVERY = 0.04
DRAFTS = (Window(20, 5.0), Window(40, 30.0))


def small_problems() -> st.SearchStrategy[Problem]:
    """Answers of up to six tokens, in half tokens' time, under windows that bind them."""
    halves = st.integers(1, 8).map(lambda count: count / 2)
    window = st.builds(Window, st.integers(1, 3), halves)
    return st.builds(
        Problem,
        tokens=st.integers(1, 6),
        every=st.just(1.0),
        spacing=st.sampled_from([0.5, 1.0, 1.5, 2.0]),
        windows=st.lists(window, max_size=2).map(tuple),
        earlier=st.sampled_from([(), (-1.0,), (-2.5, -1.5)]),
        final_counts=st.booleans(),
    )


def schedules(problem: Problem) -> Iterator[tuple[float, ...]]:
    """When the frames begin, in every schedule that the limits allow, to half a token; the first token is at 1."""
    last = problem.tokens
    times = [1 + half / 2 for half in range(2 * last - 2)]
    for count in range(len(times) + 1):
        for frames in itertools.combinations(times, count):
            if all(b - a >= problem.spacing for a, b in itertools.pairwise([*frames, last])) and keeps(frames, problem):
                yield frames


def keeps(frames: Sequence[float], problem: Problem) -> bool:
    calls = [*(1 + time for time in problem.earlier), *frames]
    binding = [*calls, problem.tokens] if problem.final_counts else calls
    first = len(problem.earlier)  # what was before is as it was
    return all(
        b - a >= window.seconds
        for window in problem.windows
        for a, b in list(zip(binding, binding[window.count :], strict=False))[max(0, first - window.count) :]
        if b in frames or (b == problem.tokens and a in frames)
    )


def mean_wait(frames: Iterable[float], tokens: int) -> float:
    """Of the tokens 1, 2, ... for the first frame that is not before them, or for the final."""
    calls = [*frames, tokens]
    return sum(min(call for call in calls if call >= token) - token for token in range(1, tokens + 1)) / tokens


@given(small_problems())
@example(Problem(7, 1.0, 1.5, (Window(2, 3.0),), (-1.0,)))
@example(Problem(7, 1.0, 1.0, (Window(2, 3.0), Window(3, 4.0)), (-2.5, -1.5), final_counts=True))
def test_no_schedule_is_better(problem: Problem) -> None:
    best = min(mean_wait(frames, problem.tokens) for frames in schedules(problem))
    assert best_schedule(problem).wait <= best + 1e-9


@given(small_problems())
def test_what_is_found_can_be_done(problem: Problem) -> None:
    """Where calls can begin with whole tokens, the promised wait is that of a schedule within the limits."""
    windows = tuple(attrs.evolve(window, seconds=float(round(window.seconds))) for window in problem.windows)
    earlier = tuple(map(float, map(round, problem.earlier)))
    problem = attrs.evolve(problem, spacing=min(problem.spacing, 1.0), windows=windows, earlier=earlier)
    found = best_schedule(problem)
    assert keeps(tuple(map(float, found.frames)), problem)
    assert found.wait == pytest.approx(mean_wait(found.frames, problem.tokens))


LONGER = [
    Problem(13, 1.0, 1.0, (Window(2, 5.0),)),
    Problem(13, 1.0, 1.0, (Window(2, 3.0), Window(3, 8.0)), earlier=(-2.0,)),
    Problem(13, 1.0, 1.0, (Window(1, 2.0), Window(4, 10.0)), final_counts=True),
    Problem(13, 1.0, 1.0, bucket(2, 3.0, 12.0), final_counts=True),
]


@pytest.mark.parametrize("problem", LONGER)
def test_no_set_of_tokens_is_better(problem: Problem) -> None:
    """Calls that begin with whole tokens are enough where all else is whole."""
    sets = (frames for count in range(12) for frames in itertools.combinations(range(1, 13), count))
    allowed = (frames for frames in sets if keeps(frames, problem))
    best = min(mean_wait(frames, problem.tokens) for frames in allowed)
    assert best_schedule(problem).wait == pytest.approx(best)


def test_even_spacing_is_best_where_no_window_binds() -> None:
    best = best_schedule(Problem(401, EVERY, 0.06, (Window(39, 16.0), *DRAFTS), earlier=()))
    gaps = [b - a for a, b in itertools.pairwise([0, *best.frames, 401])]
    assert {10, 11} >= set(gaps)
    assert len(best.frames) == 39


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_the_spacing_alone_binds_a_short_answer(seconds: float) -> None:
    """No call begins sooner than one and a half tokens after the last: half a token's wait, on average."""
    tokens = round(seconds / EVERY) + 1
    wait = best_schedule(Problem(tokens, EVERY, 0.06, DRAFTS, earlier=(-1.0,))).wait
    assert wait == pytest.approx(EVERY / 2, abs=EVERY / tokens)


@pytest.mark.parametrize("tokens", [751, 1501, 3001])
def test_a_window_cannot_be_had_by_saving(tokens: int) -> None:
    """40 calls in 30 s, for ever: gaps of 0.75 s, whose tokens wait half of it, and what the ends save."""
    wait = best_schedule(Problem(tokens, EVERY, 0.06, DRAFTS)).wait
    assert 0.95 * (0.75 - EVERY) / 2 < wait < (0.75 - EVERY) / 2


def test_frames_are_early_and_late_where_the_middle_pays_for_them() -> None:
    """A pencil's schedule for 32 s: 8 gaps of half a second at the ends, 36 between them of 28 s in all."""
    pencil = (8 * 0.5**2 + 36 * (28 / 36) ** 2) / 2 / 32 - EVERY / 2
    even = (32 / 0.75) * 0.75**2 / 2 / 32 - EVERY / 2
    assert best_schedule(Problem(801, EVERY, 0.06, DRAFTS)).wait < pencil < even


def test_an_earlier_call_is_charged() -> None:
    """One call in 10 tokens: the first frame waits until it is over, the last one until it is early enough."""
    problem = Problem(20, 1.0, 1.0, (Window(1, 10.0),))
    assert best_schedule(problem).frames == (5, 15)
    assert best_schedule(attrs.evolve(problem, earlier=(-6.0,))).frames == (5, 15)
    assert best_schedule(attrs.evolve(problem, earlier=(-3.0,))).frames == (8, 18)
    assert best_schedule(attrs.evolve(problem, earlier=(-3.0,), final_counts=True)).frames == (10,)
    assert best_schedule(attrs.evolve(problem, earlier=(0.0,), final_counts=True)).frames == ()


def test_a_bucket_is_a_family_of_windows() -> None:
    assert bucket(3, 1.0, 2.5) == (Window(3, 1.0), Window(4, 2.0), Window(5, 3.0))


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    best = best_schedule(Problem(1001, EVERY, 0.06, bucket(3, 1.0, 40.0), final_counts=True))
    assert len(best.frames) == 42  # 3 + 40, one of which is the final
    gaps = [b - a for a, b in itertools.pairwise([*best.frames, 1001])]
    assert max(gaps) <= 25


def test_an_answer_of_one_token_needs_its_final_alone() -> None:
    assert best_schedule(Problem(1, EVERY, 0.06, DRAFTS)).frames == ()
    assert best_schedule(Problem(1, EVERY, 0.06, DRAFTS)).wait == 0.0


def test_calls_may_not_be_longer_than_two_tokens() -> None:
    with pytest.raises(ValueError, match="two tokens"):
        Problem(10, EVERY, 0.09)


@pytest.mark.parametrize("start", [0, 2, 3, 4, 6, 9])
def test_the_walk_ends_at_the_bottom(start: int) -> None:
    assert walk(lambda x: abs(x - 3.0) if 0 <= x <= 6 else math.inf, start) == 3
