"""A source that grows looks as the whole would, at every moment; and what is decided is not read again."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.markup.growing import Growing
from triolet.core.markup.markdown import MAX_SOURCE, compose
from triolet.core.markup.tail import mended

PIECES = [
    "word ", "**bold** ", "*it* ", "~~s~~", "`c`", "\\", "&amp;", "<b>", "1", "-", "x", "👍", "🇩", "🇪", "\ud83d",
    "[l](http://a.bc)", "[x]: y\n", "http://x.yz/_a_", "\n", "\n\n", "\r\n", "\r", "\u2029", "\t", "    indented\n",
    "\n  para\n", "\n   ", "- item\n", "* star\n", "+ p\n", "1. one\n", "2. ", "10. ten\n11. b\n12. c\n",
    "  - nested\n", "- x\n- y\n- z **b**\n",
    "\n\n- l\n\n- m\n", "a\n- b\n", "x\n2. y\n", "- [ ] t\n", "  more\n", "> quote\n",
    "# Head\n", "---\n", "===\n", "| a | b |\n", "|---|---|\n", "| 1 | 2 |\n", "```py\ncode\n\n", "```\n", "~~~\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30))
@example([" 10. ten\n", "11. b\n", "\n\n", "1. one\n", "x\n\n"])
def test_it_looks_as_the_whole_does(pieces: list[str]) -> None:
    show, source = Growing(), ""
    for piece in pieces:
        source += piece
        whole = mended(source)
        assert show(source) == (whole, compose(whole.source))


@given(st.lists(st.sampled_from(PIECES), max_size=10), st.lists(st.sampled_from(PIECES), max_size=10))
def test_another_source_is_shown_as_well(pieces: list[str], others: list[str]) -> None:
    show = Growing()
    for source in ("".join(pieces), "".join(others)):
        whole = mended(source)
        assert show(source) == (whole, compose(whole.source))


def test_a_source_that_is_too_long_is_shown_as_it_is() -> None:
    source = "**word** " * (MAX_SOURCE // 9 + 1)
    assert Growing()(source) == (mended(source), compose(mended(source).source))


@pytest.mark.parametrize("piece", ["A paragraph of **words**.\n\n", "- An item of `words`.\n", "# Head\ntext\n"])
def test_what_is_decided_is_not_read_again(piece: str) -> None:
    """However long the answer, a frame reads a few blocks."""
    show = Growing()
    for number in range(1, 60):
        show(piece * number)
        assert len(piece) * number - show.kept <= 3 * len(piece)
