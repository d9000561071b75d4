"""Markdown's events written down as a message.

How it reads: rule 1, a line stays a line, and blank lines stay where the source has them, one at a time. Rule 2, lists
keep their own numbers, so that a list goes on in the next message. Rule 3, a table is laid out in columns. Rule 4, a
link that Telegram would not take, or that hides where it leads, shows its destination in brackets. Rule 5, what the
parser passes over, such as cells beyond a table's width, is shown as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, TypeAlias

from triolet.core.markup.columns import laid_out
from triolet.core.markup.paper import Paper
from triolet.core.markup.syntax import Event
from triolet.core.text import is_blank

RULE: Final = "—" * 8

MAX_URL: Final = 2_000
"""A longer address is shown as text: it would take too much of what the entities may weigh."""

_BULLET: Final = "• "
_TASKS: Final = {"x": "☑ ", "": "☐ "}
_STYLES: Final = {"Strong": "bold", "Emphasis": "italic", "Strikethrough": "strikethrough"}

_MARKER: Final = re.compile(r"[ \t]*(?:[-*+]|(\d{1,9}[.)]))")
_WORDS: Final = re.compile(r"[^\s!-/:-@\[-`{-~]")
_LINKABLE: Final = re.compile(r"https?://[^\s/?#]+\.[^\s/?#.]+\S*", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:https?://)?((?:[\w-]+\.)+[^\W\d_]{2,})(?![\w.])", re.IGNORECASE)


def is_linkable(url: str) -> bool:
    """Whether Telegram makes a link of it: a web address with a host that has a dot."""
    return len(url) <= MAX_URL and _LINKABLE.fullmatch(url) is not None


def _is_honest(label: str, url: str) -> bool:
    """Whether the label is no address, or one of the same host."""
    shown = _HOST.match(label)
    return not shown or shown[1].lower() in url.lower()


_Step: TypeAlias = Callable[["Writer", Event], None]


class Writer:
    """Writes the events of a clean source. What lies between two blocks is written when the second begins.

    ``has_skipped`` tells whether the parser passed over words.
    """

    def __init__(self, source: str) -> None:
        self.has_skipped = False
        self._source = source
        self._read = 0  # of the source, everything before is on paper or is syntax
        self._page = self._paper = Paper()  # the paper of a table's cell is another than the page
        self._pending: str | None = ""  # the distance is kept, and this comes before the next block: a list's marker
        self._in_block = False
        self._depth = 0  # of lists
        self._quotes = 0
        self._links: list[tuple[Event, int]] = []  # and where their labels begin
        self._code: list[str] | None = None
        self._information = ""  # of a fence
        self._rows: list[list[str]] = []
        self._in_row = False

    def resumed(self, source: str) -> Writer:
        """Another one that goes on behind the blocks that this one has written, in a source that begins with theirs."""
        writer = Writer(source)
        writer.has_skipped, writer._read, writer._pending = self.has_skipped, len(self._source), self._pending
        writer._page = writer._paper = self._page.copied()
        return writer

    def write(self, events: Sequence[Event]) -> Paper:
        for event in events:
            if event.kind == "start":
                self._pass_to(event.start)
                self._STARTS.get(event.name, Writer._start_style)(self, event)
            elif event.kind == "end":
                self._ENDS.get(event.name, Writer._end_style)(self, event)
            else:
                self._write_leaf(event)
        self._pass_to(len(self._source))
        return self._page

    def _pass_to(self, place: int) -> None:
        """Account for the source before ``place``: it is syntax, unless there are words in it."""
        passed, self._read = self._source[self._read : place], max(self._read, place)
        if not _WORDS.search(passed):
            return
        self.has_skipped = True
        if self._in_row:
            self._rows[-1] += [cell.strip() for cell in passed.split("|") if cell.strip()]
            return
        self._open_block(self._read - len(passed))
        self._paper.write(passed.strip())

    def _write_leaf(self, event: Event) -> None:
        self._pass_to(event.start)
        self._read = max(self._read, event.end)
        if event.kind == "task":
            self._pending = (self._pending or "").removesuffix(_BULLET) + _TASKS[event.value]
        elif event.kind == "rule":
            self._begin(event.start)
            self._paper.write(RULE)
        elif self._code is not None:
            self._code.append(event.value)
        else:
            self._open_block(event.start)
            self._write_text(event)

    def _write_text(self, event: Event) -> None:
        if event.kind == "code":
            self._paper.write_code(event.value)
        else:
            self._paper.write(event.value if event.kind == "text" else "\n" + "  " * self._depth)

    # Blocks

    def _open_block(self, start: int) -> None:
        """Text that is in no paragraph stands in a tight list."""
        if not self._in_block:
            self._begin(start)
            self._in_block = True

    def _begin(self, start: int, *, own_line: bool = False) -> None:
        """Write what comes between this block and the one before, and the list's marker."""
        if self._pending is None:
            self._separate(start)
            self._pending = "" if own_line else "  " * self._depth
        elif own_line and self._pending:
            self._pending = self._pending.rstrip() + "\n"
        self._paper.write(self._pending)
        self._pending = None
        self._in_block = False

    def _separate(self, start: int) -> None:
        line = max(self._source.rfind("\n", 0, start), 0)
        above = self._source[self._source.rfind("\n", 0, line) + 1 : line]
        self._paper.write("\n" if above.strip(" \t>\r") else "\n\n")

    def _flush(self) -> None:
        """The marker of an item without content is written all the same."""
        if self._pending is not None:
            self._pending = self._pending.rstrip()
            self._begin(self._read)
        self._in_block = False

    def _start_paragraph(self, event: Event) -> None:
        self._begin(event.start)
        self._in_block = True

    def _end_paragraph(self, event: Event) -> None:
        self._in_block = False

    def _start_heading(self, event: Event) -> None:
        self._start_paragraph(event)
        self._paper.open("bold")

    def _end_heading(self, event: Event) -> None:
        self._paper.close()
        self._in_block = False

    def _start_quote(self, event: Event) -> None:
        self._begin(event.start)
        self._pending = ""
        self._paper.open("blockquote")  # within itself it adds nothing, as Telegram has it

    def _end_quote(self, event: Event) -> None:
        self._flush()
        self._paper.close()

    def _start_list(self, event: Event) -> None:
        self._depth += 1

    def _end_list(self, event: Event) -> None:
        self._depth -= 1

    def _start_item(self, event: Event) -> None:
        if self._pending is None:
            self._separate(event.start)
            self._pending = "  " * (self._depth - 1)
        marker = _MARKER.match(self._source, event.start)
        self._read = marker.end() if marker else event.start
        self._pending += f"{marker[1]} " if marker and marker[1] else _BULLET
        self._in_block = False

    def _end_item(self, event: Event) -> None:
        self._flush()

    # Code blocks and tables

    def _start_code(self, event: Event) -> None:
        self._begin(event.start, own_line=True)
        self._code, self._information = [], event.value.strip()
        if event.name == "Fence":
            end = self._source.find("\n", event.start)
            self._read = len(self._source) if end < 0 else end

    def _end_code(self, event: Event) -> None:
        """Only the first word of a fence's information is a language; the rest is a line of its own."""
        code, self._code = "".join(self._code or ()).removesuffix("\n"), None
        language, _, rest = self._information.partition(" ")
        if is_blank(code):
            self._paper.write_block(self._information)
            return
        if rest.strip():
            self._paper.write(rest.strip() + "\n")
        self._paper.write_block(code, language or None)

    def _start_table(self, event: Event) -> None:
        self._begin(event.start, own_line=True)
        self._rows = []

    def _end_table(self, event: Event) -> None:
        self._paper.write_block(laid_out(self._rows))

    def _start_row(self, event: Event) -> None:
        self._rows.append([])
        self._in_row = True

    def _end_row(self, event: Event) -> None:
        self._pass_to(event.end)
        self._in_row = False

    def _start_cell(self, event: Event) -> None:
        self._paper, self._in_block = Paper(), True

    def _end_cell(self, event: Event) -> None:
        self._rows[-1].append(self._paper.text)
        self._paper, self._in_block = self._page, False

    # Styles and links

    def _start_style(self, event: Event) -> None:
        self._open_block(event.start)
        self._paper.open(_STYLES[event.name])

    def _end_style(self, event: Event) -> None:
        self._paper.close()

    def _start_link(self, event: Event) -> None:
        self._open_block(event.start)
        is_link = self._paper is self._page and is_linkable(event.value)
        self._paper.open("text_link" if is_link else None, event.value)
        self._links.append((event, self._paper.mark()))

    def _end_link(self, end: Event) -> None:
        """The address of an image within a link is the one thing that is not shown."""
        event, mark = self._links.pop()
        self._read = max(self._read, end.end)
        label = self._paper.since(mark).strip()
        if is_blank(label):
            label = event.value
            self._paper.write(label)
        is_link = self._paper.close()
        if event.value not in {"", label} and not self._links and not (is_link and _is_honest(label, event.value)):
            self._paper.write(f" ({event.value})")
        if event.title not in {"", label}:
            self._paper.write(f" ({event.title})")

    _STARTS: ClassVar[dict[str, _Step]] = {
        "Paragraph": _start_paragraph,
        "Heading": _start_heading,
        "BlockQuote": _start_quote,
        "List": _start_list,
        "Item": _start_item,
        "Fence": _start_code,
        "Indented": _start_code,
        "Table": _start_table,
        "TableHead": _start_row,
        "TableRow": _start_row,
        "TableCell": _start_cell,
        "Link": _start_link,
        "Image": _start_link,
    }
    _ENDS: ClassVar[dict[str, _Step]] = {
        "Paragraph": _end_paragraph,
        "Heading": _end_heading,
        "BlockQuote": _end_quote,
        "List": _end_list,
        "Item": _end_item,
        "CodeBlock": _end_code,
        "Table": _end_table,
        "TableHead": _end_row,
        "TableRow": _end_row,
        "TableCell": _end_cell,
        "Link": _end_link,
        "Image": _end_link,
    }
