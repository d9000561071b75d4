"""Contents, plain and rich: each thing that is done to one is done to both, and looks the same."""

from __future__ import annotations

import pytest

from triolet.core.content import blank, followed, marked, visible_length
from triolet.core.text import Content, Entity, FormattedText, RichText, italic

BOLD = FormattedText("a😀", (Entity("bold", 0, 3),))
RICH = RichText("<p>a &lt; b</p>", "a < b")


@pytest.mark.parametrize(
    ("source", "is_blank", "length"),
    [("", True, 0), (" \n", True, 0), ("\u200b", True, 1), (" ab \n", False, 2), ("a b", False, 3)],
)
def test_what_can_be_seen(source: str, is_blank: bool, length: int) -> None:
    """A rich one is what its source shows, whatever its tags."""
    for content in (FormattedText(source), RichText(f"<p>{source}</p>", source)):
        assert (blank(content), visible_length(content)) == (is_blank, length)


def test_a_rich_content_without_html_is_blank() -> None:
    """Whatever it was made of."""
    assert blank(RichText("", "[](a)"))


MARKED: list[tuple[Content, str, Content]] = [
    (FormattedText("a"), "stopped", FormattedText("a\n\nstopped", (Entity("italic", 3, 7),))),
    (
        BOLD,
        "⏹ a < b",
        FormattedText("a😀\n\n⏹ a < b", (Entity("bold", 0, 3), Entity("italic", 5, 7))),
    ),
    (FormattedText(""), "stopped", italic("stopped")),
    (RICH, "⏹ a < b", RichText("<p>a &lt; b</p><p><i>⏹ a &lt; b</i></p>", "a < b\n\n_⏹ a < b_")),
    (RichText("", ""), "stopped", RichText("<p><i>stopped</i></p>", "_stopped_")),
]


@pytest.mark.parametrize(("content", "mark", "expected"), MARKED)
def test_a_mark_is_an_italic_last_line(content: Content, mark: str, expected: Content) -> None:
    assert marked(content, mark) == expected


@pytest.mark.parametrize("content", [FormattedText(""), FormattedText(" a "), BOLD, RICH, RichText("", "")])
def test_no_mark_and_no_cursor_change_nothing(content: Content) -> None:
    assert marked(content, "") == content
    assert followed(content, "") == content


FOLLOWED: list[tuple[Content, str, Content]] = [
    (FormattedText("a"), " ▉", FormattedText("a ▉")),
    (BOLD, " ▉", FormattedText("a😀 ▉", (Entity("bold", 0, 3),))),
    (RICH, " <", RichText("<p>a &lt; b</p><p>&lt;</p>", "a < b")),
    (RICH, " ", RICH),
]


@pytest.mark.parametrize(("content", "cursor", "expected"), FOLLOWED)
def test_a_cursor_stands_behind_the_text(content: Content, cursor: str, expected: Content) -> None:
    assert followed(content, cursor) == expected
