"""The end of a half-written answer: what is shown of it, for each place where a model may stop."""

from __future__ import annotations

import pytest
from documents import Document, documents, scraps
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.markup.markdown import compose, render
from triolet.core.markup.syntax import clean
from triolet.core.markup.tail import HELD_LINE, HELD_LINK, HELD_ROW, OPEN_CODE, glyph_end, mend, mended
from triolet.emulator.entities import check_entities

LONGEST_HELD = HELD_ROW + 100
"""A row, and a fence's first line or a few marks before it."""

# A trailing "…" in the middle column stands for: as written.
ENDS = [
    # What is open is closed
    ("bold", "**bold wor", "**bold wor**"),
    ("italic", "*it", "*it*"),
    ("bold with underscores", "a __b", "a __b__"),
    ("italic with an underscore", "x _i", "x _i_"),
    ("struck", "~~s", "~~s~~"),
    ("code", "`code", "`code`"),
    ("code of two backticks", "``a ` b", "``a ` b``"),
    ("both", "***x", "***x***"),
    ("one in the other", "**a *b", "**a *b***"),
    ("code in bold", "**a `b", "**a `b`**"),
    ("over two lines", "**a\nb", "**a\nb**"),
    ("after a space", "**a ", "**a**"),
    ("after punctuation", "**Note:", "**Note:**"),
    ("in brackets", "(*a", "(*a*"),
    ("after a character of no alphabet", "这是**粗体", "这是**粗体**"),
    ("in a heading", "# **T", "# **T**"),
    ("in a quote", "> **q", "> **q**"),
    ("in an item", "1. **A**: *te", "1. **A**: *te*"),
    ("in the last paragraph of an item", "- **a\n\n  c *d", "- **a\n\n  c *d*"),
    ("behind what is closed", "foo **bar** _baz", "foo **bar** _baz_"),
    ("a bracket in code", "`a [b", "`a [b`"),
    ("nothing within code", "`a *b", "`a *b`"),
    # What looks open and is not
    ("a product", "a*b", "…"),
    ("a product with spaces", "5 * 3", "…"),
    ("a power", "2**8", "…"),
    ("snakes", "snake_case and _", "snake_case and "),
    ("escaped", "a \\*b", "…"),
    ("four stars", "****a", "…"),
    ("in another paragraph", "**a\n\nb", "…"),
    ("in another item", "- **a\n- b", "…"),
    ("in a heading that is over", "# **a\n", "…"),
    ("a paragraph that is over", "**a\n\n", "…"),
    ("a closing mark in what is held back", "*a[b](c*d", "*a*"),
    ("bold of nothing but a link under way", "a **[b", "a "),
    ("a lone backtick long ago", "`" + "a " * OPEN_CODE, "…"),
    ("rows", "|a|b|\n|-|-|\n|**c|d|\n", "…"),
    ("a rule", "***\n", "…"),
    ("indented code", "    *a", "…"),
    # Marks alone wait
    ("two stars", "a **", "a "),
    ("a star", "a *", "a "),
    ("a backtick", "a `", "a "),
    ("half of a closing mark", "**bold*", "**bold**"),
    ("a closing mark", "**bold**", "**bold**"),
    ("closing code", "`a`", "`a`"),
    ("closing code by half", "``a`", "``a``"),
    ("a backslash", "a\\", "a"),
    ("a reference", "AT&am", "AT"),
    ("many stars in a line", "a " + "*" * 30, "…"),
    # Links wait
    ("a label", "see [te", "see "),
    ("a whole label", "see [text]", "see "),
    ("a destination", "see [text](http://inco", "see "),
    ("a title", 'see [text](http://a.b "c d', "see "),
    ("an image", "see ![al", "see !"),
    ("brackets in a label", "[a [b] c](ht", ""),
    ("escaped in a label", "[a \\] c", ""),
    ("bold outside", "**a [b", "**a**"),
    ("bold inside", "a [b **c", "a "),
    ("a whole link", "[a](http://b.c)", "…"),
    ("a citation", "see [1] and", "…"),
    ("no destination", "see [a](no such thing", "…"),
    ("no destination after a bracket", "see [a](<b\nc", "…"),
    ("a long one", "[" + "a" * HELD_LINK, "…"),
    ("one within a long one", "[" + "a" * 100 + " [" + "b" * 50, "[" + "a" * 100 + " "),
    ("as long as it may be", "[" + "a" * (HELD_LINK - 1), ""),
    # Lines wait
    ("a bullet", "- ", ""),
    ("a bullet's mark", "a\n-", "a\n"),
    ("a task", "- [", ""),
    ("a task's mark", "- [x]", ""),
    ("a task with text", "- [ ] a", "…"),
    ("a number", "a\n1", "a\n"),
    ("a numbered item", "a\n12.", "a\n"),
    ("a number in a line", "a 1", "…"),
    ("a heading's mark", "##", ""),
    ("a heading", "## a", "…"),
    ("a quote's mark", "> a\n> ", "> a\n"),
    ("marks in marks", "> - 1. ", ""),
    ("below a heading to be", "a\n==", "a\n"),
    ("a rule to be", "a\n\n---", "a\n\n"),
    ("a line of stars", "a\n\n* *", "a\n\n"),
    ("a long line of dashes", "-" * (HELD_LINE + 1), "…"),
    # Tables wait
    ("a first row", "a\n\n|b|c", "a\n\n"),
    ("a whole first row", "|b|c|\n", ""),
    ("half of a second row", "|b|c|\n|-", ""),
    ("a whole second row", "|b|c|\n|-|-|", ""),
    ("a header", "|b|c|\n|-|-|\n", "…"),
    ("a row", "|b|c|\n|-|-|\n|1", "|b|c|\n|-|-|\n"),
    ("a row without a bar", "b|c\n-|-\n1", "b|c\n-|-\n"),
    ("a whole row", "|b|c|\n|-|-|\n|1|2|\n", "…"),
    ("behind a table", "|b|c|\n|-|-|\n\nd", "…"),
    ("a row in a quote", "> |b|\n> |-|\n> |c", "> |b|\n> |-|\n"),
    ("a long row", "|b|\n|-|\n|" + "c" * HELD_ROW, "…"),
    ("a long first row", "|" + "c" * HELD_ROW, "…"),
    ("no table", "|b|\nc", "…"),
    # Fences
    ("a fence to be", "a\n``", "a\n"),
    ("a fence's first line", "a\n```py", "a\n"),
    ("a fence without code", "a\n```py\n", "a\n"),
    ("a fence of blank code", "a\n```py\n \n", "a\n"),
    ("code in a fence", "```py\nx *y `z [a", "…"),
    ("the end of a fence to be", "```py\nx\n``", "```py\nx\n"),
    ("tildes in a fence", "```py\nx\n~~", "…"),
    ("the end of a fence", "```py\nx\n```", "```py\nx\n"),
    ("a whole fence", "```py\nx\n```\n", "…"),
    ("a fence in an item", "- x\n  ```py\n  co", "…"),
    ("the end of a fence in an item to be", "- x\n  ```py\n  co\n  `", "- x\n  ```py\n  co\n"),
    ("a fence in a quote", "> ~~~\n> a\n> ~", "> ~~~\n> a\n"),
    ("behind a fence", "```\nx\n```\n**a", "```\nx\n```\n**a**"),
    ("a fence below open text", "**a\n```", "**a**"),
    # Characters
    ("a joiner", "👩\u200d", "👩"),
    ("half a pair", "a\ud83d", "a"),
    ("half a flag", "🇩🇪🇫", "🇩🇪"),
    ("flags", "🇩🇪🇫🇷", "…"),
    ("nothing", "", ""),
]


@pytest.mark.parametrize(("source", "shown"), [pytest.param(*row[1:], id=row[0]) for row in ENDS])
def test_what_is_shown_of_it(source: str, shown: str) -> None:
    assert mend(source) == (source if shown == "…" else shown)


@pytest.mark.parametrize(
    ("source", "upto"), [("**a b", 5), ("**a ", 4), ("**a **", 4), ("a [b", 2), ("`a`", 2), ("- ", 0)]
)
def test_how_far_it_is_shown(source: str, upto: int) -> None:
    """Without what is held back, and without what closes it."""
    assert mended(source).upto == upto


def test_a_pair_that_is_whole_is_shown() -> None:
    assert glyph_end("a😀") == 2
    assert glyph_end("a\udc00") == 2


@pytest.mark.case("M1")
@given(scraps())
@example("*a[b](c*")
@example("`a\\")
def test_any_text_can_be_mended(source: str) -> None:
    """What is shown is the beginning of the source, and what closes it; and a message can show that."""
    found = mended(source)
    kept = clean(source)[: found.upto]
    assert found.source == kept or found.source.startswith(kept.rstrip())
    assert set(found.source[len(kept.rstrip()) :].strip()) <= set("*_~`")
    message = render(found.source)
    check_entities(message.text, [entity.to_json() for entity in message.entities])


@pytest.mark.case("M1")
@given(documents(4), st.data())
def test_what_is_shown_of_an_answer_only_grows_at_its_end(document: Document, data: st.DataObject) -> None:
    """Whole blocks stay as they are, whatever follows, and little is held back."""
    source, whole = document.source, compose(document.source)
    place = data.draw(st.integers(0, len(source)), "place")
    found = mended(source[:place])
    blocks = [len("\n\n".join(document.blocks[:number])) for number in range(1, len(document.blocks) + 1)]
    over = max((end for end in blocks if end < found.upto - 2), default=0)
    stable, shown = compose(source[:over]), compose(found.source)
    assert shown.text.startswith(stable.text)
    assert whole.text.startswith(stable.text)
    inner = [entity for entity in stable.entities if entity.type != "blockquote"]
    assert set(inner) <= set(shown.entities)
    assert set(inner) <= set(whole.entities)
    assert place - found.upto <= LONGEST_HELD


@given(documents(3))
def test_nothing_is_closed_that_is_whole(document: Document) -> None:
    """At the end of a document's line only marks are held back."""
    source = document.source + "\n\n"
    assert compose(mend(source)) == compose(source)
