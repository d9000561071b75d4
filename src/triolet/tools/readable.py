"""What there is to read in a web page: its title, its text, and where its links lead.

The standard library's parser takes any HTML, broken or not, and never fails. It is fed piece by piece, so that the
one who feeds it can pause; what stands in a tag that is never closed is lost with it.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

_SILENT: Final = {"script", "style", "template", "noscript", "svg"}
_LINES: Final = {"br", "tr", "dt", "dd", "option", "figcaption"}
_BLOCKS: Final = {
    *("p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "form", "table", "figure"),
    *("ul", "ol", "dl", "blockquote", "pre", "hr", "h1", "h2", "h3", "h4", "h5", "h6"),
}
_LONGEST_LINK = 300


class ReadablePage(HTMLParser):
    """Feed it the page at ``url``; ``title`` and ``text`` are what was read so far, ``size`` about how much."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._url = url
        self._titles: list[str] = []
        self._pieces: list[str] = []
        self._silent = ""
        self._in_title = False
        self._link = ""
        self.size = 0

    @property
    def title(self) -> str:
        return " ".join("".join(self._titles).split())

    @property
    def text(self) -> str:
        text = re.sub(r" *\n *", "\n", re.sub(r" {2,}", " ", "".join(self._pieces)))
        return re.sub(r"\n{3,}", "\n\n", text).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent:
            return
        if tag in _SILENT:
            self._silent = tag
        elif tag == "title":
            self._in_title = True
        elif tag == "a":
            self._link = self._target(dict(attrs).get("href") or "")
        elif tag in {"td", "th"}:
            self._add(" ")
        else:
            self._add(_space(tag))

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            self._silent = "" if tag == self._silent else self._silent
        elif tag == "title":
            self._in_title = False
        elif tag == "a" and self._link:
            self._add(f" ({self._link})")
            self._link = ""
        else:
            self._add(_space(tag).removesuffix("- "))

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._titles.append(data)
        elif not self._silent:
            self._add(re.sub(r"\s+", " ", data))

    def _add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.size += len(piece)

    def _target(self, reference: str) -> str:
        """Where a link leads; empty for one that leads to no other page."""
        if not reference or reference.startswith("#"):
            return ""
        try:
            target = urljoin(self._url, reference)
        except ValueError:
            return ""
        return target if target.startswith(("http://", "https://")) and len(target) <= _LONGEST_LINK else ""


def _space(tag: str) -> str:
    """What stands around a tag's text."""
    if tag in _BLOCKS:
        return "\n\n"
    return "\n" if tag in _LINES else "\n- " if tag == "li" else ""
