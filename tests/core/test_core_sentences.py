"""Sentences: what ends one, what does not, and that neither pieces nor length change what is said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.sentences import LIMIT, Sentences


def said(pieces: Iterable[str]) -> list[str]:
    sentences = Sentences()
    return [sentence for piece in pieces for sentence in sentences.feed(piece)] + sentences.end()


TEXTS = {
    "": [],
    " \n \t\n": [],
    "Hello": ["Hello"],
    # what ends a sentence
    "One. Two! Three? Four… Five": ["One.", "Two!", "Three?", "Four…", "Five"],
    "What?! No... Yes": ["What?!", "No...", "Yes"],
    "One.  \t Two.": ["One.", "Two."],
    "One.\u00a0Two": ["One.", "Two"],
    "She said “go.” He went. (He did.) And *so.* Then **that.** End_.": [
        *("She said “go.”", "He went.", "(He did.)", "And *so.*", "Then **that.**", "End_."),
    ],
    "你好。我是“三重奏。”真的！？（是。）好": ["你好。", "我是“三重奏。”", "真的！？", "（是。）", "好"],
    "「はい。」と": ["「はい。」", "と"],
    "क्या। हाँ": ["क्या।", "हाँ"],
    "# A title\n\nA line\nanother\r\n- an item": ["# A title", "A line", "another", "- an item"],
    "One.\n  Two.\n": ["One.", "Two."],
    # what does not
    "It is 3.14 or v1.2.3. Yes": ["It is 3.14 or v1.2.3.", "Yes"],
    "See https://a.example/b?c=d.e! Yes": ["See https://a.example/b?c=d.e!", "Yes"],
    "A file.name is one.No more": ["A file.name is one.No more"],
    "Dr. Who met Mrs. J. K. Doe and Prof. X. She ran": ["Dr. Who met Mrs. J. K. Doe and Prof. X. She ran"],
    "Use it, e.g. Here, i.e. There, in the U.S. Army etc. And vs. That. Yes": [
        *("Use it, e.g. Here, i.e. There, in the U.S. Army etc. And vs. That.", "Yes"),
    ],
    "Fig. A (approx. 5) and (i.e.) Six": ["Fig. A (approx. 5) and (i.e.) Six"],
    "In 1999. It took 5 cm. Then": ["In 1999.", "It took 5 cm.", "Then"],
    "I saw ms. Next": ["I saw ms.", "Next"],
    "Let's. Don’t. Go": ["Let's.", "Don’t.", "Go"],
    "1. First. Then\n2. Second\n- 3. Third\n**4. Fourth**\na. Fifth": [
        *("1. First.", "Then", "2. Second", "- 3. Third", "**4. Fourth**", "a. Fifth"),
    ],
    "Well... maybe… so. OK… No": ["Well... maybe… so.", "OK…", "No"],
    "Wait... 5": ["Wait...", "5"],
    "“Why?” he asked. “Why?” He left": ["“Why?” he asked.", "“Why?”", "He left"],
    "Really! he said": ["Really!", "he said"],
    "Run `git add .` and `a. b! c`. Then": ["Run `git add .` and `a. b! c`.", "Then"],
    "A lone ` here. And there\nBut. Not": ["A lone ` here. And there", "But.", "Not"],
    # code
    "Look:\n```python\nprint('Hi. You')\n```\nDone. Yes": ["Look:", "Done.", "Yes"],
    "Look:\n~~~~\nA. B\n~~~\n```\n~~~~~ \nDone": ["Look:", "Done"],
    "```\nA. B": [],
    "```": [],
    "~~~ aa. Bb\nC\n~~~\nD": ["D"],
    "- ```\n  A. B\n  ```\n1. ~~~\n   C\n   ~~~\n> ```\n> D\n> ```\nDone": ["Done"],
    "``` aa. B ``` cc. D": ["``` aa. B ``` cc.", "D"],
    "Not ``` aa. B\nhere. Is": ["Not ``` aa. B", "here.", "Is"],
    "``\nOne. Two": ["``", "One.", "Two"],
    "Yes. ```\nOne. Two": ["Yes.", "```", "One.", "Two"],
    "```\n```x\n```\nOne": ["One"],
    "  \n" + " " * 30 + "```\nA. B\n```": [],
}


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_the_sentences_of_a_text(text: str) -> None:
    """In one piece, in characters, and in two pieces cut at every place."""
    cuts = [[text], list(text), *([text[:place], text[place:]] for place in range(len(text)))]
    for pieces in cuts:
        assert said(pieces) == TEXTS[text]


SOON = [
    (["One.", " "], [[], ["One."], []]),
    (["One", ". Two", ".", "\n"], [[], ["One."], [], ["Two."], []]),
    (["One...", " ", "T"], [[], [], ["One..."], ["T"]]),
    (["好", "。", "好"], [[], [], ["好。"], ["好"]]),
    (["Yes. ~", "~~ aa. B"], [["Yes."], ["~~~ aa."], ["B"]]),
    (["Mr. ", "X\n"], [[], ["Mr. X"], []]),
    (["``", "`\nA. B\n", "```", "\nCc. "], [[], [], [], ["Cc."], []]),
]


@pytest.mark.parametrize(("pieces", "given"), SOON)
def test_a_sentence_comes_as_soon_as_it_is_certain(pieces: list[str], given: list[list[str]]) -> None:
    sentences = Sentences()
    assert [*map(sentences.feed, pieces), sentences.end()] == given


def test_nothing_is_left_behind_the_end() -> None:
    sentences = Sentences()
    assert [sentences.feed("One. ```"), sentences.end()] == [["One."], ["```"]]
    assert [sentences.end(), sentences.feed("```\nA"), sentences.end()] == [[], [], []]


# Long ones

WORDS = "word " * 80
LONG = [
    ("x" * 401, ["x" * 400, "x"]),
    ("x" * 400, ["x" * 400]),
    ("x" * 399 + ". Then", ["x" * 399 + ".", "Then"]),
    ("x" * 400 + ". Then", ["x" * 400, ".", "Then"]),
    ("x" * 400 + " Then", ["x" * 400, "Then"]),
    ("." * 401, ["." * 400, "."]),
    ("." * 400 + " Then", ["." * 400, "Then"]),
    (WORDS + "more", [WORDS.strip(), "more"]),
    ("a" * 250 + ", " + WORDS, ["a" * 250 + ",", WORDS.strip()]),
    ("a" * 250 + ", b, " + WORDS, ["a" * 250 + ", b,", WORDS.strip()]),
    ("a" * 399 + ", b", ["a" * 399 + ",", "b"]),
    ("字" * 399 + "，" + "字", ["字" * 399 + "，", "字"]),
    ("字" * 400 + "，" + "字", ["字" * 400, "，字"]),
    ("So, " + "y" * 500, ["So, " + "y" * 396, "y" * 104]),
    ("`" + "aa. " * 150, [("`" + "aa. " * 99 + "aa."), *["aa."] * 50]),
    ("Hm... " + " " * 390 + "no. Yes", ["Hm... " + " " * 390 + "no.", "Yes"]),
    ("Hm... " + " " * 500 + "no. Yes", ["Hm...", "no.", "Yes"]),
]


@pytest.mark.parametrize(("text", "sentences"), LONG, ids=range(len(LONG)))
def test_a_long_sentence_is_cut(text: str, sentences: list[str]) -> None:
    assert said([text]) == said(text) == sentences
    assert max(map(len, sentences)) <= LIMIT


# Properties

TEXT = st.lists(
    st.sampled_from(
        [
            *(". ", ".", "...", "…", "! ", "?", "。", "！", "”", '"', ") ", "**", "`", "``", "```", "~~~", "\n"),
            *("\r\n", " ", "  ", "\t", "> ", "- ", "1. ", "2", "Dr", "e.g", "A", "b", "Word ", "word, ", "好", "é"),
            *("x" * 150, "word " * 41, " " * 150, "." * 150, "，"),
        ]
    ),
    max_size=25,
).map("".join)
FENCE = re.compile(r"^[ \t>*+-]*(?:\d+[.)])?[ \t>*+-]*(`{3,}|~{3,})", re.MULTILINE)


@given(TEXT | st.text(), st.lists(st.integers(0, 1500)))
@example("``` a. B ``` c", [9])
def test_pieces_make_no_difference(text: str, cuts: list[int]) -> None:
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    assert said(text[start:end] for start, end in pairwise(places)) == said([text]) == said(text)


@given(TEXT | st.text())
def test_every_character_is_said_once_but_white_space_and_code(text: str) -> None:
    sentences = said([text])
    spoken = iter(text)
    assert all(character in spoken for character in "".join(sentences)), "nothing is added, nothing changes places"
    if not FENCE.search(text):
        assert "".join("".join(sentences).split()) == "".join(text.split())


@given(TEXT | st.text())
def test_a_sentence_is_a_line_s_and_not_too_long(text: str) -> None:
    for sentence in said([text]):
        assert sentence == sentence.strip()
        assert 0 < len(sentence) <= LIMIT
        assert "\n" not in sentence


PARAGRAPHS = st.lists(st.sampled_from(["One. Two", "Go!", "word"])).map("\n".join)


@given(PARAGRAPHS, st.text("ab.! `~\n"), PARAGRAPHS)
def test_a_block_of_code_says_nothing(before: str, code: str, after: str) -> None:
    block = f"\n`````\n{code.replace('`````', '')}\n`````\n"
    assert said([before + block + after]) == said([before]) + said([after])


@given(TEXT, TEXT)
def test_what_is_given_depends_on_the_text_so_far_alone(text: str, more: str) -> None:
    """So that a text whose end is rewritten can be read again from its beginning."""
    assert said([text + more])[: len(given := Sentences().feed(text))] == given


def test_a_long_text_is_read_in_one_piece_and_in_characters() -> None:
    assert len(said(["One, two. " * 20_000])) == 20_000
    assert len(said("One, two. " * 20_000)) == 20_000
