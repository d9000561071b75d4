"""The one place that takes secrets out of text before it is shown, logged or stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

MASK = "•••"

_SHAPES = re.compile(
    r"\d{6,12}:[A-Za-z0-9_-]{30,}"  # a bot's token, wherever it comes from
    r"|\bsk-[A-Za-z0-9_-]{16,}"  # keys of OpenAI, Anthropic and many others
)


class Redactor:
    """Masks the given secrets wherever they appear, as they are or percent-encoded, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""))}
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _SHAPES.sub(MASK, text)
