"""A person at a terminal, or a pipe: lines and keys in, text out, on Trio.

Rules:

1. Reading waits in Trio, not in a thread, wherever the system can tell that input is there; a regular file is always
   there.
2. What a model says is data: control characters, which could rewrite the screen, are never written.
3. A program that wants Ctrl-C for itself takes the terminal's foreground, because a parent such as tox would answer
   the same Ctrl-C by killing it.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import select
import signal
import sys
import unicodedata
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import trio

try:
    import termios
    import tty
except ImportError:  # no such terminals on this system: keys come with their line
    HAS_KEYS = False
else:
    HAS_KEYS = True

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _standard_input() -> int:
    """Python has none where the shell closed it, as ``<&-`` does."""
    return os.open(os.devnull, os.O_RDONLY) if sys.stdin is None else sys.stdin.fileno()


def _standard_output() -> TextIO:
    """What the terminal's encoding cannot write becomes a question mark."""
    if sys.stdout is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return sys.stdout


class Terminal:
    """Standard input and output, or any other pair."""

    def __init__(self, source: int | None = None, output: TextIO | None = None) -> None:
        self._source = _standard_input() if source is None else source
        self._output = output or _standard_output()
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""
        self._ended = False

    @property
    def is_interactive(self) -> bool:
        """Whether a person sits at both ends."""
        return os.isatty(self._source) and self._output.isatty()

    @property
    def has_keys(self) -> bool:
        return HAS_KEYS and self.is_interactive

    def write(self, text: str) -> None:
        """Write text of anybody's, made harmless, at once."""
        self._put(_CONTROL.sub("", text))

    def write_styled(self, pieces: Iterable[tuple[str, str]]) -> None:
        """Write text of anybody's in pieces, each with its style (ECMA-48's SGR parameters), where styles are seen."""
        shown = [(_CONTROL.sub("", text), style if self.is_interactive else "") for text, style in pieces]
        self._put("".join(f"\x1b[{style}m{text}\x1b[m" if style else text for text, style in shown))

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines; a terminal that does not know gets the usual ones."""
        size = os.get_terminal_size(self._output.fileno())
        return size if size.columns and size.lines else os.terminal_size((80, 24))

    def erase(self, text: str) -> bool:
        """Take away what was written last, from the beginning of its line; False where it is out of reach."""
        count = rows(text, self.size.columns) if self.is_interactive else 0
        if not 0 < count <= self.size.lines:
            return False
        self._put((f"\x1b[{count - 1}A" if count > 1 else "") + "\r\x1b[J")
        return True

    def _put(self, text: str) -> None:
        try:
            self._output.write(text)
            self._output.flush()
        except BrokenPipeError:  # nobody reads any more, which is no reason to fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._output.fileno())

    async def lines(self) -> AsyncIterator[str]:
        """Every line, without its end, until the input ends."""
        while (line := await self.read_line()) is not None:
            yield line

    async def read_line(self) -> str | None:
        """The next line, or None when the input has ended."""
        while "\n" not in self._pending and not self._ended:
            await self._fill()
        if not self._pending:
            return None
        line, _, self._pending = self._pending.partition("\n")
        return line.rstrip("\r")

    async def read_key(self) -> str:
        """The next key, within `keys`; empty when the input has ended."""
        while not self._pending and not self._ended:
            await self._fill()
        key, self._pending = self._pending[:1], self._pending[1:]
        return key

    @property
    def typed_ahead(self) -> str:
        """What `read_line` will return first, as far as it has come; with its end, if that has."""
        line, end, _ = self._pending.partition("\n")
        return line + end

    @contextmanager
    def keys(self) -> Iterator[None]:
        """Within: keys come as they are pressed, and are not shown. What was typed on is dropped at the end.

        What was typed before is no keys: it stays for `read_line`.
        """
        before = termios.tcgetattr(self._source)
        tty.setcbreak(self._source, termios.TCSANOW)
        self._take_waiting()
        ahead, self._pending = self._pending, ""
        went_on = signal.signal(signal.SIGCONT, self._go_on_with_keys)
        try:
            yield
        finally:
            signal.signal(signal.SIGCONT, went_on)
            termios.tcsetattr(self._source, termios.TCSAFLUSH, before)
            self._pending = ahead

    def _take_waiting(self) -> None:
        """Read what is there, even a line without its end, which the terminal gives away only now."""
        while not self._ended and select.select([self._source], [], [], 0)[0]:
            self._read()

    def _go_on_with_keys(self, *_: object) -> None:
        """The shell that lets us go on has made the terminal its own meanwhile; if it still is, we leave it alone."""
        if self._foreground_group() == os.getpgrp():
            tty.setcbreak(self._source, termios.TCSANOW)

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """Within: Ctrl-C is ours alone, and not our parent's too (rule 3)."""
        owner = self._foreground_group() if self.has_keys else None
        if owner is None:
            yield
            return
        kept = {each: signal.getsignal(each) for each in (signal.SIGTTOU, signal.SIGTSTP)}
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            if os.getpgrp() != os.getpid() and os.getsid(0) != os.getpid():
                os.setpgid(0, 0)
                signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # no shell knows of our group, to let it go on
            os.tcsetpgrp(self._source, os.getpgrp())
            yield
        finally:
            os.tcsetpgrp(self._source, owner)
            for each, disposition in kept.items():
                signal.signal(each, disposition)

    def _foreground_group(self) -> int | None:
        """Whose Ctrl-C it is; None where the terminal is not the one that controls us."""
        try:
            return os.tcgetpgrp(self._source)
        except OSError:
            return None

    async def _fill(self) -> None:
        await self._wait_readable()
        self._read()

    def _read(self) -> None:
        data = os.read(self._source, 65536)
        self._ended = not data
        self._pending += self._decode.decode(data, final=not data)

    async def _wait_readable(self) -> None:
        try:
            await trio.lowlevel.wait_readable(self._source)
        except OSError:
            await trio.lowlevel.checkpoint()  # a regular file: never waits


def rows(text: str, width: int) -> int:
    """How many rows of a terminal the text takes."""
    return sum(max(1, -(-_cells(line) // width)) for line in text.split("\n"))


def _cells(line: str) -> int:
    """How wide a line is; characters of the East are twice as wide, and marks have no width of their own."""
    wide = sum(unicodedata.east_asian_width(character) in {"W", "F"} for character in line)
    return len(line) + wide - sum(unicodedata.combining(character) > 0 for character in line)
