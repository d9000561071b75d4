"""The same updates, delivered over and over in any order, to one run after another: each is new once."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from triolet.store import open_store, run_inline

Batch: TypeAlias = tuple[list[int], bool, bool]
"""Update ids that come together; whether they are finished then; whether the program ends then."""


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    """Some updates, each 1 to 50 times, in any order, cut into batches."""
    times = draw(st.dictionaries(st.integers(1, 2**40), st.integers(1, 50), min_size=1, max_size=4))
    deliveries = draw(st.permutations([number for number, count in times.items() for _ in range(count)]))
    cuts = draw(st.lists(st.integers(0, len(deliveries)), max_size=8).map(sorted))
    parts = [
        deliveries[start:end] for start, end in zip([0, *cuts], [*cuts, len(deliveries)], strict=True) if start < end
    ]
    return [(part, draw(st.booleans()), draw(st.booleans())) for part in parts]


@pytest.mark.case("RR5")
@given(batches())
def test_an_update_is_new_once(given_batches: list[Batch]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_deliver, Path(folder) / "triolet.db", given_batches)


async def _deliver(path: Path, given_batches: list[Batch]) -> None:
    new, left = Counter[int](), list[int]()
    runs: list[list[Batch]] = [[]]
    for batch in given_batches:
        runs[-1].append(batch)
        if batch[2]:
            runs.append([])
    for run in runs:
        async with open_store(path, executor=run_inline) as store:
            assert [each.update["update_id"] for each in await store.unfinished()] == left
            for numbers, are_finished, _ in run:
                fresh = [each["update_id"] for each in await store.receive([{"update_id": i} for i in numbers])]
                new.update(fresh)
                left += fresh
                if are_finished:
                    left = [number for number in left if number not in numbers]
                    store.finish(numbers)
    assert new == Counter({number for numbers, _, _ in given_batches for number in numbers})
