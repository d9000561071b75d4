"""What of a model's text must never be seen: blocks in tags such as ``<think>``, and an answer that is no answer.

A server without a parser for its model's template leaves reasoning and tool calls in the text, and a prompt may let
the model be silent in so many words. Here all of it is taken out while the text streams in. Rules:

1. A block opens only where a line begins: nothing but white space and other hidden blocks stands before it. In the
   middle of a line a tag is a mention, which is text, and so is the closer that follows a mention in its line.
2. A block ends with its closer; blocks of one name nest, by the same rule. One that never ends hides the rest.
3. A closer of nothing vanishes, and what came before it stays: it may have been shown. A line begins after it.
4. In code nothing is a tag. A span lasts until its run of backticks comes again, or until the line's end; three
   backticks or more that their line does not close are a fence, and so are three tildes that begin a line.
5. An answer that is `SILENCE`, white space aside, is none: it shows nothing, not even for a moment.
6. What is withheld is what may still turn out to be hidden: the beginning of one tag, or that of `SILENCE`. So it is
   short, but for white space, and no text costs more than its length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import Final

import attrs

from triolet.core.text import is_blank

SILENCE: Final = "NO_REPLY"
"""The whole text of an answer that wants to be none."""

_LONGEST_NAME: Final = 50
_SPACE: Final = r"\s{0,9}"
_ATTRIBUTES: Final = r"(?:\s[^<>]{0,99})?"
_END: Final = "(?<!/)>"  # <think/> holds nothing, so it is no block that could swallow the answer


@attrs.frozen
class _Mark:
    """One of a tag's two marks: how it looks, and how what may become one looks."""

    whole: re.Pattern[str]
    begun: re.Pattern[str]

    @classmethod
    def of(cls, *parts: str) -> _Mark:
        begun = "|".join("".join(parts[:count]) for count in range(1, len(parts)))
        return cls(re.compile("".join(parts), re.IGNORECASE), re.compile(begun, re.IGNORECASE))


@attrs.frozen(eq=False)
class Tag:
    """What begins hidden text, and what ends it."""

    first: str
    """The characters that its marks begin with."""
    opener: _Mark
    closer: _Mark


@cache
def parse_tag(written: str) -> Tag:
    """A tag as settings name it: ``name`` for ``<name>`` and ``</name>``, or ``open...close`` for any other pair.

    Case does not matter. In ``<name>`` there may be white space and attributes; a pair is taken literally.

    Raises:
        ValueError: it is neither.
    """
    if "..." in written:
        return _parse_pair(*written.split("...", 1))
    if not re.fullmatch(rf"[^\s<>/]{{1,{_LONGEST_NAME}}}", written):
        raise ValueError("write a tag's name without < > / and spaces, or what begins and ends the text: [A]...[/A]")
    name = [re.escape(character) for character in written]
    opener = _Mark.of("<", _SPACE, *name, _ATTRIBUTES, _END)
    return Tag("<", opener, _Mark.of("<", _SPACE, "/", _SPACE, *name, _ATTRIBUTES, _END))


def _parse_pair(opener: str, closer: str) -> Tag:
    if not all(re.fullmatch(rf"[^\s`~]{{1,{_LONGEST_NAME}}}", mark) for mark in (opener, closer)):
        raise ValueError("write a pair as open...close, without spaces, ` and ~")
    if opener.startswith(closer) or closer.startswith(opener):
        raise ValueError("what opens a pair and what closes it begin alike, so nobody could tell them apart")
    return Tag(opener[0] + closer[0], _Mark.of(*map(re.escape, opener)), _Mark.of(*map(re.escape, closer)))


@cache
def _tokens(first: str) -> re.Pattern[str]:
    """Cuts text into lines' ends, runs of fence characters, characters that may begin a mark, and all between them."""
    return re.compile(rf"(?P<words>[^\n`~{first}]+)|(?P<line>\n)|(?P<run>`+|~+)|(?P<first>.)", re.IGNORECASE)


@attrs.frozen
class _Run:
    """Some of one fence character in a row."""

    character: str
    length: int

    def closes_fence(self, opener: _Run) -> bool:
        return self.character == opener.character and self.length >= opener.length


class _Place:
    """Where in the text we stand: where a line begins, in the middle of one, or in code."""

    def __init__(self) -> None:
        self.at_start = True
        self._run: _Run | None = None
        """The one that we are in or behind."""
        self._code: _Run | None = None
        """The one that opened the code."""
        self._fenced = False
        self._closing = False
        """The line holds nothing but a run that closes the fence."""

    @property
    def in_code(self) -> bool:
        return self._code is not None

    def add_run(self, characters: str) -> None:
        """More backticks or tildes: only what follows them tells how many they are."""
        character, length = characters[0], len(characters)
        if self._run and self._run.character == character:
            self._run = _Run(character, self._run.length + length)
        else:
            self.end_run()
            self._run = _Run(character, length)

    def end_run(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if self._fenced and self._code:
            self._closing = self.at_start and run.closes_fence(self._code)
        elif self._code is None:
            self._code = run if run.character == "`" or (run.length >= 3 and self.at_start) else None
        elif run == self._code and run.character == "`":
            self._code = None
        self.at_start = False

    def add_words(self, words: str) -> None:
        if is_blank(words.replace(">", "") if self._fenced else words):  # a quotation's fence has > before its end
            return
        self.at_start = self._closing = False

    def end_line(self) -> None:
        self._fenced = self._code is not None and self._code.length >= 3 and not self._closing
        if not self._fenced:
            self._code = None
        self.at_start, self._closing = True, False


class _Blocks:
    """Takes tagged blocks out of a text."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._tags = tags
        self._tokens = _tokens("".join(sorted({re.escape(first) for tag in tags for first in tag.first})))
        self._place = _Place()
        self._shown: list[str] = []
        self._held = ""
        self._open: Tag | None = None
        self._depth = 0
        self._mentions: Counter[Tag] = Counter()
        """The openers in this line that are text and whose closers are yet to come."""

    @property
    def rest(self) -> str:
        return "" if self._depth else self._held

    def feed(self, delta: str) -> str:
        text, self._held = self._held + delta, ""
        place = 0
        while place < len(text):
            place = self._read(text, place)
        shown, self._shown = "".join(self._shown), []
        return shown

    def _read(self, text: str, start: int) -> int:
        """Take one step; returns where the next one begins."""
        token = self._tokens.match(text, start)
        assert token is not None  # noqa: S101  # one of its branches takes any character
        words, kind = token[0], token.lastgroup
        if kind == "run" and not self._depth:
            self._place.add_run(words)
        else:
            self._place.end_run()
            if kind == "line":
                self._place.end_line()
                self._mentions.clear()
            elif kind == "first" and not self._place.in_code and (end := self._read_mark(text, start)):
                return end
            else:
                self._place.add_words(words)
        self._show(words)
        return token.end()

    def _read_mark(self, text: str, start: int) -> int:
        """Take a mark, or withhold what may become one; returns where it ends, 0 if there is neither."""
        tags = [self._open] if self._open else self._tags
        marks = [(tag, mark) for tag in tags for mark in (tag.opener, tag.closer)]
        # What is whole first is taken, whatever it could have become: the text's pieces must not make a difference.
        found = [(match.end(), tag, mark) for tag, mark in marks if (match := mark.whole.match(text, start))]
        if found:
            end, tag, mark = min(found, key=itemgetter(0))
            self._meet(tag, text[start:end], closes=mark is tag.closer)
            return end
        if any(mark.begun.fullmatch(text, start) for _, mark in marks):
            self._held = text[start:]
            return len(text)
        return 0

    def _meet(self, tag: Tag, words: str, *, closes: bool) -> None:
        if self._mentions[tag] if closes else not self._place.at_start:
            self._mentions[tag] += -1 if closes else 1
            self._show(words)
            return
        self._depth = max(self._depth + (-1 if closes else 1), 0)
        self._open = tag if self._depth else None
        self._place.at_start = True
        self._mentions.clear()

    def _show(self, words: str) -> None:
        if not self._depth:
            self._shown.append(words)


class Hidden:
    """Gives the visible part of an answer as it streams in; what it has given is never taken back."""

    def __init__(self, tags: Sequence[str] = ()) -> None:
        """``tags`` as `parse_tag` takes them."""
        self._blocks = _Blocks([parse_tag(written) for written in tags])
        self._held: list[str] = []
        """All of the visible text, as long as it may be `SILENCE`."""
        self._matched = 0
        self._may_be_silent = True

    def feed(self, delta: str) -> str:
        """Take more of the answer; returns what of it can be seen, and what was withheld before and is text."""
        text = self._blocks.feed(delta)
        if not self._may_be_silent:
            return text
        self._held.append(text)
        if all(map(self._continues_silence, text)):
            return ""
        self._may_be_silent = False
        return self._take_held()

    def _continues_silence(self, character: str) -> bool:
        if character.isspace() and self._matched in {0, len(SILENCE)}:
            return True
        self._matched += 1
        return SILENCE[self._matched - 1 : self._matched] == character

    def _take_held(self) -> str:
        text, self._held = "".join(self._held), []
        return text

    @property
    def rest(self) -> str:
        """What would have to be given as well if the answer ended here."""
        return "" if self.is_silent else "".join(self._held) + self._blocks.rest

    @property
    def is_silent(self) -> bool:
        """Whether the answer, as far as it goes, is `SILENCE`."""
        return self._may_be_silent and self._matched == len(SILENCE) and not self._blocks.rest
