"""When a run is taken to hang, decided from what the scheduler tells."""

from __future__ import annotations

import itertools

import pytest

from triolet.testing.patience import ERRORS, ROUNDS, Patience


def yes() -> bool:
    return True


def no() -> bool:
    return False


def test_run_that_goes_on_in_time_is_fine() -> None:
    patience = Patience(10.0)
    assert {patience.judge(second / 10, no) for second in range(100)} == {"fine"}


def test_limit_is_told_once_and_what_comes_afterwards_has_its_time() -> None:
    patience = Patience(10.0)
    assert patience.judge(10.0, no) == "late"
    assert patience.judge(10.5, no) == "fine"
    assert patience.judge(20.0, no) == "fine"
    assert patience.judge(20.5, no) == "stuck"
    assert patience.judge(20.5, no) == "fine"
    assert patience.judge(30.6, no) == "stuck"


def test_nothing_to_come_behind_the_limit_is_stuck() -> None:
    patience = Patience(10.0)
    assert patience.judge(10.0, yes) == "late"
    assert patience.judge(10.0, no) == "fine"
    assert patience.judge(10.0, yes) == "stuck"


def test_nothing_to_come_ahead_of_it_is_a_wait() -> None:
    assert Patience(10.0).judge(5.0, yes) == "fine"


def test_time_that_stands_still_is_stuck_and_sooner_each_time_after_that() -> None:
    patience = Patience(10.0)
    verdicts = [patience.judge(1.0, no) for _ in range(ROUNDS + 6000)]
    stuck = [number for number, verdict in enumerate(verdicts) if verdict != "fine"]
    assert stuck[0] == ROUNDS + 1
    assert [later - earlier for earlier, later in itertools.pairwise(stuck)] == [1001] * 5
    assert [verdicts[number] for number in stuck] == ["stuck"] * ERRORS + ["hopeless"] * 3


@pytest.mark.parametrize("moves", [1, 7])
def test_time_that_moves_begins_the_count_anew(moves: int) -> None:
    patience = Patience(1e9)
    for move in range(moves):
        assert {patience.judge(move, no) for _ in range(ROUNDS)} == {"fine"}
