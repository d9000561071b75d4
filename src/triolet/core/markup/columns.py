"""A table laid out in columns for a font of one width."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

WIDEST: Final = 30
"""No column is padded to more: one long cell would blow up all rows."""


def laid_out(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines, with a rule below the first; a first row without text is left out, and so is its rule."""
    columns = [[cell or "" for cell in column] for column in zip_longest(*rows)]
    widths = [min(max(map(width, column)), WIDEST) for column in columns]
    lines = [" | ".join(map(_padded, row, widths)).rstrip() for row in zip_longest(*columns, fillvalue="")]
    if not any(rows[0]):
        return "\n".join(lines[1:])
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def width(text: str) -> int:
    """How many columns the text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_width_of(character) for character in text)


def _width_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _padded(cell: str, size: int) -> str:
    return cell + " " * (size - width(cell))
