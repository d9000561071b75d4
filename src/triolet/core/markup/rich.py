"""Markdown as the HTML of a rich message.

`telegramify_markdown.richify` writes it. What it takes for more than text is veiled as in `syntax`: formulas, hidden
text and footnotes; what Telegram would fetch, or would refuse, is undone in the HTML.
"""

from __future__ import annotations

import html
import re
from typing import Final

from triolet.core.markup.syntax import VEILS, Event, veil
from triolet.core.markup.writer import Writer, is_linkable

MAX_DEPTH: Final = 16
MAX_COLUMNS: Final = 20
"""Of a rich message (Bot API, sendRichMessage). Whether only blocks count as levels is not known: all elements do."""

_SYMBOLS: Final = {"$": "\x06", "|": "\x07", "☑": "\x08"}
_UNVEIL_SYMBOLS: Final = {ord(veil): symbol for symbol, veil in _SYMBOLS.items()}
_IMAGE: Final = re.compile(r'<img src="(?P<src>[^"]*)" alt="(?P<alt>[^"]*)"(?: title="[^"]*")?/>')
_LINK: Final = re.compile(r'<a href="(?P<url>[^"]*)">(?P<label>.*?)</a>', re.DOTALL)
_EMPTY_CODE: Final = re.compile(r'<pre>(?:<code class="language-([^"]*)">)?\s*(?:</code>)?</pre>')
_CODE: Final = re.compile(r'<pre><code class="language-(\S+)\s+([^"]*)">')
_EMPTY: Final = re.compile(r"<(p|h\d|li|[uo]l|blockquote|b|i|s|code)(?: start=\"\d+\")?>(?:\s|<br/>)*</\1>")
_TAG: Final = re.compile(r"<(/?)(\w+)[^>]*?(/?)>")


def is_rich(source: str, events: list[Event]) -> bool:
    """Whether a rich message can show all words of a clean source."""
    writer = Writer(source)
    writer.write(events)
    return not writer.has_skipped and _columns(events) <= MAX_COLUMNS


def rich_html(source: str, events: list[Event]) -> str:
    """`richify`, but dollars are no formulas, bars hide nothing, and an image is a link: nothing is fetched."""
    # Imported late: it takes 30 ms, and only whoever chose this format needs it.
    from telegramify_markdown import richify  # noqa: PLC0415

    tables = [event for event in events if event.name == "Table" and event.kind == "start"]
    markup = richify(_literal(veil(source), tables)).html or ""
    for character, mark in VEILS.items():
        markup = markup.replace(mark, html.escape(character))
    return _filled(_relinked(markup.replace("☑", "☐").translate(_UNVEIL_SYMBOLS)))


def depth(markup: str) -> int:
    """How many elements are within each other at most."""
    deepest, level = 0, 0
    for closing, _, alone in _TAG.findall(markup):
        level += -1 if closing else 0 if alone else 1
        deepest = max(deepest, level)
    return deepest


def _filled(markup: str) -> str:
    """Without the elements that have no text, which Telegram refuses; and with one word for a language."""
    markup = _EMPTY_CODE.sub(r"<pre>\1</pre>", markup).replace("<pre></pre>", "")
    markup = _CODE.sub(r'<p>\2</p><pre><code class="language-\1">', markup)
    emptied = 1
    while emptied:
        markup, emptied = _EMPTY.subn("", markup)
    return markup


def _literal(source: str, tables: list[Event]) -> str:
    """Dollars, bars and the sign that `richify` has for a task as text; two bars in a table are an empty cell."""

    def replaced(match: re.Match[str]) -> str:
        if match.group() == "|" and any(table.start < match.start() < table.end for table in tables):
            return " |"
        return _SYMBOLS[match.group()]

    return re.sub(r"[$☑]|(?<=\|)\|", replaced, source)


def _relinked(markup: str) -> str:
    """Images as links, but within a link as their text; a link that Telegram would not take as its text and address."""
    markup = _LINK.sub(lambda link: _IMAGE.sub(lambda image: image["alt"], link.group()), markup)
    markup = _IMAGE.sub(lambda image: f'<a href="{image["src"]}">{image["alt"] or image["src"]}</a>', markup)
    return _LINK.sub(_shown_link, markup)


def _shown_link(link: re.Match[str]) -> str:
    url, label = link["url"], link["label"] if html.unescape(link["label"]).strip() else link["url"]
    if is_linkable(html.unescape(url)):
        return f'<a href="{url}">{label}</a>'
    return label if label == url else f"{label} ({url})"


def _columns(events: list[Event]) -> int:
    """How many cells a row has at most."""
    widest, cells = 0, 0
    for event in events:
        if event.name in {"TableHead", "TableRow"}:
            cells = 0
        cells += event.name == "TableCell" and event.kind == "start"
        widest = max(widest, cells)
    return widest
