"""The end of a half-written answer, so that what is shown of it is what it will look like.

A model stops anywhere: within a word in bold, a link's address, a table's first row. Rule 1: what is open and can
already be shown is closed, so that it looks as it will (``**bold wor`` is bold). Rule 2: what cannot be decided yet is
held back: the beginning of a fence, a link under way, a marker alone, a table's row. Rule 3: that is little: what
stays undecided for longer is shown as it was written. Rule 4: the text of a code block is shown as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

from triolet.core.markup.syntax import Event, clean, parse
from triolet.core.text import is_blank

HELD_LINK: Final = 120
"""Characters of a link under way that are held back; a longer one is shown as it was written."""

HELD_LINE: Final = 100
HELD_ROW: Final = 400
"""The longest line of markers, and the longest row of a table, that is held back."""

OPEN_CODE: Final = 300
"""Characters after one backtick that are taken for code. Inline code is short; a lone backtick is a slip."""


@attrs.frozen
class Mended:
    """A source that can be shown, which has the first ``upto`` characters of the one it was made of."""

    source: str
    upto: int


def mend(source: str) -> str:
    """What of a half-written source can be shown now."""
    return mended(source).source


def mended(source: str) -> Mended:
    """As `mend`, with how much of the source it shows."""
    text = clean(source[: glyph_end(source)])
    return mended_text(text, parse(text))


def mended_text(text: str, events: list[Event]) -> Mended:
    """As `mended`, of a clean text that ends with a whole glyph, and its events."""
    fence = _open_fence(text, events)
    end = _line_end(text, events) if fence is None else _fence_end(text, fence)
    if fence is not None and end > fence.start:
        return Mended(text[:end], end)
    first = _last_block(text[:end], events)
    kept, closers = _closed(text[first:end], end - first)
    shown = text[:first] + (kept.rstrip() + closers if closers else kept)
    return Mended(shown, first + len(kept))


_JOINING: Final = re.compile(r"(?:\u200d|[\ud800-\udbff])\Z")
_FLAGS: Final = re.compile(r"[\U0001f1e6-\U0001f1ff]+\Z")


def glyph_end(source: str) -> int:
    """The length without half a surrogate pair, a joiner, or half a flag at the end: what follows changes its looks."""
    if _JOINING.search(source):
        return len(source) - 1
    flags = _FLAGS.search(source)
    return len(source) - (len(flags.group()) % 2 if flags else 0)


def _last_block(text: str, events: list[Event]) -> int:
    """The beginning of the line of the last block that is within no other; all before it is decided."""
    depth, start = 0, 0
    for event in events:
        if not depth and event.start < len(text):
            start = event.start
        depth += {"start": 1, "end": -1}.get(event.kind, 0)
    return text.rfind("\n", 0, start) + 1


# Fences

_FENCE: Final = re.compile(r"`{3,}|~{3,}")


def _open_fence(text: str, events: list[Event]) -> Event | None:
    """The fence that nothing has closed at the end of the text."""
    fence = next((event for event in reversed(events) if event.name == "Fence"), None)
    opener = _FENCE.match(text, fence.start) if fence else None
    if fence is None or opener is None or text[fence.end :].strip():
        return None
    _, newline, code = text[fence.start : fence.end].partition("\n")
    last = code[code.rfind("\n") + 1 :].strip(" \t>\r")
    is_closed = newline and last.startswith(opener.group()) and not last.strip(last[0])
    return None if is_closed else fence


def _fence_end(text: str, fence: Event) -> int:
    """Without a last line that begins to close the fence; all of a fence that has no code yet is held back."""
    code = text[fence.start :].partition("\n")[2]
    if is_blank(code):
        return text.rfind("\n", 0, fence.start) + 1
    start = text.rfind("\n") + 1
    last = text[start:].strip(" \t>")
    return start if last and not last.strip(text[fence.start]) else len(text)


# Lines

_PREFIX: Final = r"(?:[ \t]*(?:>|[-*+][ \t]|\d{1,9}[.)][ \t]))*[ \t]*"
_UNDECIDED: Final = re.compile(
    _PREFIX + r"(?:[-*+]|\d{1,9}[.)]?|#{1,6}|[-=_*][-=_* ]*|`{1,2}|~{1,2}|\[[ xX]?\]?|[ \t|:-]*)[ \t]*\Z"
)
_ROW: Final = re.compile(_PREFIX + r"\|")
_DELIMITERS: Final = re.compile(r"[ \t>]*[|:\- \t]*\r?\Z")


def _line_end(text: str, events: list[Event]) -> int:
    """Without a last line that may become something else, nor a table's row, nor its first before the second."""
    start = text.rfind("\n") + 1
    last = text[start:]
    table = next((event for event in reversed(events) if event.name == "Table"), None)
    if table is not None and table.end >= len(text.rstrip()):
        whole = text.count("\n", table.start, start)
        row = start if whole > 1 else text.rfind("\n", 0, table.start) + 1
        return row if last.strip() and len(text) - row <= HELD_ROW else len(text)
    above = text.rfind("\n", 0, max(start - 1, 0)) + 1
    if _ROW.match(text, above, start) and _DELIMITERS.match(last) and len(text) - above <= HELD_ROW:
        return above
    is_undecided = bool(_UNDECIDED.match(last)) and len(last) <= HELD_LINE
    is_row = bool(_ROW.match(last)) and len(last) <= HELD_ROW
    return start if last.strip() and (is_undecided or is_row) else len(text)


# Within a line

_HELD_END: Final = re.compile(r"(?:(?<![*_~`])[*_~`]{1,20}|\\|&#?\w{0,8})\Z")
_MARKS: Final = re.compile(r"\\.|\*+|_+|~~+|`+|\[", re.DOTALL)
_STYLED: Final = {"*", "**", "***", "_", "__", "___", "~~"}
_WORD: Final = re.compile(r"[A-Za-z0-9_]")
_INLINE: Final = {"Strong", "Emphasis", "Strikethrough", "Link", "Image"}
_DESTINATION: Final = re.compile(
    r"""\(\s*(?:<[^<>\n]*>?|[^\s<]\S*)?(?:(?<=\S)\s+(?:"[^"]*"?|'[^']*'?|\([^)]*)?\s*)?\Z"""
)


def _closed(text: str, whole: int) -> tuple[str, str]:
    """What can be shown of the last block, which is ``whole`` characters long, and what closes it."""
    while (held := _HELD_END.search(text)) is not None:
        text = text[: held.start()]
    if not _MARKS.search(text):
        return text, ""
    openers: list[tuple[int, str]] = []
    for place, mark in _literal_marks(text, parse(text)):
        rest = text[place + len(mark) :]
        if mark == "[" and whole - place <= HELD_LINK and _is_link_under_way(text[place:]):
            return _closed(text[:place], whole)
        if mark[0] == "`" and len(rest) <= OPEN_CODE:
            openers.append((place, mark))
            break
        if mark in _STYLED and not rest[:1].isspace() and not _WORD.match(text[max(place - 1, 0) : place]):
            openers.append((place, mark))
    openers = [(place, mark) for place, mark in openers if text[place + len(mark) :].strip()]
    return text, _closers(text.rstrip(), openers)


def _literal_marks(text: str, events: list[Event]) -> Iterator[tuple[int, str]]:
    """The marks that the parser took for text in the last run of text, if that may go on; from left to right."""
    run = _last_run(text, events)
    if not run or re.search(r"\n[ \t>\r]*\n\Z", text):
        return
    literal = {place for event in run if event.kind == "text" for place in range(event.start, event.end)}
    for match in _MARKS.finditer(text, run[0].start):
        if match.start() in literal and match.group()[0] != "\\":
            yield match.start(), match.group()


def _last_run(text: str, events: list[Event]) -> list[Event]:
    """What stands in the last paragraph, heading or item; nothing, if that is a table's, or a heading that is over."""
    run: list[Event] = []
    is_over = True
    for event in events:
        is_block = event.kind == "rule" or (event.kind in {"start", "end"} and event.name not in _INLINE)
        if is_block and event.kind != "end":
            run, is_over = [], event.name == "TableCell"
        elif is_block:
            is_over = True
            run = [] if event.name == "Heading" and text[event.end - 1] == "\n" else run
        else:
            run = [event] if is_over else [*run, event]
            is_over = False
    return run


def _is_link_under_way(text: str) -> bool:
    """Whether what begins with a bracket may still become a link."""
    depth, place = 0, 0
    for match in re.finditer(r"\\.|[\[\]]", text, re.DOTALL):
        depth += {"[": 1, "]": -1}.get(match.group(), 0)
        place = match.end()
        if not depth:
            break
    if depth or place == len(text):
        return True
    return bool(_DESTINATION.match(text, place))


def _closers(text: str, openers: list[tuple[int, str]]) -> str:
    """What closes those of the openers that it closes indeed: text that stays literal gets no more of it."""
    while openers:
        closers = "".join(mark for _, mark in reversed(openers))
        events = parse(text + closers)
        begun = {event.start for event in events if event.name in _INLINE or event.kind == "code"}
        failed = [opener for opener in openers if opener[0] not in begun]
        if not failed:
            is_shown = any(event.kind == "text" and event.end > len(text) for event in events)
            return "" if is_shown else closers
        openers = [opener for opener in openers if opener not in failed]
    return ""
