"""Markdown as models write it, read by the parser: the one place that knows what the parser must not see.

Models write Markdown for a chat, and a chat is not a document. Rule 1: what looks like HTML is text
(``List<String>``). Rule 2: there are no reference definitions (``[Note]: done``), so nothing written later changes
what was shown before. Rule 3: one tilde is a tilde (``~5 km``), and an address is no place for emphasis. Such
characters are veiled before parsing, each by a control character of its own, and unveiled in what comes back.

Rule 4: every position is a code point of the text that was given; cleaning and veiling keep its length.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Final, NamedTuple

import pyromark

_PARSER: Final = pyromark.Markdown(
    options=pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_STRIKETHROUGH | pyromark.Options.ENABLE_TASKLISTS
)

# Surrogates are no characters, and neither the parser nor Telegram takes them. The server makes spaces of control
# characters and drops the line separators of Unicode (TDLib, clean_input_string), which would join two words.
_CLEAN: Final = str.maketrans(
    {
        **dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0x2028, 0x2029], " "),
        **dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}"),
    }
)
_LONE_RETURN: Final = re.compile(r"\r(?!\n)")

VEILS: Final = {"<": "\x01", ":": "\x02", "_": "\x03", "*": "\x04", "~": "\x05"}
_UNVEIL: Final = {ord(veil): character for character, veil in VEILS.items()}
_VEILED: Final = re.compile(
    r"""
    \]\([^\s)]*                                     # a destination: control characters would make it none
    | (?P<address> https?://[^\s<>()\[\]`|"']+ (?<![*_~.,;:!?]) )
    | (?<!\\)<
    | (?<=\]):
    | (?<![~\\])~(?!~)
    """,
    re.VERBOSE,
)
_VEILABLE: Final = re.compile(r"[<~\]]|://")
"""Without any of these there is nothing to veil; to look for them takes a tenth of the time."""


def clean(source: str) -> str:
    """The text without what no message can hold, as long as before."""
    return _LONE_RETURN.sub("\n", source.translate(_CLEAN))


def veil(source: str) -> str:
    """The clean text with a control character for each character that the parser must not see."""
    if not _VEILABLE.search(source):
        return source
    return _VEILED.sub(_veiled, source)


def _veiled(match: re.Match[str]) -> str:
    found = match.group()
    if match.group("address"):
        return "".join(VEILS[character] if character in "*_~" else character for character in found)
    return VEILS.get(found, found)


def unveil(text: str) -> str:
    return text.translate(_UNVEIL)


def _as_is(text: str) -> str:
    return text


class Event(NamedTuple):
    """What the parser found between two places of the source.

    ``kind`` is start, end, text, code, break, rule or task. ``name`` is what starts or ends: Paragraph, Heading,
    Fence, Indented (both end as CodeBlock), BlockQuote, List, Item, Table, TableHead, TableRow, TableCell, Strong,
    Emphasis, Strikethrough, Link, Image. ``value`` is the text; a fence's line of information; a link's
    destination; "x" for a task done.
    """

    kind: str
    name: str
    value: str
    start: int
    end: int
    title: str = ""


def parse(source: str, first: int = 0) -> list[Event]:
    """The events of a clean source, in order; of what is at the place ``first``, or behind it."""
    source = source[first:] if first else source
    veiled = veil(source)
    spots = None if veiled.isascii() else _character_starts(veiled)
    reveal = _as_is if veiled == source else unveil
    events: list[Event] = []
    for raw, spot in _PARSER.events_with_range(veiled):
        start, end = spot["start"], spot["end"]
        if spots is not None:
            start, end = bisect_left(spots, start), bisect_left(spots, end)
        start, end = start + first, end + first
        if isinstance(raw, str):
            events.append(Event("rule" if raw == "Rule" else "break", "", "", start, end))
            continue
        ((kind, data),) = raw.items()
        if kind == "Start":
            events.append(_started(data, start, end, reveal))
        elif kind == "End":
            events.append(Event("end", _name(data), "", start, end))
        elif kind == "TaskListMarker":
            # It comes before the paragraph that it stands in, but the parser tells it after the paragraph's start.
            place = len(events) - (events[-1].name == "Paragraph")
            events.insert(place, Event("task", "", "x" if data else "", start, end))
        else:
            events.append(Event("code" if kind == "Code" else "text", "", reveal(str(data)), start, end))
    return events


def _character_starts(text: str) -> list[int]:
    """The places in UTF-8 at which the characters begin."""
    return [place for place, byte in enumerate(text.encode()) if byte & 0xC0 != 0x80]


def _name(tag: object) -> str:
    return str(next(iter(tag))) if isinstance(tag, dict) else str(tag)


def _started(tag: object, start: int, end: int, reveal: Callable[[str], str]) -> Event:
    if not isinstance(tag, dict):
        return Event("start", str(tag), "", start, end)
    ((name, data),) = tag.items()
    if name == "CodeBlock":
        fenced = isinstance(data, dict)
        return Event("start", "Fence" if fenced else "Indented", reveal(data["Fenced"]) if fenced else "", start, end)
    if name in {"Link", "Image"}:
        return Event("start", name, reveal(data["dest_url"]), start, end, reveal(data["title"]))
    return Event("start", name, "", start, end)


class Span(NamedTuple):
    """A block or an inline construct; its content lies from ``inner`` to ``inner_end``, between its own marks."""

    name: str
    value: str
    start: int
    end: int
    inner: int
    inner_end: int

    def holds(self, place: int) -> bool:
        """Whether a cut at the place goes through it."""
        return self.start < place < self.end


INLINE: Final = frozenset({"Strong", "Emphasis", "Strikethrough", "Link", "Image", "Code"})


def spans(source: str, events: list[Event]) -> list[Span]:
    """What the events begin and end, outer before inner."""
    found: list[Span] = []
    opened: list[int] = []
    for event in events:
        if event.kind == "end":
            opened.pop()
            continue
        for index in opened:
            outer = found[index]
            inner = outer.inner if outer.inner_end > outer.start else event.start
            found[index] = outer._replace(inner=inner, inner_end=max(outer.inner_end, event.end))
        if event.kind == "start":
            opened.append(len(found))
            found.append(Span(event.name, event.value, event.start, event.end, event.start, event.start))
        elif event.kind == "code":
            found.append(_code_span(source, event))
    return found


def _code_span(source: str, event: Event) -> Span:
    ticks = len(source[event.start : event.end]) - len(source[event.start : event.end].lstrip("`"))
    return Span("Code", event.value, event.start, event.end, event.start + ticks, event.end - ticks)
