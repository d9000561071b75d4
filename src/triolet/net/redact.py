"""The one place that takes secrets out of text before it is shown, logged or stored.

A secret is known by its characters, in whatever way each of them is written: as itself, percent-encoded (once or
several times, in either case), as an escape of JSON or of ``repr``; and in base64, at each of its three offsets. What
nobody named is known by its shape.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator

MASK = "•••"

_SHAPES = re.compile(
    r"\d{6,12}(?::|%(?:25)*3[Aa])[A-Za-z0-9_-]{30,}"  # a bot's token, wherever it comes from
    r"|\bsk-[A-Za-z0-9_-]{16,}"  # keys of OpenAI, Anthropic and many others
)

_SHORTEST_BASE64 = 12
"""Characters: what is shorter may be a part of anything."""


class Redactor:
    """Masks the given secrets wherever they appear, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        longest_first = sorted(filter(None, secrets), key=len, reverse=True)
        forms = [form for secret in longest_first for form in _forms(secret)]
        self._known = re.compile("|".join(forms)) if forms else None

    def __repr__(self) -> str:
        return "<Redactor>"

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _SHAPES.sub(MASK, text)


def _forms(secret: str) -> Iterator[str]:
    yield "".join(map(_character, secret))
    data = secret.encode("utf-8", "surrogatepass")
    for offset in range(3):
        # The first and the last characters also hold bits of the neighbours.
        text = base64.b64encode(bytes(offset) + data).decode().rstrip("=")
        known = text[(offset * 8 + 5) // 6 : (offset + len(data)) * 8 // 6]
        if len(known) >= _SHORTEST_BASE64:
            yield re.escape(known).replace(r"\+", "[+-]").replace("/", "[/_]")


def _character(char: str) -> str:
    """A pattern for every way in which the character may be written."""
    itself = re.escape(char) if char not in "\\\"'/" else rf"\\*{re.escape(char)}"
    percent = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in char.encode("utf-8", "surrogatepass"))
    escape = rf"\\+(?:x|u00)(?i:{ord(char):02x})" if ord(char) <= 0xFF else rf"\\+u(?i:{ord(char):04x})"
    return f"(?:{itself}|{percent}|{escape})"
