"""Markdown documents as models write them, for properties: each with the words that a reader must find.

A word is one of a kind ("w17"), and carries what is easily lost: brackets, bars, signs, marks, other scripts. The
words of a document are known from its making; nothing here asks a parser.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Final

import attrs
from hypothesis import strategies as st

DRESSES: Final = (
    *("w{}", "w{}.", "w{}!", "«w{}»", "(w{})", "w{},", "w{}:", "w{};", "w{}?", "[w{}]", "w{}_x", "w{}-", "w{}/y"),
    *("w{}<T>", "<w{}>", "</w{}>", "<!--w{}-->", "w{}||", "$w{}$", "~w{}", "w{}&co", "#w{}", "@w{}", "w{}%", "w{}="),
    *("😀w{}", "w{}👩\u200d🚀", "w{}e\u0301", "שלוםw{}", "словоw{}", "語w{}", "w{}\u200b", '"w{}"', "w{}'s", "w{}…"),
    *("https://example.org/w{}_a_b", "w{}" + "x" * 90),
)
BARE: Final = ("w{}", "w{}.", "w{}<T>", "w{}😀", "$w{}", "w{}e\u0301", "שלוםw{}", "w{}" + "y" * 40)
"""For places where one sign more would be Markdown: code, tables, what is emphasised."""

_WORD: Final = re.compile(r"w\d+")


@attrs.frozen
class Document:
    """``words`` are as dressed in the source, in order."""

    blocks: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def source(self) -> str:
        return "\n\n".join(self.blocks)


def words(text: str) -> list[str]:
    """The numbered words of a text, in order and undressed."""
    return _WORD.findall(text)


def unseen(text: str, wanted: tuple[str, ...]) -> str | None:
    """The first of the words that does not follow the one before it in the text; None is what one hopes for."""
    place = 0
    for word in wanted:
        found = text.find(word, place)
        if found < 0:
            return word
        place = found + len(word)
    return None


class _Pen:
    """Writes words, each with its own number."""

    def __init__(self, first_dress: int) -> None:
        self._numbers = count(1)
        self._dress = first_dress
        self.written: list[str] = []

    def words(self, amount: int, dresses: tuple[str, ...] = DRESSES) -> str:
        self._dress += 1
        chosen = [
            dresses[(self._dress + 7 * step) % len(dresses)].format(next(self._numbers)) for step in range(amount)
        ]
        self.written += chosen
        return " ".join(chosen)

    def lines(self, amount: int, prefix: str, dresses: tuple[str, ...] = DRESSES) -> list[str]:
        return [prefix + self.words(1 + step % 4, dresses) for step in range(amount)]


_INLINE: Final = ("{}", "{}", "**{}**", "*{}*", "_{}_", "~~{}~~", "`{}`", "[{}](https://example.org/a_b*c)", "***{}***")
_LANGUAGES: Final = ("", "py", "c++")
_FENCES: Final = ("```", "~~~", "````")


def _text(draw: st.DrawFn, pen: _Pen) -> str:
    """One line of text: plain, with a marked piece here and there."""
    pieces = []
    for form in draw(st.lists(st.sampled_from(_INLINE), min_size=1, max_size=4)):
        plain = form == "{}"
        pieces.append(form.format(pen.words(draw(st.sampled_from((1, 3, 30))), DRESSES if plain else BARE)))
    return "and " + " ".join(pieces)


def _paragraph(draw: st.DrawFn, pen: _Pen) -> str:
    return "\n".join(_text(draw, pen) for _ in range(draw(st.integers(1, 3))))


def _heading(draw: st.DrawFn, pen: _Pen) -> str:
    return "#" * draw(st.integers(1, 6)) + " " + pen.words(3, BARE)


def _setext(draw: st.DrawFn, pen: _Pen) -> str:
    return pen.words(3, BARE) + "\n" + draw(st.sampled_from(("===", "---")))


def _list(draw: st.DrawFn, pen: _Pen) -> str:
    mark = draw(st.sampled_from(("- ", "* ", "1. ", "7) ", "- [ ] ", "- [x] ")))
    depths = draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
    items = [" " * 4 * min(depth, number) + mark + _text(draw, pen) for number, depth in enumerate(depths)]
    return ("\n\n" if draw(st.booleans()) else "\n").join(items)


def _quote(draw: st.DrawFn, pen: _Pen) -> str:
    return "\n".join("> " + _text(draw, pen) for _ in range(draw(st.integers(1, 4))))


def _fence(draw: st.DrawFn, pen: _Pen, indent: str = "") -> str:
    fence = draw(st.sampled_from(_FENCES))
    lines = pen.lines(draw(st.sampled_from((1, 3, 150))), indent + " " * draw(st.sampled_from((0, 2, 5))), BARE)
    return "\n".join([indent + fence + draw(st.sampled_from(_LANGUAGES)), *lines, indent + fence])


def _fence_in_item(draw: st.DrawFn, pen: _Pen) -> str:
    return f"1. {pen.words(2)}\n{_fence(draw, pen, '   ')}\n   {pen.words(1)}"


def _fence_in_quote(draw: st.DrawFn, pen: _Pen) -> str:
    return "\n".join("> " + line for line in _fence(draw, pen).split("\n"))


def _table(draw: st.DrawFn, pen: _Pen) -> str:
    width = draw(st.integers(2, 4))
    height = draw(st.sampled_from((1, 3, 60)))
    rows = ["| " + " | ".join(pen.words(1, BARE) for _ in range(width)) + " |" for _ in range(height)]
    return "\n".join([rows[0], "|" + "---|" * width, *rows[1:]])


def _indented(draw: st.DrawFn, pen: _Pen) -> str:
    """Below a line of text: two such blocks, one after the other, would be one."""
    above = "and " + pen.words(1)
    return "\n".join([above, "", *pen.lines(draw(st.sampled_from((1, 100))), "    ", BARE)])


_BLOCKS: Final = (
    *(_paragraph, _paragraph, _heading, _setext, _list, _quote, _fence, _fence_in_item, _fence_in_quote, _table),
    _indented,
)


@st.composite
def documents(draw: st.DrawFn, blocks: int = 8) -> Document:
    """A document of some blocks; of one message or of several."""
    pen = _Pen(draw(st.integers(0, len(DRESSES))))
    kinds = draw(st.lists(st.sampled_from(_BLOCKS), min_size=1, max_size=blocks))
    return Document(tuple(kind(draw, pen) for kind in kinds), tuple(pen.written))


SCRAPS: Final = (
    *(
        "word",
        "x",
        "**",
        "*",
        "_",
        "__",
        "`",
        "``",
        "```",
        "~~",
        "~",
        "[",
        "](",
        "](http://a.bc)",
        "](<a b>)",
        ")",
        "!",
    ),
    *(
        "<",
        ">",
        "<b>",
        "</b>",
        "<!-- ",
        "-->",
        "\n",
        "\n\n",
        "\n    ",
        "\n  ",
        "\n- ",
        "\n1. ",
        "\n> ",
        "\n# ",
        "\n---\n",
    ),
    *("\n===\n", "|", "||", "\n|a|b|\n|-|-|\n", "\n|", "\\", "&lt;", "&", "é", "😀", "\u200d", "\u0301", "א", "\u202e"),
    *(
        "\ud800",
        "\x00",
        "\x01",
        "\x05",
        "\r\n",
        "\r",
        "\t",
        " ",
        "  ",
        ":",
        "]:",
        "[n]: y",
        "$",
        "\n```py\n",
        "\n~~~\n",
    ),
    *("- [ ] ", "http://x.yz/_z_", '"', "'", "(", ".", "5 * 3", "snake_case", "\n<div>\n", "\u2028", "🇩"),
)
"""What a text is put together from that nobody would write."""


def scraps() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(SCRAPS), max_size=25).map("".join) | st.text(max_size=60)
