"""What a message shows, whatever its format: the few things that are done to it without a look inside."""

from __future__ import annotations

import html
import re

from triolet.core.text import Content, FormattedText, RichText, is_blank, italic, join


def blank(content: Content) -> bool:
    """Whether nothing of it can be seen."""
    return is_blank(_shown(content))


def visible_length(content: Content) -> int:
    """About how many characters can be seen of it."""
    return len(_shown(content).strip())


def _shown(content: Content) -> str:
    return re.sub(r"<[^>]*>", "", content.html) if isinstance(content, RichText) else content.text


def marked(content: Content, mark: str) -> Content:
    """The content with an italic last line, unless the mark is empty."""
    if not mark:
        return content
    if isinstance(content, RichText):
        return RichText(f"{content.html}<p><i>{html.escape(mark)}</i></p>", f"{content.source}\n\n_{mark}_".strip())
    return join([content, italic(mark)])


def followed(content: Content, cursor: str) -> Content:
    """The content with a cursor behind its last character, or in a rich message below it."""
    if isinstance(content, RichText):
        shown = html.escape(cursor.strip())
        return RichText(content.html + (f"<p>{shown}</p>" if shown else ""), content.source)
    return FormattedText(content.text + cursor, content.entities)
