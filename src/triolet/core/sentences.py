"""Sentences out of text that streams in, as a speech engine wants them: whole, soon, and not too long.

Rules:

1. A sentence ends behind ``. ! ? …`` and the quotes, brackets and marks that close there, if white space follows;
   behind ``。！？`` whatever follows; and with its line. It is given as soon as that is certain.
2. No end: behind an abbreviation, an initial or the number of a list's item, within inline code, and behind an
   ellipsis or a quotation if a small letter goes on.
3. One that has no end within `LIMIT` characters is cut behind a comma, or else a word, in the second half of them.
4. Blocks of code are skipped, fences and all. Whatever else is in the text, Markdown's marks too, is in one sentence
   and no other, but for the white space around them.
5. How the text is cut into pieces makes no difference, and what is given depends on the text so far alone.
"""

from __future__ import annotations

import re
from typing import Final

LIMIT: Final = 400
"""Characters of the longest sentence."""

_WIDE: Final = "。！？｡"
_QUOTES: Final = "\"'”’»›」』"
_END: Final = re.compile(rf"(?P<mark>[.!?…؟۔।{_WIDE}]++)(?P<closers>[{_QUOTES})\]}}）】》〉*_~]*+)")
_COMMA: Final = re.compile(r"[,;:–—](?=\s)|[，、；：]")
_FENCE: Final = re.compile(
    r"\s*+[ \t>*+\-]{0,20}(?:\d{1,9}[.)])?[ \t>*+\-]{0,20}(?P<fence>`{3,}+(?=[^`]*\Z)|~{3,}+)"  # in a quote, in a list
)

_ITEM: Final = re.compile(r"\W*\d{1,9}")
_WORD: Final = re.compile(r"[\w'’]+\Z")
_TITLES: Final = frozenset(
    [
        *("Mr", "Mrs", "Ms", "Mx", "Dr", "Prof", "St", "Sr", "Jr", "Mt", "Lt", "Sgt", "Capt", "Col", "Gen", "Gov"),
        *("Sen", "Rep", "Rev", "Hon", "Sra", "Srta"),
    ]
)
_ABBREVIATIONS: Final = frozenset(
    [
        *("vs", "etc", "cf", "al", "approx", "dept", "est", "fig", "figs", "vol", "pp", "eq", "inc", "ltd", "corp"),
        *("co", "jan", "feb", "aug", "sept", "oct", "nov", "dec", "bzw", "usw", "ca", "nr", "evtl", "ggf", "vgl"),
        *("bspw", "inkl", "exkl", "sog", "др", "см", "рис", "стр", "тыс"),
    ]
)
"""Those that hardly ever end a sentence, in any case; one of a single letter, or that ends with one, is an initial."""


class Sentences:
    """What one text says, sentence by sentence."""

    def __init__(self) -> None:
        self._line = ""
        """What of the last line belongs to no sentence yet."""
        self._begun = False
        """A sentence of that line is given already."""
        self._fence = ""

    def feed(self, text: str) -> list[str]:
        """Take more of it; returns the sentences that are whole now."""
        *lines, self._line = (self._line + text).split("\n")
        said = [sentence for line in lines for sentence in self._end_line(line)]
        return said + self._read_line()

    def end(self) -> list[str]:
        """The sentences that are whole because nothing more comes."""
        line, self._line = self._line, ""
        return self._end_line(line)

    def _end_line(self, line: str) -> list[str]:
        opener = None if self._begun else _FENCE.match(line)
        self._begun = False
        if self._fence:
            bare = line.strip(" \t\r>")
            if bare.startswith(self._fence) and not bare.strip(self._fence[0]):
                self._fence = ""
            return []
        if opener:
            self._fence = opener["fence"]
            return []
        return _split(line, whole=True)[0]

    def _read_line(self) -> list[str]:
        if self._fence or (not self._begun and _FENCE.match(self._line)):
            return []  # code, or what may be the opening of some: its line's end will tell
        said, self._line = _split(self._line, whole=False)
        self._begun = self._begun or bool(said)
        return said


def _split(line: str, *, whole: bool) -> tuple[list[str], str]:
    """The sentences that certainly end in the line, and the rest of it: nothing if the line is ``whole``."""
    said, rest = [], line.lstrip()
    while rest and (end := _find_end(rest, whole=whole)):
        said.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return said, rest


def _find_end(text: str, *, whole: bool) -> int:
    """Where its first sentence ends; 0 if that is not certain yet."""
    for found in _END.finditer(text, 0, LIMIT):
        ends = _is_end(text, found)
        if ends is None and not whole:
            return 0
        if ends is not False:
            return found.end()
    if len(text) > LIMIT:
        return _find_cut(text)
    return len(text) if whole else 0


def _is_end(text: str, found: re.Match[str]) -> bool | None:
    """Whether a sentence ends there; None if it depends on what follows, and nothing does yet."""
    mark, closers = found["mark"], found["closers"]
    after = text[found.end() : found.end() + 1]
    if after and not (after.isspace() or set(mark) & set(_WIDE)):
        return False
    before = text[: found.start()]
    if before.count("`") % 2 or (mark == "." and _is_short(before)):
        return False
    if "…" in mark or "..." in mark or set(closers) & set(_QUOTES):
        after = text[found.end() :].lstrip()[:1]
        return not after.islower() if after else None
    return True if after else None


def _is_short(before: str) -> bool:
    """Whether a full stop behind that text only shortens a word, or makes a number an item's."""
    found = _WORD.search(before)
    word = found.group() if found else ""
    is_initial = len(word) == 1 and word.isalpha()
    return is_initial or word in _TITLES or word.lower() in _ABBREVIATIONS or bool(_ITEM.fullmatch(before))


def _find_cut(text: str) -> int:
    """Where to cut a sentence that is too long."""
    commas = [found.end() for found in _COMMA.finditer(text, LIMIT // 2, LIMIT + 1) if found.end() <= LIMIT]
    spaces = (place for place in range(LIMIT, LIMIT // 2, -1) if text[place].isspace())
    return commas[-1] if commas else next(spaces, LIMIT)
