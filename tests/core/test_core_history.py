"""What fits into a request: whole turns, the newest, and always the last."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.conversation import Ending, Message, OpaquePart, TextPart, ToolCallPart, ToolResultPart
from triolet.core.history import UNANSWERED, TokenEstimate, fit, length, turns, without_blocks

ONE = TokenEstimate(1.0)


def said(script: str) -> list[Message]:
    """A message for each letter: upper case is the user's, lower case the assistant's; ten characters long."""
    return [Message.of("user" if letter.isupper() else "assistant", letter * 10) for letter in script]


def script(messages: list[Message]) -> str:
    return "".join(message.text[0] for message in messages)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("", []),
        ("A", ["A"]),
        ("AaBb", ["Aa", "Bb"]),
        ("AaaaB", ["Aaaa", "B"]),
        ("ABaC", ["ABa", "C"]),
        ("aBb", ["a", "Bb"]),
        ("aa", ["aa"]),
    ],
)
def test_a_turn_begins_with_a_user_s_message(messages: str, expected: list[str]) -> None:
    assert [script(turn) for turn in turns(said(messages))] == expected


# A message of ten characters takes 14 tokens, and the request 4 more.
FITS = [
    ("AaBbC", 74, "", "AaBbC"),
    ("AaBbC", 73, "", "BbC"),
    ("AaBbC", 46, "", "BbC"),
    ("AaBbC", 45, "", "C"),
    ("AaBbC", 18, "", "C"),
    ("AaBbC", 0, "", "C"),
    ("AaBbCccc", 20, "", "Cccc"),
    ("AaBbC", 51, "s" * 5, "BbC"),
    ("AaBbC", 50, "s" * 5, "C"),
    ("AaBbC", 0, "s" * 500, "C"),
    ("aB", 32, "", "aB"),
    ("aB", 31, "", "B"),
    ("A", 0, "", "A"),
    ("aa", 0, "", "aa"),
    ("", 100, "", ""),
]


@pytest.mark.parametrize(("messages", "context_tokens", "system_prompt", "expected"), FITS)
def test_the_oldest_turns_are_dropped_whole(
    messages: str, context_tokens: int, system_prompt: str, expected: str
) -> None:
    kept = fit(said(messages), context_tokens=context_tokens, system_prompt=system_prompt, estimate=ONE)
    assert script(kept) == expected


def test_a_short_turn_behind_a_long_one_is_dropped_with_it() -> None:
    """History has no holes."""
    messages = [*said("Aa"), Message.of("user", "b" * 100), *said("cC")]
    assert fit(messages, context_tokens=50, estimate=ONE) == messages[4:]


def test_the_default_estimate_is_cautious() -> None:
    messages = [Message.of("user", "x" * 33), Message.of("assistant", "x" * 33), Message.of("user", "x" * 66)]
    assert fit(messages, context_tokens=56) == messages
    assert fit(messages, context_tokens=55) == messages[2:]


def test_what_is_kept_is_another_list() -> None:
    messages = said("Aa")
    assert fit(messages, context_tokens=1000) is not messages


MESSAGES = st.lists(
    st.builds(Message.of, st.sampled_from(["user", "assistant"]), st.integers(0, 40).map(lambda n: "x" * n))
)


@given(MESSAGES, st.integers(0, 400), st.integers(0, 40), st.sampled_from([1.0, 3.3]))
def test_what_fits_is_the_longest_run_of_whole_turns(
    messages: list[Message], context_tokens: int, prompt: int, characters: float
) -> None:
    estimate = TokenEstimate(characters)
    kept = fit(messages, context_tokens=context_tokens, system_prompt="s" * prompt, estimate=estimate)
    groups = turns(messages)
    tails = [[message for turn in groups[start:] for message in turn] for start in range(len(groups))]
    fitting = [tail for tail in tails if estimate.tokens(tail, "s" * prompt) <= context_tokens]
    assert kept == (fitting or tails[-1:] or [[]])[0]


@given(MESSAGES)
def test_turns_are_the_messages(messages: list[Message]) -> None:
    groups = turns(messages)
    assert [message for turn in groups for message in turn] == messages
    assert all(groups)
    assert all(turn[0].role == "user" for turn in groups[1:])
    assert all(turn[-1].role == "assistant" for turn in groups[:-1])
    assert not any(pair == ("assistant", "user") for turn in groups for pair in pairwise(each.role for each in turn))


def test_fitting_takes_linear_time() -> None:
    """Each message is measured once: a long conversation must not stall the loop."""
    count = 0

    class Counted(str):
        __slots__ = ()

        def __len__(self) -> int:
            nonlocal count
            count += 1
            return 1

    fit([Message("user", (TextPart(Counted()),)) for _ in range(300)], context_tokens=100_000)
    assert count == 300


def test_length_is_what_a_model_reads() -> None:
    message = Message(
        "assistant",
        (
            TextPart("ab"),
            OpaquePart("d", {"long": "x"}),
            ToolCallPart("id", "abc", '{"x":1}'),
            ToolResultPart("id", "abcd"),
        ),
    )
    assert length(message) == 2 + (3 + 7) + 4
    assert TokenEstimate(1.0).tokens([message]) == 16 + 8


def test_without_blocks() -> None:
    call = ToolCallPart("id", "abc")
    message = Message("assistant", (OpaquePart("d", {}), TextPart("ab"), call), Ending.LENGTH)
    assert without_blocks(message) == Message("assistant", (TextPart("ab"), call), Ending.LENGTH)


def test_tokens_of_messages() -> None:
    messages = [Message.of("user", "x" * 33), Message("assistant", (OpaquePart("d", {"long": "x" * 99}),))]
    assert TokenEstimate().tokens(messages) == 10 + 12
    assert TokenEstimate().tokens(messages, "p" * 33) == 20 + 12
    assert TokenEstimate().tokens([]) == 4
    assert TokenEstimate(5.0).tokens_of(49, 3) == 9 + 16


CORRECTIONS = [
    ("half-way", 3.0, 5000, 1000, 4.0),
    ("half-way down", 3.0, 1000, 1000, 2.0),
    ("a small request", 3.0, 999, 500, 3.0),
    ("none reported", 3.0, 5000, 0, 3.0),
    ("nonsense reported", 3.0, 5000, -1, 3.0),
    ("one reported", 3.0, 5000, 1, 5.5),
    ("at the lower bound", 3.5, 1000, 10**40, 2.0),
    ("beyond any float", 3.5, 1000, 10**400, 2.0),
]


@pytest.mark.parametrize(("before", "characters", "reported", "after"), [row[1:] for row in CORRECTIONS])
def test_the_estimate_is_corrected_half_way(before: float, characters: int, reported: int, after: float) -> None:
    assert TokenEstimate(before).corrected(characters, reported) == TokenEstimate(after)


@given(st.lists(st.tuples(st.integers(), st.integers())))
def test_no_report_drives_the_estimate_out_of_bounds(reports: list[tuple[int, int]]) -> None:
    estimate = TokenEstimate()
    for characters, tokens in reports:
        estimate = estimate.corrected(characters, tokens)
    assert 0.5 <= estimate.characters_per_token <= 8.0


CALLED = Message("assistant", (ToolCallPart("1", "look", "{}"),))
TOLD = Message("tool", (ToolResultPart("1", "x" * 10),))


@pytest.mark.parametrize("context_tokens", range(0, 200, 10))
def test_what_was_said_on_the_way_stays_with_what_it_was_said_to(context_tokens: int) -> None:
    """And what was asked together stays together, or goes together."""
    older, last = [*said("ABa"), *said("C"), CALLED, TOLD, *said("Dd")], [*said("EF"), CALLED, TOLD, *said("G")]
    kept = fit([*older, *last], context_tokens=context_tokens, estimate=ONE)
    assert kept in [last, [*older[3:], *last], [*older, *last]]


def test_what_could_not_be_answered_is_no_part_of_what_is_asked_next() -> None:
    messages = [*said("AB"), UNANSWERED, *said("C"), CALLED, TOLD, UNANSWERED, *said("D")]
    assert [len(turn) for turn in turns(messages)] == [3, 4, 1]
    assert fit(messages, context_tokens=0, estimate=ONE) == messages[-1:]


def test_no_model_gets_to_see_that_nothing_was_said() -> None:
    messages = [*said("A"), UNANSWERED, *said("B")]
    assert fit(messages, context_tokens=32, estimate=ONE) == said("AB"), "nor does it take any room"
    assert fit(messages, context_tokens=31, estimate=ONE) == said("B")
