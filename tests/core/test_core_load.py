"""The load: how it widens what may be widened, and lets go of it."""

from __future__ import annotations

import pytest

from triolet.core.load import BUSY, DENSER, IDLE, LATE, MOST, NEWEST, RESTS, WIDER, Load


def observed(*seen: tuple[float, float]) -> Load:
    load = Load()
    for busy, late in seen:
        load.observe(busy=busy, late=late)
    return load


def settled(busy: float) -> Load:
    """One whose mean is that, and which is not stretched."""
    load = Load()
    load.busy = busy
    return load


@pytest.mark.parametrize(
    ("busy", "late", "stretch"),
    [
        (BUSY, LATE, 1.0),
        (BUSY + 0.01, 0.0, WIDER),
        (0.0, LATE + 0.01, 1.0),
        (IDLE, 0.0, 1.0),
        (0.0, 0.0, 1.0),
    ],
)
def test_it_is_stretched_where_the_loop_is_busy(busy: float, late: float, stretch: float) -> None:
    load = settled(busy)
    load.observe(busy=busy, late=late)
    assert load.stretch == stretch


def test_late_twice_running_is_busy() -> None:
    assert observed((0.0, LATE + 0.01), (0.0, LATE + 0.01)).stretch == WIDER
    assert observed((0.0, LATE + 0.01), (0.0, LATE), (0.0, LATE + 0.01)).stretch == 1.0


def test_a_collection_of_garbage_now_and_then_is_nothing() -> None:
    steady = (BUSY + IDLE) / 2
    assert observed(*[*[(steady, 0.0)] * 59, (steady, 1.0)] * 60).stretch == 1.0


def test_a_moment_is_not_much() -> None:
    assert observed((1.0, 0.0), (0.2, 0.0), (1.0, 0.0)).stretch == 1.0
    assert observed((1.0, 0.0)).busy == NEWEST
    assert observed(*[(1.0, 0.0)] * 3).stretch == WIDER, "1 - 0.6 ** 3 is more than enough"


def test_it_comes_back_when_the_loop_is_idle_and_stays_in_between() -> None:
    load = settled(1.0)
    for busy, stretch in ((1.0, WIDER), (1.0, WIDER**2), (0.6, WIDER**3), (0.0, WIDER**3), (0.0, WIDER**3 / DENSER)):
        load.observe(busy=busy, late=0.0)
        assert load.stretch == pytest.approx(stretch)
    for _ in range(20):
        load.observe(busy=0.0, late=0.0)
    assert load.stretch == 1.0


def test_sockets_are_left_alone_the_longer_the_busier_it_is() -> None:
    load = settled(BUSY + 0.1)
    load.observe(busy=BUSY + 0.1, late=0.0)
    assert [settled(busy).rest for busy in (0.0, BUSY / 2, BUSY)] == [1.0, (1 + RESTS) / 2, RESTS]
    assert load.rest == RESTS * WIDER


def test_there_is_an_end_to_it() -> None:
    assert observed(*[(1.0, 1.0)] * 30).stretch == MOST
