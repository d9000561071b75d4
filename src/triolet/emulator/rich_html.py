"""The HTML of rich messages as a tree, and what of it this emulator takes.

Rule 1: every element that is opened is closed, in order; only br, hr and input stand alone.
Rule 2: an element holds what its block or text of the Bot API can hold (`HOLDS`), has no attributes but its own
        (`ATTRIBUTES`), and lies at most 16 elements deep.
Rule 3: an & begins one of the entities that the Bot API names, or a number; a < begins an element.

Nobody outside Telegram has its parser. It drops elements that it does not know with their text, and ignores
attributes; here these are refused, because a renderer that relies on that loses what it was given. How Telegram
counts levels is not known either: counting every element is the strictest reading.

Elements and blocks are from the classes RichBlock* and RichText* in core.telegram.org/bots/api; that broken HTML is
RICH_MESSAGE_HTML_INVALID was seen in the field.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NoReturn, TypeAlias

import attrs

from triolet.emulator.answers import Refused, bad_request, objection

MAX_DEPTH = 16

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
BLOCKS = HEADINGS | {
    "p", "pre", "blockquote", "ul", "ol", "table", "hr", "details", "aside", "footer", "tg-math-block", "tg-thinking",
}  # fmt: skip
INLINE = frozenset({
    "b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "mark", "sub", "sup", "span", "tg-spoiler",
    "a", "tg-emoji", "tg-time", "tg-math", "tg-reference", "br",
})  # fmt: skip
UNMODELLED = frozenset({
    "img", "figure", "figcaption", "video", "audio", "tg-document", "tg-map", "tg-collage", "tg-slideshow",
    "tg-button", "tg-button-row",
})  # fmt: skip
VOID = frozenset({"br", "hr", "input"})
NOTHING: frozenset[str] = frozenset()

# {element: the elements that it may hold}; the whole message is an element without a name
HOLDS: dict[str, frozenset[str]] = {
    "": BLOCKS | INLINE,
    **dict.fromkeys(INLINE, INLINE),
    **dict.fromkeys(BLOCKS, INLINE),
    **dict.fromkeys(("summary", "caption", "cite", "th", "td"), INLINE),
    **dict.fromkeys(("code", "tg-emoji", "tg-math", "tg-math-block", "br", "hr", "input"), NOTHING),
    "pre": frozenset({"code"}),
    "aside": INLINE | {"cite"},
    "blockquote": BLOCKS | INLINE | {"cite"},
    "details": BLOCKS | INLINE | {"summary"},
    "ul": frozenset({"li"}),
    "ol": frozenset({"li"}),
    "li": BLOCKS | INLINE | {"input"},
    "table": frozenset({"caption", "thead", "tbody", "tr"}),
    "thead": frozenset({"tr"}),
    "tbody": frozenset({"tr"}),
    "tr": frozenset({"th", "td"}),
}
TEXTLESS = frozenset({"ul", "ol", "table", "thead", "tbody", "tr"})

NUMBER, WORD, FLAG = r"-?\d{1,9}", r"\S+", r""
CELL = {"align": "left|center|right", "valign": "top|middle|bottom", "colspan": r"\d{1,3}", "rowspan": r"\d{1,3}"}
# {element: {attribute: what its whole value must match}}
ATTRIBUTES: dict[str, dict[str, str]] = {
    "a": {"href": r"(?:(?:https?|tg)://|mailto:|tel:|#)\S+", "name": WORD},
    "code": {"class": r"language-\S+"},
    "span": {"class": "tg-spoiler"},
    "tg-emoji": {"emoji-id": r"\d+"},
    "tg-time": {"unix": NUMBER, "format": r".+"},
    "tg-reference": {"name": WORD},
    "ol": {"start": NUMBER, "type": "[1aAiI]", "reversed": FLAG},
    "li": {"value": NUMBER, "type": "[1aAiI]"},
    "input": {"type": "checkbox", "checked": FLAG},
    "table": {"bordered": FLAG, "striped": FLAG, "compact": FLAG},
    "th": CELL,
    "td": CELL,
    "details": {"open": FLAG},
    "blockquote": {"collapsed": FLAG},
}
REQUIRED = {"span": "class", "tg-emoji": "emoji-id", "tg-time": "unix", "tg-reference": "name", "input": "type"}

ENTITIES = ["lt", "gt", "amp", "quot", "apos", "nbsp", "hellip", "mdash", "ndash", "lsquo", "rsquo", "ldquo", "rdquo"]
LOOSE_AMPERSAND = re.compile(rf"&(?!(?:#\d{{1,7}}|#[xX][0-9a-fA-F]{{1,6}}|{'|'.join(ENTITIES)});)")
SPACES = re.compile(r"[ \t\r\n\f]+")
BREAK = "\v"  # what a br is until spaces have been joined


@attrs.define(eq=False)
class Element:
    """One element with what it holds; a list's item has a ``box`` where it is a task."""

    tag: str
    attributes: dict[str, str] = attrs.field(factory=dict)
    children: list[Node] = attrs.field(factory=list)
    box: str = ""

    def elements(self) -> Iterator[Element]:
        """Itself and everything in it, in the order of the source."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.elements()

    def text(self) -> str:
        """What a person reads of it, where it holds nothing but text."""
        raw = "".join(_raw(self.children))
        if self.tag == "pre":
            return raw.strip("\n")
        return re.sub(rf" ?{BREAK} ?", "\n", SPACES.sub(" ", raw)).strip(" \n")


Node: TypeAlias = "Element | str"


def _raw(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif node.tag in {"br", "cite"}:
            yield BREAK
            yield from _raw(node.children)
        else:
            yield from _raw(node.children)


def parse_html(source: str) -> Element:
    """The message as an element without a name, or `Refused`."""
    if not source:
        raise invalid()
    if LOOSE_AMPERSAND.search(source):
        raise objection("rich_message: an & that begins no entity that rich messages know")
    reader = _Reader()
    reader.feed(source)
    reader.finish()
    return reader.opened[0]


def invalid() -> Refused:
    return bad_request("RICH_MESSAGE_HTML_INVALID")


class _Reader(HTMLParser):
    """Builds the tree while the source is fed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.opened = [Element("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        parent = self.opened[-1]
        _check_place(tag, parent.tag)
        if tag == "a" and any(outer.tag == "a" for outer in self.opened):
            raise objection("rich_message: <a> inside <a>")
        if len(self.opened) > MAX_DEPTH:
            raise bad_request("RICH_MESSAGE_DEPTH_INVALID")
        element = Element(tag, _checked_attributes(tag, parent.tag, attrs))
        if tag == "input":
            parent.box = "☑ " if "checked" in element.attributes else "☐ "
            return
        parent.children.append(element)
        if tag not in VOID:
            self.opened.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID and tag in HOLDS:
            raise invalid()
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.opened[-1].tag != tag:
            raise invalid()
        self.opened.pop()

    def handle_data(self, data: str) -> None:
        if "<" in data:
            raise invalid()
        self._add(data)

    def handle_entityref(self, name: str) -> None:
        self._add(html.unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        self.handle_entityref(f"#{name}")

    def handle_comment(self, data: str) -> NoReturn:
        raise objection("rich_message: a comment is no text")

    def handle_decl(self, decl: str) -> NoReturn:
        self.handle_comment(decl)

    def handle_pi(self, data: str) -> NoReturn:
        self.handle_comment(data)

    def unknown_decl(self, data: str) -> NoReturn:
        self.handle_comment(data)

    def _add(self, text: str) -> None:
        parent = self.opened[-1]
        if parent.tag in TEXTLESS and text.strip():
            raise objection(f"rich_message: text in <{parent.tag}>")
        parent.children.append(text)

    def finish(self) -> None:
        """The source is over: nothing may be half read, or open."""
        if self.rawdata or len(self.opened) > 1:
            raise invalid()


def _check_place(tag: str, parent: str) -> None:
    if tag in UNMODELLED:
        raise objection(f"rich_message: <{tag}> is not modelled")
    if tag not in HOLDS:
        raise objection(f"rich_message: <{tag}> is no element of rich messages, Telegram would drop it")
    if tag not in HOLDS[parent]:
        raise objection(f"rich_message: <{tag}> inside {f'<{parent}>' if parent else 'no element'}")


def _checked_attributes(tag: str, parent: str, given: list[tuple[str, str | None]]) -> dict[str, str]:
    # a language belongs to a block of code
    known = ATTRIBUTES.get(tag, {}) if tag != "code" or parent == "pre" else {}
    values = {name: value or "" for name, value in given}
    for name, value in values.items():
        if name not in known:
            raise objection(f"rich_message: <{tag}> has no attribute {name!r}")
        if not re.fullmatch(known[name], value):
            raise objection(f"rich_message: {name}={value!r} in <{tag}>")
    if (tag in REQUIRED and REQUIRED[tag] not in values) or (tag == "a" and not values):
        raise objection(f"rich_message: <{tag}> lacks an attribute")
    return values
