"""What a person sees of a growing message: the painter on a pseudo-terminal, read by a terminal emulator."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import attrs
import pyte
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from triolet.app.painter import Painter, styled
from triolet.transports.terminal import Terminal, rows

COLUMNS, LINES = 20, 12


@attrs.frozen
class Glass:
    """A screen of its own, and what a program wrote on it."""

    screen: pyte.Screen
    stream: pyte.ByteStream
    terminal: Terminal
    reading: int

    def lines(self) -> list[str]:
        os.set_blocking(self.reading, False)
        try:
            while data := os.read(self.reading, 65536):
                self.stream.feed(data)
        except BlockingIOError:
            pass
        shown = [line.rstrip() for line in self.screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown


@contextmanager
def open_glass() -> Iterator[Glass]:
    reading, writing = os.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, LINES)
    with ExitStack() as stack:
        stack.callback(os.close, reading)
        output = stack.enter_context(open(writing, "w", encoding="utf-8"))  # noqa: PTH123  # a descriptor
        yield Glass(screen, pyte.ByteStream(screen), Terminal(writing, output), reading)


def seen(*texts: str) -> list[str]:
    with open_glass() as glass:
        painter = Painter(glass.terminal, "bot › ")
        for text in texts:
            painter.show(text)
        return glass.lines()


@pytest.mark.parametrize(
    "texts",
    [
        ("Thinking…", "Hello"),
        ("Hello", "Hello, world"),
        ("one\ntwo", "one\ntwo\nthree"),
        ("a | b\n1 | 2", "a   | b\n1   | 2\n333 | 4"),
        ("x" * 30, "x" * 29 + "y" + "z" * 20),
        ("first\n" + "w" * 50 + "\nlast", "first\nshort"),
        ("語" * 15 + "a", "語" * 15 + "b"),
        ("**bo", "bo"),
    ],
)
def test_screen_shows_the_last_text_and_nothing_of_the_ones_before(texts: tuple[str, ...]) -> None:
    assert seen(*texts) == seen(texts[-1])


@given(st.lists(st.text(alphabet="ab \n", max_size=60), min_size=1, max_size=6))
def test_any_row_of_texts_ends_with_the_last(texts: list[str]) -> None:
    assume(all(rows(f"bot › {text}", COLUMNS) <= LINES for text in texts))
    assert seen(*texts) == seen(texts[-1])


def test_what_is_above_the_screen_is_written_anew() -> None:
    old, new = "\n".join(map(str, range(40))), "\n".join(["x", *map(str, range(1, 40))])
    assert seen(old, new)[-5:] == ["35", "36", "37", "38", "39"]


def test_styles_are_seen_and_carry_no_control_characters() -> None:
    with open_glass() as glass:
        painter = Painter(glass.terminal, "")
        painter.show("a bold\x1b[2J b", [{"type": "bold", "offset": 2, "length": 4}])
        assert glass.lines() == ["a bold[2J b"]
        assert [glass.screen.buffer[0][column].bold for column in range(8)] == [False] * 2 + [True] * 4 + [False] * 2


def test_pieces_are_cut_where_a_style_changes() -> None:
    entities = [
        {"type": "bold", "offset": 3, "length": 4},
        {"type": "italic", "offset": 5, "length": 2},
        {"type": "mention", "offset": 0, "length": 2},
    ]
    assert list(styled("😀 abcd e", entities, 0)) == [("😀", ""), (" ", ""), ("ab", "1"), ("cd", "1;3"), (" e", "")]
    assert list(styled("😀 abcd e", entities, 4)) == [("cd", "1;3"), (" e", "")]


@pytest.mark.parametrize(
    ("text", "count"), [("", 1), ("x" * 20, 1), ("x" * 21, 2), ("語" * 11, 2), ("e\u0301" * 20, 1), ("a\n\nb", 3)]
)
def test_rows(text: str, count: int) -> None:
    assert rows(text, 20) == count
