"""What is hidden stays hidden and what is text stays text, wherever the model's pieces are cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.hidden import SILENCE, Hidden, parse_tag

TAGS = ("think", "thinking", "思考", "[TOOL]...[/TOOL]", "<|a|>...<|b|>", "[TOOLS]...[END]")
LONGEST_BEGINNING = 130
"""More characters than any mark has: nothing longer may be withheld."""


def feed(pieces: Iterable[str]) -> tuple[str, str, bool]:
    """What was shown in the end, what was withheld and is text, and whether the answer is silent."""
    hidden = Hidden(TAGS)
    shown = "".join(map(hidden.feed, pieces))
    return shown, hidden.rest, hidden.is_silent


def visible(text: str) -> str:
    shown, rest, _ = feed(text)
    return shown + rest


ANSWERS = {
    # blocks
    "<think>secret</think>answer": "answer",
    "<think>secret</think>\n\nanswer": "\n\nanswer",
    " \n <think>secret</think>answer": " \n answer",
    "\u200b<think>secret</think>answer": "\u200banswer",
    "answer\n<think>secret</think>\nmore": "answer\n\nmore",
    "answer\r\n<think>secret</think>more": "answer\r\nmore",
    "<think>secret</think> <thinking>secret</thinking>answer": " answer",
    "<think>secret": "",
    "answer\n<think>\n\nsecret\n": "answer\n",
    "<think></think>answer": "answer",
    "<think>```\nsecret</think>answer\n<think>secret</think>": "answer\n",
    "<think>secret `</think>answer": "answer",
    "<think>secret</thinking>secret</other></think>answer": "answer",
    "<think>secret <thinking>\n<thinking>secret</think>answer": "answer",
    # how a tag may be written
    "<THINK>secret</Think>answer": "answer",
    "< think >secret< / think >answer": "answer",
    "<\tthink\n>secret</think\n>answer": "answer",
    '<think foo="1" bar>secret</think foo>answer': "answer",
    "<think/>answer": "<think/>answer",
    "<think />answer": "<think />answer",
    "<thinks>answer</thinks>": "<thinks>answer</thinks>",
    "<think answer": "<think answer",
    "<think" + " x" * 100 + ">answer": "<think" + " x" * 100 + ">answer",
    "<" + " " * 20 + "think>answer": "<" + " " * 20 + "think>answer",
    "<思考>secret</思考>answer": "answer",
    "[tool]secret[/Tool]answer": "answer",
    "<|a|>secret<|b|>answer": "answer",
    "[TOOLS]secret[END]answer": "answer",
    # nested ones
    "<think><think>secret</think>secret</think>answer": "answer",
    "<think>\n<think>secret</think>\nsecret\n</think>answer": "answer",
    "<think>secret\n <think>secret</think> <think>secret</think>\nsecret</think>answer": "answer",
    "<think>secret<think>secret</think>secret</think>answer": "answer",
    "<think>secret\n<think>secret</think>secret": "",
    # mentions
    "answer <think> answer": "answer <think> answer",
    "Use <think> and </think> in pairs.": "Use <think> and </think> in pairs.",
    "- <think>a</think>": "- <think>a</think>",
    "> <think>a</think>": "> <think>a</think>",
    "a <think> b <THINK> c </think> d </think> e </think> f": "a <think> b <THINK> c </think> d </think> e  f",
    "a <think> </thinking> b": "a <think>  b",
    "a [tool] b [/tool] c": "a [tool] b [/tool] c",
    "<think>secret: is a <think> meant?\nsecret</think>answer": "answer",
    "<think>secret: <think> and </think> are meant</think>answer": "answer",
    "<think>secret: a <think> is meant\n<think>secret</think>\n</think>answer": "answer",
    # closers of nothing
    "</think>answer": "answer",
    "answer</think>\n\nmore": "answer\n\nmore",
    "answer </think> more": "answer  more",
    "answer <think>\nanswer</think>more": "answer <think>\nanswermore",
    "answer</think><think>secret</think>more": "answermore",
    "answer <think> more </thinking><think>secret</think>rest": "answer <think> more rest",
    "<think>secret</think></think>answer": "answer",
    "answer[/TOOL]": "answer",
    # code
    "`<think>`answer`</think>`": "`<think>`answer`</think>`",
    "`` ` </think> `` </think>answer": "`` ` </think> `` answer",
    "` </think>\n</think>answer": "` </think>\nanswer",
    "`` </think>\n<think>secret</think>answer": "`` </think>\nanswer",
    "`~` </think>answer": "`~` answer",
    "`~</think>": "`~</think>",
    "~~~ </think>": "~~~ </think>",
    "answer ~~~ </think>": "answer ~~~ ",
    "~~ </think>answer": "~~ answer",
    "```\n<think>\n</think>\n```\n<think>secret</think>answer": "```\n<think>\n</think>\n```\nanswer",
    "```xml\n<think>\n``` x\n<think>\n````  \n<think>secret": "```xml\n<think>\n``` x\n<think>\n````  \n",
    "````\n<think>\n```\n<think>": "````\n<think>\n```\n<think>",
    "~~~\n<think>\n```\n<think>\n~~~\n<think>secret": "~~~\n<think>\n```\n<think>\n~~~\n",
    "```\n<think>\n~~~\n<think>\n```\n<think>secret": "```\n<think>\n~~~\n<think>\n```\n",
    "```\nx ```\n<think>": "```\nx ```\n<think>",
    "```\n``` ```\n<think>": "```\n``` ```\n<think>",
    "```\n```\n```\n<think>": "```\n```\n```\n<think>",
    "``` <think> ``` </think>\n<think>secret": "``` <think> ``` \n",
    "~~~ a ~~~\n<think>": "~~~ a ~~~\n<think>",
    "- ```xml\n  <think>\n  ```\n<think>secret": "- ```xml\n  <think>\n  ```\n",
    "> ```\n> <think>\n<think>\n> ```\n<think>secret": "> ```\n> <think>\n<think>\n> ```\n",
    "<think>secret</think>```\n<think>": "```\n<think>",
    # what only looks like a mark
    "<": "<",
    "1 < 2 <3 </ [x] <thin k>": "1 < 2 <3 </ [x] <thin k>",
    "<<<think>a": "<<<think>a",
    "\n<\nthink<think>a": "\n<\nthink<think>a",
    "[too[tool]": "[too[tool]",
    # cut within a mark
    "a\n<thi": "a\n<thi",
    "a </thi": "a </thi",
    "<think>secret</thi": "",
}


@pytest.mark.case("C2", "C3")
@pytest.mark.parametrize("text", ANSWERS, ids=repr)
def test_what_is_visible_of_an_answer(text: str) -> None:
    """In one piece, in characters, and in two pieces cut at every place."""
    assert visible(text) == ANSWERS[text]
    cuts = [list(text), *([text[:place], text[place:]] for place in range(len(text)))]
    assert {feed(pieces)[0] + feed(pieces)[1] for pieces in cuts} == {ANSWERS[text]}


@pytest.mark.case("C2", "C3")
@pytest.mark.parametrize("text", [text for text in ANSWERS if "secret" in text], ids=repr)
def test_no_beginning_of_an_answer_shows_a_secret(text: str) -> None:
    """Whenever it is cut or stopped: the answers above write only what must not be seen with these letters."""
    assert not any("sec" in visible(text[:end]) for end in range(len(text)))


def test_without_tags_there_are_no_blocks() -> None:
    hidden = Hidden()
    assert hidden.feed("<think>a</think> `x`\n~~~") == "<think>a</think> `x`\n~~~"
    assert hidden.rest == ""


# What is withheld

WITHHELD = [
    ("a", "a", ""),
    ("a <", "a ", "<"),
    ("a <t", "a ", "<t"),
    ("a < b", "a < b", ""),
    ("a </think", "a ", "</think"),
    ("a </thinx", "a </thinx", ""),
    ("a [TOO", "a ", "[TOO"),
    ("`<think", "`<think", ""),
    ("```\n<", "```\n<", ""),
    ("a\n<think>b</", "a\n", ""),
    ("a\n\n", "a\n\n", ""),
    (" \n", "", " \n"),
    (" N", "", " N"),
    ("<", "", "<"),
    ("NO<", "", "NO<"),
    ("NO_REPLY<", "", "NO_REPLY<"),
    ("NO_REPLY</think>", "", ""),
    ("aN", "aN", ""),
]


@pytest.mark.parametrize(("text", "shown", "rest"), WITHHELD)
def test_only_what_may_become_hidden_is_withheld(text: str, shown: str, rest: str) -> None:
    assert feed(text)[:2] == (shown, rest)
    assert feed([text])[:2] == (shown, rest)


# Silence

SILENT = [
    "NO_REPLY",
    " \n NO_REPLY",
    "NO_REPLY\n ",
    "<think>NO</think>\nNO_REPLY",
    "NO_REPLY\n<think>x",
    "NO_</think>REPLY",
]
SPEAKING = [
    "",
    " ",
    "NO",
    "NO_REPL",
    "NO_REPLX",
    "NO_REPLY means",
    "NO_REPLY.",
    "NO_REPLY\n\nNO_REPLY",
    "no_reply",
    "NO _REPLY",
]
SPEAKING += ["_NO_REPLY", "`NO_REPLY`", "NO_REPLYNO", "NO_REPLY <thi", "N O_REPLY", "a NO_REPLY"]


@pytest.mark.case("C5")
@pytest.mark.parametrize("text", SILENT, ids=repr)
def test_silence_is_never_visible(text: str) -> None:
    assert feed(text) == feed([text]) == ("", "", True)


@pytest.mark.case("C5")
@pytest.mark.parametrize("text", SPEAKING, ids=repr)
def test_what_begins_like_silence_is_shown(text: str) -> None:
    assert visible(text) == "".join(feed([text])[:2]) == text
    assert not feed(text)[2]


@pytest.mark.case("C5")
def test_silence_is_broken_by_the_first_other_character() -> None:
    hidden = Hidden(TAGS)
    assert [hidden.feed(piece) for piece in ("NO", "_REPLY", " ", "m", "eans")] == ["", "", "", "NO_REPLY m", "eans"]


# Properties

PIECES = st.sampled_from(
    [
        *("<think>", "</think>", "<think ", "</", "<", ">", "/", "think", "<思考>", "</思考>", "[TOOL]", "[/TOOL]"),
        *("[TOO", "[TOOLS]", "[END]", "<|a|>", "<|b|>", "`", "``", "```", "~~~", "~", "\n", "\n\n", " ", "a", SILENCE),
    ]
)
TEXTS = st.lists(PIECES, max_size=20).map("".join)


@given(TEXTS, st.lists(st.integers(0, 40)))
def test_pieces_make_no_difference(text: str, cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(text)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert feed(pieces) == feed([text]) == feed(text)


@given(TEXTS)
def test_what_was_shown_stays_and_little_is_withheld(text: str) -> None:
    """What a screen has is a beginning of the text, if the answer ends here as well as if it goes on."""
    final, hidden, shown = visible(text), Hidden(TAGS), ""
    for place, character in enumerate(text, start=1):
        shown += hidden.feed(character)
        assert final.startswith(shown)
        assert shown + hidden.rest == visible(text[:place])
        assert hidden.rest == hidden.rest, "asking takes nothing away"
        assert len(hidden.rest.strip()) <= LONGEST_BEGINNING


@given(TEXTS)
def test_visible_text_is_the_text_without_some_of_it(text: str) -> None:
    characters = iter(text)
    assert all(character in characters for character in visible(text)), "nothing is added, nothing changes places"


@given(st.text(st.characters(exclude_characters="<[NO")))
def test_text_without_marks_is_itself(text: str) -> None:
    assert visible(text) == text


UNITS = [
    "<",
    "<think",
    "< ",
    "[",
    "`",
    "~",
    "\n",
    " ",
    ">",
    "<think>",
    "</think>",
    "<think x",
    "a\n<",
    "[TOO",
    "a",
    "\u200b",
]


@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_long_monotony_withholds_a_beginning_at_most(unit: str) -> None:
    """Nothing is looked at again but what is withheld, so that bounds the time as well."""
    hidden = Hidden(TAGS)
    hidden.feed("x")
    for _ in range(10_000):
        hidden.feed(unit)
        assert len(hidden.rest) <= LONGEST_BEGINNING


# How a tag is written in the settings


@pytest.mark.parametrize(
    "written", ["think", "思考", "|tool|", "a-b_c.d", "x" * 50, "[A]...[/A]", "<a...a>", "a...b...c"]
)
def test_names_and_pairs(written: str) -> None:
    assert parse_tag(written) is parse_tag(written)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        *((name, "write a tag's name without") for name in ("", " ", "a b", "<a>", "</a", "a/", "x" * 51, "a\n")),
        *(
            (pair, "write a pair as")
            for pair in ("...", "a...", "...b", "a b...c", "`...b", "a...~b", "x" * 51 + "...b")
        ),
        *((pair, "begin alike") for pair in ("a...a", "a...ab", "ab...a")),
    ],
)
def test_what_is_no_tag(written: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_tag(written)


@pytest.mark.parametrize("text", ["[abc[/a]d", "«secret»d"])
@pytest.mark.parametrize("tags", [["[ab...[/ab]", "[a...[/a]", "«...»"], ["«...»", "[a...[/a]", "[ab...[/ab]"]])
def test_the_mark_that_is_whole_first_counts(tags: list[str], text: str) -> None:
    """What one mark is may be the beginning of another, and pieces must make no difference."""
    whole, piecemeal = Hidden(tags), Hidden(tags)
    assert whole.feed(text) == "".join(map(piecemeal.feed, text)) == "d"


@pytest.mark.parametrize("first", ["^", "]", "-", "\\", "[", "."])
def test_pairs_may_begin_with_any_character(first: str) -> None:
    hidden = Hidden([f"{first}a...{first}b"])
    assert hidden.feed(f"{first}aSECRET{first}bx{first}by a") == "xy a"
