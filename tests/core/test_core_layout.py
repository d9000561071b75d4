"""An answer as messages: all of it, once, in order, in parts that fit and stay; for any answer in any pieces.

The emulator counts and judges the parts, and the documents know their own words: neither asks the code under test.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from documents import Document, documents, scraps, unseen, words
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.content import blank
from triolet.core.markup.cutting import Cuts, Lead, Rank
from triolet.core.markup.forms import FORMS, RICH_LIMIT, FormatName
from triolet.core.markup.layout import Layout, Part, plainer
from triolet.core.markup.markdown import compose, render_rich
from triolet.core.markup.saw import Saw
from triolet.core.markup.syntax import clean
from triolet.core.text import Content, Entity, FormattedText, RichText, is_blank, italic
from triolet.emulator.entities import check_entities
from triolet.emulator.rich import read_rich
from triolet.emulator.text import MAX_MESSAGE
from triolet.emulator.text import FormattedText as EmulatedText

FORMATS: list[FormatName] = ["entities", "rich", "plain"]
CURSOR = 2


def laid_out(source: str, form: FormatName = "entities") -> list[Part]:
    """All parts of a whole answer."""
    layout = Layout(form)
    parts = layout.advance(source, complete=True)
    return [*parts, *([] if is_blank(shown(layout.live.content)) else [layout.live])]


def streamed(source: str, places: Iterable[int], form: FormatName = "entities") -> list[Part]:
    """All parts of an answer that grew in pieces, each frame of which was looked at."""
    layout = Layout(form, reserve=CURSOR)
    parts: list[Part] = []
    for place in [*sorted({*places}), len(source) + 1]:
        live = layout.live
        more = layout.advance(source[:place], complete=place > len(source))
        same = more[0] if more else layout.live
        assert live.upto <= same.upto, "a part never takes back what it has shown"
        seen = words(shown(live.content))[:-1]  # the last one may have been half a word
        assert words(shown(same.content))[: len(seen)] == seen
        parts += more
        check(layout.live.content, CURSOR if place <= len(source) else 0)
    assert layout.live.upto == len(source)
    return [*parts, *([] if is_blank(shown(layout.live.content)) else [layout.live])]


def check(content: Content, reserve: int = 0) -> None:
    """It fits as the emulator counts, which takes it as it is."""
    if isinstance(content, RichText):
        assert len(content.html) <= RICH_LIMIT
        if not is_blank(shown(content)):
            read_rich({"html": content.html, "skip_entity_detection": True})
        return
    entities = check_entities(content.text, [entity.to_json() for entity in content.entities])
    trimmed = EmulatedText(content.text, entities).trimmed()
    assert trimmed == EmulatedText(content.text, entities)
    assert len(trimmed.text) <= MAX_MESSAGE - reserve
    assert len(str([entity.to_json() for entity in content.entities])) <= 9_500


def shown(content: Content) -> str:
    """What can be read of it."""
    if isinstance(content, RichText):
        return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<br/>|</(?:p|li|t[dh]|pre)>|<pre>", " ", content.html)))
    return content.text


def text(parts: Sequence[Part]) -> str:
    return "\n".join(shown(part.content) for part in parts)


def texts(source: str, form: FormatName = "entities") -> list[str]:
    return [shown(part.content) for part in laid_out(source, form)]


def blocks(part: Part) -> list[tuple[str, str | None]]:
    """The code blocks of a part: (code, language)."""
    content = part.content
    assert isinstance(content, FormattedText)
    return [
        (content.text[each.offset : each.offset + each.length], each.language)
        for each in content.entities
        if each.type == "pre"
    ]


PROSE = [
    ("paragraphs", "This is a sentence of normal prose, as models write it. " * 7, "\n\n"),
    ("long paragraphs", "This is a sentence of normal prose, as models write it. " * 38, "\n\n"),
    ("one paragraph", "This is a sentence of normal prose, as models write it. ", ""),
    ("no sentences", "words and more words without an end to them ", ""),
    ("lines", "This is a line of some thirty characters", "\n"),
    ("a list", "- This is an item with **bold words** and a few others in it", "\n"),
    ("other scripts", "Это предложение обычной прозы, каким его пишут модели. " * 9, "\n\n"),
    ("no spaces", "这是一个没有空格的句子", ""),
]


@pytest.mark.case("O1")
@pytest.mark.parametrize("step", [331, 20_000])
@pytest.mark.parametrize(("unit", "joint"), [pytest.param(*row[1:], id=row[0]) for row in PROSE])
def test_a_long_answer_is_there_once_in_as_few_messages_as_it_takes(unit: str, joint: str, step: int) -> None:
    source = joint.join([unit] * (20_000 // len(unit + joint)))
    whole = len(compose(source).text)
    parts = streamed(source, range(0, len(source), step))
    assert len(parts) <= -(-whole // MAX_MESSAGE) + 1
    assert re.sub(r"\s+", "", text(parts)) == re.sub(r"\s+", "", compose(source).text)


@pytest.mark.case("O1")
def test_an_answer_that_grows_by_letters_is_sealed_once() -> None:
    unit, joint = PROSE[0][1:]
    source = joint.join([unit] * 12)
    parts = streamed(source, range(3900, len(source)))
    assert text(parts).split() == source.split()
    assert len(parts) == 2


@pytest.mark.case("O1")
@given(documents(), st.data())
def test_every_word_is_shown_once_and_in_order(document: Document, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(FORMATS), "format")
    source = document.source
    parts = streamed(source, data.draw(st.lists(st.integers(0, len(source)), max_size=12), "frames"), form)
    assert words(text(parts)) == words(source)
    assert unseen(text(parts), document.words) is None
    for part in parts:
        check(part.content)
    assert all(one.upto < other.upto for one, other in pairwise(parts))


@pytest.mark.case("O2")
@given(scraps(), st.integers(1, 4000), st.sampled_from(FORMATS), st.data())
def test_parts_of_any_text_fit(scrap: str, times: int, form: FormatName, data: st.DataObject) -> None:
    source = (scrap * times)[:12_000]
    for part in streamed(source, data.draw(st.lists(st.integers(0, len(source)), max_size=4), "frames"), form):
        check(part.content)
        assert not is_blank(shown(part.content))


@pytest.mark.case("O2")
@pytest.mark.parametrize("before", ["", "a", "ab"])
@pytest.mark.parametrize("glyph", ["😀", "e\u0301", "👩\u200d🚀", "🇩🇪", "👍🏽", "語"])
def test_no_character_is_cut(glyph: str, before: str) -> None:
    source = before + glyph * (12_000 // len(glyph))
    parts = texts(source)
    assert "".join(parts) == source
    assert {part[: len(glyph)] for part in parts[1:]} == {glyph}
    assert len(parts) == 3


@pytest.mark.case("O2")
@pytest.mark.parametrize("atom", ["&amp;", "\\*", "&#65;"])
def test_no_escape_is_cut(atom: str) -> None:
    assert "".join(texts(atom * 6000)) == compose(atom * 6000).text


def test_marks_without_end_are_cut_anyhow() -> None:
    source = "e" + "\u0301" * 9000
    assert [len(part) for part in texts(source)] == [MAX_MESSAGE, MAX_MESSAGE, 9001 - 2 * MAX_MESSAGE]
    assert "".join(texts(source)) == source


# Fences


def code(lines: int, indent: str = "") -> str:
    return "".join(f"{indent}  line {number} of code\n" for number in range(lines))


FENCES = [
    ("at the margin", "```py\n{}```\n", ""),
    ("of tildes", "~~~~py\n{}~~~~\n", ""),
    ("in an item", "- item\n  ```py\n{}  ```\n", "  "),
    ("in a deep item", "1. item\n   - item\n\n     ```py\n{}     ```\n", "     "),
    ("in a quote", "> ```py\n{}> ```\n", "> "),
    ("in an item's quote", "- > ```py\n{}  > ```\n", "  > "),
    ("in an item that ends it", "- item\n  ```py\n{}\n", "  "),
]


@pytest.mark.case("O5")
@pytest.mark.parametrize(("fence", "indent"), [pytest.param(*row[1:], id=row[0]) for row in FENCES])
@pytest.mark.parametrize("step", [50, 100_000])
def test_a_fence_that_is_cut_is_opened_again(fence: str, indent: str, step: int) -> None:
    source = "intro\n\n" + fence.format(code(600, indent)) + "\n*after*"
    parts = streamed(source, range(0, len(source), step))
    found = [block for part in parts for block in blocks(part)]
    assert 3 <= len(found) == len(parts) <= 4
    assert {language for _, language in found} == {"py"}
    lines = [line for block, _ in found for line in block.split("\n")]
    assert [line for line in lines if line] == code(600).splitlines()
    assert text(parts[-1:]).endswith("\n\nafter")
    assert isinstance(parts[-1].content, FormattedText)
    assert parts[-1].content.entities[-1].type == "italic"


@pytest.mark.case("O5")
def test_more_than_the_language_of_a_fence_is_shown_once() -> None:
    parts = laid_out("```py title=a.py\n" + code(600) + "```")
    assert text(parts).count("title=a.py") == 1
    assert [language for part in parts for _, language in blocks(part)] == ["py"] * len(parts)


@pytest.mark.case("O5")
def test_a_fence_is_not_opened_again_for_its_end() -> None:
    for length in range(150, 170):
        source = "```py\n" + code(length) + "```\nafter " + "words " * 200
        assert all(code for part in laid_out(source) for code, _ in blocks(part))
        assert "py" not in text(laid_out(source))


@pytest.mark.case("O5")
def test_a_line_of_code_that_no_message_holds_is_cut() -> None:
    parts = laid_out("a\n\n```py\n" + "words " * 1500 + "\nx\n```\nb")
    assert [language for part in parts for _, language in blocks(part)] == ["py"] * 3
    assert text(parts).split() == ["a", *["words"] * 1500, "x", "b"]


@pytest.mark.case("O5")
def test_indented_code_goes_on_as_a_fence() -> None:
    parts = laid_out("a\n\n" + code(300, "    ") + "\nb")
    lines = [line for part in parts for block, _ in blocks(part) for line in block.split("\n")]
    assert lines == code(300).splitlines()
    assert len(parts) == 2
    assert text(parts).endswith("\n\nb")


# Tables, quotes, lists, styles


def test_a_table_goes_on_below_no_header() -> None:
    rows = [f"| row {number} | {'x' * 20} |" for number in range(300)]
    parts = laid_out("a\n\n> | b | c |\n> |---|---|\n" + "\n".join("> " + row for row in rows) + "\n\nd")
    lines = [line for part in parts for block, _ in blocks(part) for line in block.split("\n")]
    assert [line.split(" | ")[0].strip() for line in lines[2:]] == [f"row {number}" for number in range(300)]
    assert text(parts).count("-+-") == 1
    assert all(
        part.content.entities[0].type == "blockquote" for part in parts if isinstance(part.content, FormattedText)
    )


def test_a_row_that_no_message_holds_is_cut() -> None:
    parts = laid_out("| a | b |\n|---|---|\n| " + "word " * 1500 + "| c |\n| d | e |")
    assert [word for word in text(parts).split() if word != "|"].count("word") == 1500
    assert "wor\n" not in text(parts)
    assert text(parts).split()[-3:] == ["d", "|", "e"]


def marked(source: str) -> list[list[tuple[str, int]]]:
    """The entities of each part, and how much of the part they leave."""
    contents = [part.content for part in laid_out(source) if isinstance(part.content, FormattedText)]
    return [[(each.type, len(content.text) - each.length) for each in content.entities] for content in contents]


STYLED = [
    ("bold", "**{}**", [("bold", 0)]),
    ("italic", "*{}*", [("italic", 0)]),
    ("italic within bold", "**_{}_**", [("bold", 0), ("italic", 0)]),
    ("code", "`{}`", [("code", 0)]),
    ("code of two backticks", "`` {} ``", [("code", 0)]),
    ("a link", "[{}](https://example.org/a)", [("text_link", 0)]),
    ("a quote", "> {}", [("blockquote", 0)]),
    ("bold in a quote", "> **{}**", [("blockquote", 0), ("bold", 0)]),
]


@pytest.mark.case("O2")
@pytest.mark.parametrize(("form", "entities"), [pytest.param(*row[1:], id=row[0]) for row in STYLED])
def test_what_is_too_long_for_a_message_goes_on_in_the_next(form: str, entities: list[tuple[str, int]]) -> None:
    assert marked(form.format("words " * 1500 + "end")) == [entities] * 3
    assert set(re.findall(r"\w+", text(laid_out(form.format("words " * 1500 + "end"))))) == {"words", "end"}


@pytest.mark.parametrize("indent", ["", "> ", "  "])
def test_bold_lines_go_on_in_the_next_message(indent: str) -> None:
    item = "- " if indent == "  " else indent
    source = f"{item}**" + f"\n{indent}".join(["line"] * 1500) + "**"
    kinds = ["bold", "blockquote"] if indent == "> " else ["bold"]
    assert [sorted(kind for kind, _ in part) for part in marked(source)] == [sorted(kinds)] * len(marked(source))
    assert re.sub(r"\s+", "", text(laid_out(source))).replace("•", "") == "line" * 1500
    assert "*" not in text(laid_out(source))


@pytest.mark.case("O2")
def test_a_cut_goes_through_nothing_that_is_marked() -> None:
    for form in ("**{}**", "`{}`", "[{}](https://example.org/a)", "~~{}~~"):
        piece = form.format("two words")
        for part in laid_out("and " + (piece + " ") * 900):
            assert isinstance(part.content, FormattedText)
            assert {each.length for each in part.content.entities} == {9}


def test_a_link_under_way_is_not_cut() -> None:
    source = "words " * 680 + "[label](https://example.org/a) end"
    parts = streamed(source, range(4000, len(source)))
    contents = [part.content for part in parts if isinstance(part.content, FormattedText)]
    assert [entity.url for content in contents for entity in content.entities] == ["https://example.org/a"]
    assert text(parts).split() == ["words"] * 680 + ["label", "end"]


def test_a_bold_piece_under_way_is_not_cut() -> None:
    source = "words " * 670 + "**bold " + "words " * 20 + "end** tail"
    parts = streamed(source, range(4000, len(source), 3))
    assert len(parts) == 2
    assert "*" not in text(parts)


def test_what_is_left_of_an_item_is_no_code() -> None:
    """Nor what follows it within the item, nor the items below."""
    rest = "\n\n      second paragraph\n\n      - nested\n        - deep\n   - back\n- last"
    parts = laid_out("1. a\n   - b\n     - " + "words " * 900 + rest)
    assert not any(blocks(part) for part in parts)
    assert text(parts[1:]).endswith("second paragraph\n\n• nested\n  • deep\n• back\n• last")


def test_a_list_cut_between_nested_items_is_no_code() -> None:
    source = "- top\n" + "".join(f"    - item {number} with some words\n" for number in range(300)) + "- last"
    parts = laid_out(source)
    assert len(parts) == 3
    assert not any(blocks(part) for part in parts)
    assert [line for line in text(parts).split("\n") if "•" not in line] == []


def test_an_indented_code_block_after_a_cut_is_code() -> None:
    parts = laid_out("words " * 640 + "\n\n    code " + "x" * 400 + "\n    more\n\nafter")
    assert [code[:5] for code, _ in blocks(parts[1])] == ["code "]
    assert blocks(parts[0]) == []


@pytest.mark.parametrize("mark", ["-", "+", "#", ">", "=", "|", "```", "***", "1."])
def test_a_word_that_a_line_must_not_begin_with_stays_a_word(mark: str) -> None:
    """``3 - 5``, cut before the minus, would be an item."""
    for filler in range(4050, 4100):
        source = "x" * 2000 + " " + "y" * (filler - 2001) + f" {mark} end " + "z" * 600
        assert "".join(texts(source)).replace(" ", "") == source.replace(" ", ""), filler


# Places


PLACES = [
    ("a paragraph", ("a " * 1900).strip() + "\n\n" + "b " * 900, 3801),
    ("a line", ("a " * 1900).strip() + "\n" + "b " * 900, 3800),
    ("a sentence", "a " * 1900 + "end. " + "b " * 900, 3805),
    ("a word that ends where the message does", "a" * 2000 + " " + "b" * 2095 + " " + "c" * 50, 4097),
    ("not a heading's end", ("a " * 1800).strip() + "\n\n# Heading\n\n" + "b " * 900, 3601),
    ("a heading is whole", "a " * 1950 + "\n\n# " + "heading " * 60 + "\n\nb", 3902),
    ("not between a marker and its text", ("a " * 1800).strip() + "\n\n- " + "b" * 3000, 3601),
]


@pytest.mark.parametrize(("source", "place"), [pytest.param(*row[1:], id=row[0]) for row in PLACES])
def test_where_an_answer_is_cut(source: str, place: int) -> None:
    assert laid_out(source)[0].upto == place


def test_paragraphs_are_not_worth_more_than_a_message_in_all() -> None:
    """The first cuts may leave more of a message empty than the last, so a very long answer stays short."""
    source = "\n\n".join(["word " * 260] * 80)
    parts = laid_out(source)
    assert len(parts) <= -(-len(source) // MAX_MESSAGE) + 1
    assert len(shown(parts[0].content)) < 3999 <= len(shown(parts[-2].content)) + 20


def test_the_entities_of_a_part_are_bounded() -> None:
    many = [len(each) for each in marked("\n\n".join(["`code` **bold**"] * 125))]
    assert len(many) == 3
    assert sum(many) == 250
    heavy = laid_out(" ".join(f"[{number}](https://example.org/{'a' * 1500})" for number in range(30)))
    for part in heavy:
        check(part.content)
    assert text(heavy).split() == [str(number) for number in range(30)]


def saw(source: str, shown: int = 0) -> Saw:
    form = FORMS["entities"]
    return Saw(form, Cuts(source), end=len(source), reserve=CURSOR, opening=0, shown=shown)


def test_nothing_is_cut_before_what_has_been_shown() -> None:
    source = "a " * 1900 + "\n\n" + "b " * 900
    best, behind = saw(source).best(1.0), saw(source, 4001).best(1.0)
    assert best is not None
    assert behind is not None
    assert best.place == 3802
    assert behind.place >= 4001
    assert best.waste == pytest.approx(295 / 4094, abs=0.001)


def test_the_more_has_been_wasted_the_less_a_good_place_is_worth() -> None:
    source = "a " * 1900 + "\n\n" + "b " * 900
    frugal = saw(source).best(0.1)
    assert frugal is not None
    assert frugal.waste < 0.01
    assert saw("a " * 1800 + "\n\nb").early(1.0) is not None
    assert saw("a " * 1800 + "\n\nb").early(0.1) is None


EARLY_CUTS = [
    ("a paragraph", "a " * 1800 + "\n\n", "b", 3602),
    ("too early for a paragraph", "a " * 1700 + "\n\n", "b", None),
    ("a line", "a " * 1860 + "\n", "b", 3721),
    ("too early for a line", "a " * 1800 + "\n", "b", None),
    ("a sentence", "a " * 1960 + "end. ", "b", 3925),
    ("too early for a sentence", "a " * 1860 + "end. ", "b", None),
    ("a line of code", "```\n" + "code\n" * 736 + "code ab\n", "code", 3692),
    ("nothing behind it", "a " * 1800 + "\n\n", "", None),
    ("a heading", "a " * 1860 + "\n# head\n", "b", 3721),
]


@pytest.mark.parametrize(("before", "behind", "place"), [pytest.param(*row[1:], id=row[0]) for row in EARLY_CUTS])
def test_a_part_is_sealed_at_a_good_place_as_soon_as_it_is_passed(before: str, behind: str, place: int | None) -> None:
    layout = Layout(reserve=CURSOR)
    assert layout.advance(before[:-9]) == []
    sealed = layout.advance(before + behind)
    assert [part.upto for part in sealed] == ([] if place is None else [place])


def test_close_to_its_end_only_whole_words_of_a_part_are_shown() -> None:
    layout = Layout(reserve=CURSOR)
    source = "word " * 815 + "and **bold words**"
    for length in range(4030, len(source)):
        assert layout.advance(source[:length]) == []
        assert source[: layout.live.upto].endswith(" ")
        assert layout.live.upto <= 4079


# Formats, live parts, plainer forms


def test_plain_is_the_source_as_it_is() -> None:
    source = "# **a**\n\n```py\n" + code(300) + "```\n- [ ] b <c>"
    parts = laid_out(source, "plain")
    assert re.sub(r"\s+", " ", text(parts)) == re.sub(r"\s+", " ", source)
    assert not any(part.content.entities for part in parts if isinstance(part.content, FormattedText))


def test_a_rich_part_holds_so_many_blocks() -> None:
    parts = laid_out("- a\n" * 1200, "rich")
    assert len(parts) == 5
    assert text(parts).split() == ["a"] * 1200


def test_a_live_part_is_mended_and_a_complete_one_is_not() -> None:
    layout = Layout()
    assert layout.live == Part(FormattedText(""), 0)
    assert layout.advance("a **b") == []
    assert layout.live == Part(FormattedText("a b", (Entity("bold", 2, 1),)), 5)
    assert layout.advance("a **b", complete=True) == []
    assert layout.live == Part(FormattedText("a **b"), 5)


def test_a_live_part_does_not_take_back_what_it_has_shown() -> None:
    layout = Layout()
    layout.advance("a [b")
    assert layout.live.upto == 2
    layout.advance("text\n1. x")
    earlier = layout.live
    assert earlier.upto == 9
    layout.advance("text\n1. x\n-\n```")
    assert layout.live.upto >= 9


def test_a_live_part_keeps_what_the_next_characters_would_hold_back() -> None:
    layout = Layout()
    source = "a " + "b" * 130 + "!"
    layout.advance("see [a](b c")
    layout.advance(source)
    earlier = layout.live
    layout.advance(source + "[")
    assert layout.live == earlier


def test_a_sealed_part_leaves_a_live_one_that_goes_no_further_back() -> None:
    """What was shown before the cut is shown behind it, decided or not."""
    for length in range(4060, 4100, 7):
        source = "x" * 2100 + " " + "y" * (length - 2111) + "\n\n" + "| a | b"
        streamed(source + " |\n|---|---|\n| c | d |\n" + "z " * 60, range(length - 20, length + 50))


def test_the_reserve_is_kept_free_while_live() -> None:
    layout = Layout("plain", reserve=CURSOR)
    assert layout.advance("x" * (MAX_MESSAGE - CURSOR)) == []
    assert layout.advance("x" * MAX_MESSAGE, complete=True) == []
    layout = Layout("plain", reserve=CURSOR)
    assert len(layout.advance("x" * (MAX_MESSAGE - 1))) == 1


def test_blank_parts_are_left_out() -> None:
    for form in FORMATS:
        assert texts("\n \n" * 20_000 + "a" + " \n" * 20_000, form) == ["a" if form != "rich" else "a "]
        assert texts("\u200b" * 10, form) in ([], ["\u200b" * 10 + " "])


def test_an_answer_goes_on_in_another_form() -> None:
    """What is sealed stays, and what was live is laid out anew; it may be more than one message now."""
    source = "**some** words " * 3000
    layout = Layout("rich", reserve=CURSOR)
    sealed = layout.advance(source[:42_000])
    assert [type(part.content) for part in sealed] == [RichText]
    layout.become("entities")
    assert layout.live == Part(FormattedText(""), sealed[0].upto)
    parts = [*layout.advance(source, complete=True), layout.live]
    assert len(parts) > 1
    for part in parts:
        assert isinstance(part.content, FormattedText)
        check(part.content)
    assert text([*sealed, *parts]).split() == ["some", "words"] * 3000


def test_quotation_is_one_that_is_folded_up() -> None:
    layout = Layout("quotation")
    assert layout.advance("Is it\n**so**? 🙂\n") == []
    assert layout.live.content == FormattedText("Is it\n**so**? 🙂", (Entity("expandable_blockquote", 0, 16),))
    [first] = layout.advance("word " * 1000)
    assert isinstance(first.content, FormattedText)
    assert [entity.type for entity in first.content.entities] == ["expandable_blockquote"]
    assert blank(Layout("quotation").live.content)


def test_what_is_plainer() -> None:
    rich = render_rich("**a** `b`")
    assert plainer(rich) == [FormattedText("a b", (Entity("bold", 0, 1), Entity("code", 2, 1)))]
    assert plainer(italic("a")) == [FormattedText("a")]
    assert plainer(FormattedText("a")) == []
    assert plainer(render_rich("")) == []
    long = plainer(render_rich("words " * 1500))
    assert [len(content.text) <= MAX_MESSAGE for content in long] == [True] * 3
    assert " ".join(content.text for content in long).split() == ["words"] * 1500


# The rest of a source


def test_a_lead_takes_an_indentation_away_while_lines_have_it() -> None:
    body = Lead("~~~\n", 2, "~~~").body("  a\n\n    b\n\t c\n d\ne")
    assert body.text == "~~~\na\n\n  b\n\t c\n~~~\nd\ne"


@given(st.text("ab \n\t>-", max_size=60), st.integers(0, 4), st.booleans())
def test_places_of_a_body_are_places_of_its_source(rest: str, indent: int, is_mid_line: bool) -> None:
    body = Lead("> ", indent, is_mid_line=is_mid_line).body(rest)
    origins = [body.origin(place) for place in range(len(body.text) + 1)]
    assert origins == sorted(origins)
    assert origins[-1] == len(rest) or not rest[origins[-1] :].strip(" \t")
    for place in range(2, len(body.text)):
        assert body.text[place] == rest[body.origin(place + 1) - 1]


@given(scraps(), st.data())
def test_a_cut_s_pieces_are_the_source(source: str, data: st.DataObject) -> None:
    """Whatever is put around them, the pieces hold the source, in order."""
    cuts = Cuts(clean(source))
    places = {*cuts.characters(len(source)), *(place for rank in Rank for place in cuts.places(rank, len(source)))}
    if places:
        place = data.draw(st.sampled_from(sorted(places)))
        assert cuts.first_piece(place).startswith(clean(source)[:place].rstrip())
        assert 0 < place <= len(source)
        cuts.lead(place)


FENCED = (
    "Here it is:\n\n```python\n"
    + "".join(f"line_{number} = {number}\n" for number in range(900))
    + "```\n\nThat is **all**."
)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", [0, 5, 40, 6000, len(FENCED) - 30, len(FENCED)])
def test_what_is_not_sealed_is_shown_by_a_later_run_as_it_would_have_been(form: FormatName, place: int) -> None:
    """Also within a block that was begun in an earlier part; and what nobody could see is nothing."""
    source = FENCED[:place]
    layout = Layout(form, reserve=CURSOR)
    sealed = layout.advance(source)
    rest = Layout.resumed(layout.unsealed(source))
    for content in rest:
        check(content)
    shown_by_both = [word for content in (*(part.content for part in sealed), *rest) for word in words(shown(content))]
    assert shown_by_both == [word for part in laid_out(source, form) for word in words(shown(part.content))]
    layout.advance(source, complete=True)
    assert rest[-1:] == ([layout.live.content] if place else [])
