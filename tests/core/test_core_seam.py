"""A continuation sewn to what is shown: nothing twice, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.events import Batch, Finished, ReasoningDelta, TextCompleted, TextDelta
from triolet.core.seam import ANEW, Seam

SHOWN = "Once upon a time there was a house. In it lived three musicians, and they had one"
END = Finished("stop")


def sewn(shown: str, *deltas: str, exact: bool = False) -> tuple[str, bool]:
    """The whole text, and whether the end counts."""
    seam = Seam(shown, exact=exact, hide_tags=["think"])
    events = [event for delta in deltas for event in seam.sew((TextDelta(delta),))] + list(seam.sew((END,)))
    return shown + "".join(event.text for event in events if isinstance(event, TextDelta)), END in events


@pytest.mark.case("L4", "S5")
@pytest.mark.parametrize(
    ("continuation", "whole"),
    [
        pytest.param(" clock.", SHOWN + " clock.", id="goes on"),
        pytest.param("clock.", SHOWN + " clock.", id="goes on, without the space between two words"),
        pytest.param(", and so on.", SHOWN + ", and so on.", id="goes on with a comma"),
        pytest.param("In it lived three musicians, and they had one clock.", SHOWN + " clock.", id="the last sentence"),
        pytest.param("they had one clock.", SHOWN + " clock.", id="the last words"),
        pytest.param(SHOWN + " clock.", SHOWN + " clock.", id="all of it again"),
        pytest.param(SHOWN, SHOWN, id="all of it again, and no more"),
        pytest.param(SHOWN[:60], SHOWN, id="some of it again, and no more"),
        pytest.param("had one", SHOWN + " had one", id="so few words may be chance"),
        pytest.param("one", SHOWN + " one", id="fewer still"),
        pytest.param("Once", SHOWN + " Once", id="and at the beginning"),
        pytest.param("", SHOWN, id="nothing"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_is_shown_already_is_not_shown_again(continuation: str, whole: str, size: int) -> None:
    deltas = [continuation[start : start + size] for start in range(0, len(continuation), size)]
    assert sewn(SHOWN, *deltas) == (whole, True)


@pytest.mark.parametrize(
    ("shown", "continuation", "whole"),
    [
        pytest.param("It is so. ", "It is so.\nYes.", "It is so. \nYes.", id="a line instead of a space"),
        pytest.param("It is so. ", "It is so. Yes.", "It is so. Yes.", id="the same space"),
        pytest.param("It is so.\n\n", "It is so. Yes.", "It is so.\n\nYes.", id="a space instead of a paragraph"),
        pytest.param("It is so.\n\n", "It is so.\n\nYes.", "It is so.\n\nYes.", id="the same paragraph"),
        pytest.param("It is so", " \nIt is so.", "It is so.", id="before what is repeated"),
        pytest.param("It is so. ", "It is so. ", "It is so. ", id="nothing else"),
        pytest.param("It is so.", "\n\nYes.", "It is so.\n\nYes.", id="that is new"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_white_space_makes_no_difference(shown: str, continuation: str, whole: str, size: int) -> None:
    deltas = [continuation[start : start + size] for start in range(0, len(continuation), size)]
    assert sewn(shown, *deltas) == (whole, True)


@pytest.mark.parametrize(
    ("continuation", "whole"),
    [
        pytest.param("<think>again</think>\n\nthey had one clock.", SHOWN + " clock.", id="and the last words"),
        pytest.param("<think>again</think><think>!</think> clock.", SHOWN + " clock.", id="and it goes on"),
        pytest.param("<think>again", SHOWN, id="and nothing else"),
        pytest.param(" <thi", SHOWN + " <thi", id="half of one is text"),
        pytest.param("they had one <think>", SHOWN + " <think>", id="a mention"),
        pytest.param("NO_REPLY", SHOWN, id="silence"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_the_model_thinks_first_is_hidden(continuation: str, whole: str, size: int) -> None:
    deltas = [continuation[start : start + size] for start in range(0, len(continuation), size)]
    assert sewn(SHOWN, *deltas) == (whole, True)


def test_completed_text_lacks_what_the_model_thinks_first() -> None:
    seam = Seam(SHOWN, hide_tags=["think"])
    said: Batch = (TextDelta("<think>again</think>they had one clock. <th"), TextCompleted("they had one clock."), END)
    assert seam.sew(said) == (TextDelta(" clock. "), TextCompleted(SHOWN + " clock."), END)


def test_another_answer_is_none_and_its_end_does_not_count() -> None:
    assert sewn(SHOWN, SHOWN[: ANEW + 2] + "?? and now something else", "and more") == (SHOWN, False)


def test_a_beginning_that_is_alike_by_chance_counts() -> None:
    assert sewn(SHOWN, SHOWN[:20] + "?") == (f"{SHOWN} {SHOWN[:20]}?", True)


@pytest.mark.parametrize(
    ("shown", "deltas", "whole"),
    [
        ("one", [" clock"], "one clock"),
        ("cl", ["ock"], "clock"),
        ("one ", [" clock"], "one clock"),
        ("one ", [" ", "\n", " clock", " now"], "one clock now"),
        ("ha ha", [" ha ha"], "ha ha ha ha"),
        ("one", [], "one"),
    ],
)
def test_who_goes_on_exactly_is_taken_at_their_word(shown: str, deltas: list[str], whole: str) -> None:
    assert sewn(shown, *deltas, exact=True) == (whole, True)


def test_completed_text_is_that_of_both() -> None:
    seam = Seam(SHOWN)
    assert seam.sew((TextDelta("they had one cl"), TextCompleted("they had one clock."))) == (
        TextDelta(" cl"),
        TextCompleted(SHOWN + " clock."),
    )
    assert seam.sew((END,)) == (END,)


def test_completed_text_leaves_nothing_to_say() -> None:
    seam = Seam(SHOWN)
    assert seam.sew((TextDelta("they had"), TextCompleted("clock."), END)) == (TextCompleted(SHOWN + " clock."), END)


def test_completed_text_of_another_answer_leaves_what_is_shown() -> None:
    seam = Seam(SHOWN)
    assert seam.sew((TextCompleted(SHOWN[: ANEW + 2] + "??"), END)) == (TextCompleted(SHOWN),)
    assert seam.diverged


def test_other_events_pass() -> None:
    thought: Batch = (ReasoningDelta("hm"),)
    assert Seam(SHOWN).sew(thought) == thought


@given(st.text("ab .", min_size=1), st.text("ab ."), st.lists(st.integers(1, 5)), st.booleans())
def test_chunks_make_no_difference(shown: str, continuation: str, sizes: list[int], exact: bool) -> None:
    rest, deltas = continuation, []
    for size in sizes:
        deltas.append(rest[:size])
        rest = rest[size:]
    pieces = [delta for delta in [*deltas, rest] if delta]
    assert sewn(shown, *pieces, exact=exact) == sewn(shown, *([continuation] if continuation else []), exact=exact)


@given(st.text("ab .", min_size=30), st.text("xyz", min_size=1), st.integers(8, 30))
def test_a_repeated_end_is_left_out(shown: str, rest: str, count: int) -> None:
    assert sewn(shown, shown[-count:] + rest) == (shown + rest, True)
