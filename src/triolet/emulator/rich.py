"""Rich messages: what one may say, how much of it, and how it is read.

Rule 1: exactly one of html, markdown and blocks says it; only html is modelled.
Rule 2: at most 32,768 characters, 500 blocks, 16 levels, 20 columns of a table.
Rule 3: every block, item of a list and row of a table counts as a block, and so does the text that stands in an
        item, a quotation or the message itself without a block of its own.
Rule 4: a block without text is refused; a message of dividers alone is empty.
Rule 5: where ``skip_entity_detection`` is off, anything like an e-mail address spoils the message.
Rule 6: a thinking block is for drafts.

The numbers are those of "Rich message limits" in core.telegram.org/bots/api; rules 4 and 5 and the names of errors
were seen in the field. What a character is, and what counts as a block, is not known for sure: code points, and the
strictest reading.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs

from triolet.emulator.answers import bad_request, objection
from triolet.emulator.rich_html import BLOCKS, HEADINGS, Element, Node, parse_html
from triolet.emulator.text import Entity, FormattedText

MAX_CHARACTERS = 32_768
MAX_BLOCKS = 500
MAX_COLUMNS = 20

SHAPES = ("html", "markdown", "blocks")
FIELDS: dict[str, type] = {"html": str, "is_rtl": bool, "skip_entity_detection": bool}
FLOWS = frozenset({"", "li", "blockquote", "details"})  # hold blocks, and text where a paragraph is meant
STANDING = BLOCKS | {"summary"}
LEAVES = HEADINGS | {
    "p", "pre", "aside", "footer", "summary", "caption", "tg-math-block", "tg-thinking",
}  # fmt: skip
CELLS = frozenset({"th", "td"})  # may be empty
COUNTED = BLOCKS | {"li", "tr"}
# {block: one of which it has to hold}
NEEDED = {
    "li": BLOCKS,
    "blockquote": BLOCKS,
    "ul": frozenset({"li"}),
    "ol": frozenset({"li"}),
    "table": frozenset({"tr"}),
    "tr": CELLS,
    "details": frozenset({"summary"}),
}
EMAIL = re.compile(r"[\w.+-]@[\w-]+\.\w")


@attrs.frozen
class RichContent:
    """What a rich message says: its HTML, and what a person reads of it.

    Blocks are on lines of their own, items after a bullet, a number or a box, cells between bars. ``blocks`` has
    the text of each block of the message itself, "" for a divider.
    """

    html: str
    blocks: tuple[str, ...]
    is_rtl: bool = False

    @property
    def text(self) -> str:
        return "\n".join(block for block in self.blocks if block)

    @property
    def entities(self) -> tuple[Entity, ...]:
        """None: what is in the text is in the HTML."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """A RichMessage in which every block that has text came out as a paragraph: its kinds are not modelled."""
        blocks = [{"type": "paragraph", "text": text} if text else {"type": "divider"} for text in self.blocks]
        return {"blocks": blocks, **({"is_rtl": True} if self.is_rtl else {})}


Content: TypeAlias = FormattedText | RichContent
"""What a message or a draft says."""


def read_rich(given: dict[str, Any] | None, *, draft: bool = False) -> RichContent:
    """An InputRichMessage as it is understood, or `Refused`."""
    fields = _checked_fields(given or {})
    message = parse_html(fields["html"])
    for element in message.elements():
        _wrap_text(element)
    _check_blocks(message, draft=draft)
    if sum(len(leaf.text()) for leaf in message.elements() if leaf.tag in LEAVES | CELLS) > MAX_CHARACTERS:
        raise bad_request("RICH_MESSAGE_TEXT_TOO_LONG")
    blocks = tuple("\n".join(_lines(block)) for block in _children(message))
    rich = RichContent(fields["html"], blocks, fields.get("is_rtl", False))
    if not fields.get("skip_entity_detection", False) and EMAIL.search(rich.text):
        raise bad_request("RICH_MESSAGE_EMAIL_INVALID")
    return rich


def _checked_fields(given: dict[str, Any]) -> dict[str, Any]:
    shapes = [name for name in SHAPES if name in given]
    if not shapes:
        raise bad_request("rich message must be non-empty")
    if len(shapes) > 1:
        raise objection(f"rich_message: {' and '.join(shapes)} are given together")
    for name, value in given.items():
        if name not in FIELDS:
            raise objection(f"rich_message: the field {name!r} is unknown or not modelled")
        if type(value) is not FIELDS[name]:
            raise objection(f"rich_message.{name} must be {FIELDS[name].__name__}, not {value!r}")
    return given


def _wrap_text(element: Element) -> None:
    """Give the text that stands between blocks, or in their place, a paragraph of its own."""
    if element.tag not in FLOWS:
        return
    children: list[Node] = []
    for stands, nodes in itertools.groupby(element.children, _stands):
        paragraph = Element("p", children=list(nodes))
        if stands:
            children += paragraph.children
        elif paragraph.text():
            children.append(paragraph)
    element.children = children


def _stands(node: Node) -> bool:
    return isinstance(node, Element) and node.tag in STANDING


def _check_blocks(message: Element, *, draft: bool) -> None:
    inner = [element for element in message.elements() if element is not message]
    if all(element.tag == "hr" for element in inner):
        raise bad_request("RICH_MESSAGE_EMPTY")
    if any(_lacks_content(element) for element in inner):
        raise bad_request("RICH_MESSAGE_CONTENT_REQUIRED")
    if sum(element.tag in COUNTED for element in inner) > MAX_BLOCKS:
        raise bad_request("RICH_MESSAGE_BLOCKS_TOO_MANY")
    if any(_columns(element) > MAX_COLUMNS for element in inner if element.tag == "tr"):
        raise bad_request("RICH_MESSAGE_TABLE_COLS_TOO_MANY")
    if not draft and any(element.tag == "tg-thinking" for element in inner):
        raise objection("rich_message: <tg-thinking> is for drafts")


def _lacks_content(element: Element) -> bool:
    needed = NEEDED.get(element.tag)
    if needed is not None:
        return not any(each.tag in needed for each in element.elements() if each is not element)
    return element.tag in LEAVES and not element.text().strip()


def _columns(row: Element) -> int:
    return sum(int(cell.attributes.get("colspan", 1)) for cell in _children(row))


def _lines(block: Element) -> Iterator[str]:
    """A block as a person reads it."""
    match block.tag:
        case "hr":
            return
        case "ul" | "ol":
            yield from _item_lines(block)
        case "tr":
            yield " | ".join(cell.text() for cell in _children(block))
        case tag if tag in LEAVES:
            yield block.text()
        case _:
            for child in _children(block):
                yield from _lines(child)


def _item_lines(block: Element) -> Iterator[str]:
    number, step = int(block.attributes.get("start", 1)), -1 if "reversed" in block.attributes else 1
    for item in _children(block):
        number = int(item.attributes.get("value", number))
        lines = [line for child in _children(item) for line in _lines(child)] or [""]
        yield (item.box or ("• " if block.tag == "ul" else f"{number}. ")) + lines[0]
        yield from lines[1:]
        number += step


def _children(element: Element) -> list[Element]:
    return [child for child in element.children if isinstance(child, Element)]
