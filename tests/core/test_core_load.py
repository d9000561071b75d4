"""The load: how it widens what may be widened, and lets go of it."""

from __future__ import annotations

import pytest

from triolet.core.load import BUSY, DENSER, IDLE, LATE, MOST, WIDER, Load


def observed(*seen: tuple[float, float]) -> Load:
    load = Load()
    for busy, late in seen:
        load.observe(busy=busy, late=late)
    return load


@pytest.mark.parametrize(
    ("busy", "late", "stretch"),
    [
        (BUSY, LATE, 1.0),
        (BUSY + 0.01, 0.0, WIDER),
        (0.0, LATE + 0.01, WIDER),
        (IDLE, 0.0, 1.0),
        (0.0, 0.0, 1.0),
    ],
)
def test_it_is_stretched_where_the_loop_is_busy_or_late(busy: float, late: float, stretch: float) -> None:
    assert observed((busy, late)).stretch == stretch


def test_it_comes_back_when_the_loop_is_idle_and_stays_in_between() -> None:
    load = observed((1.0, 0.0), (1.0, 0.0), (0.7, 0.0))
    assert load.stretch == WIDER**2
    load.observe(busy=0.5, late=0.0)
    assert load.stretch == WIDER**2 / DENSER
    assert observed((1.0, 0.0), *[(0.0, 0.0)] * 3).stretch == 1.0


def test_there_is_an_end_to_it() -> None:
    assert observed(*[(1.0, 1.0)] * 30).stretch == MOST
