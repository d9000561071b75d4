"""What a person may never see, whatever died when: one function for each fault, which tells of each case of it.

What is allowed, and nothing else:

- An answer that is not whole, if the bot says so below it: a line marked ⏸, ⚠ or ↻, or a button that resends, continues
  or answers. One such message speaks for one question. It may have lost its end; a hole only beside a line marked ↻.
- One extra copy of a message, if it is marked ↻, and a process was killed: it may have died when it had written down
  that the call leaves, and not what came of it. The copy may also be the only one.
- The beginning of an answer a second time, if it is marked as broken off: once for each death.
- Text that was on screen for less than `CHECKPOINT` seconds when the process died may have to be said again, and is
  missed only if nobody has said so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain, pairwise, takewhile
from typing import Final, Literal, TypeAlias

import attrs

from triolet.emulator import Change, ScreenMessage

CHECKPOINT: Final = 2.0
"""Seconds that what is on screen may be older than what is on the disk."""

CURSOR: Final = "▉"
REPORTS: Final = ("⏸", "⚠", "↻")
OFFERS: Final = re.compile(r"resend|send again|continue|answer", re.IGNORECASE)
COPY: Final = "↻"
BROKEN: Final = re.compile(r"[⏸⚠✂]|⏹ (?:stopped|interrupted)")
TEMPORARY: Final = ("⏹", "✅ Allow", "🚫 Deny")
"""Buttons that mean something only while an answer is being written."""
COMING: Final = "Here it comes again…"


@attrs.frozen
class Asked:
    """A question, by the message that asked it, and the words of a whole answer to it.

    A command waits for no answer, so its own need not stand ``in_order``.
    """

    chat: int
    message_id: int
    expected: tuple[str, ...]
    in_order: bool = True


@attrs.frozen
class Letter:
    """A message in the bot's own journal."""

    chat: int
    state: str
    growing: bool = False


@attrs.frozen
class Exit:
    """How a process ended, and how it should have; ``seconds`` from its SIGTERM on, of ``most``."""

    code: int
    wanted: int
    seconds: float = 0.0
    most: float = float("inf")


@attrs.frozen(kw_only=True)
class Evidence:
    """All that is left when everything is quiet.

    ``deaths`` are the times of processes that were killed, ``stops`` of those that ended in order, on the clock of
    ``changes``."""

    asked: tuple[Asked, ...] = ()
    messages: Mapping[int, tuple[ScreenMessage, ...]] = attrs.Factory(dict)
    drafts: tuple[int, ...] = ()
    changes: Mapping[int, tuple[Change, ...]] = attrs.Factory(dict)
    deaths: tuple[float, ...] = ()
    stops: tuple[float, ...] = ()
    effects: Mapping[str, int] = attrs.Factory(dict)
    unfinished: tuple[str, ...] = ()
    letters: tuple[Letter, ...] = ()
    integrity: str = "ok"
    exits: tuple[Exit, ...] = ()
    output: str = ""

    def of_bot(self, chat: int | None = None, behind: int = 0) -> list[ScreenMessage]:
        """Its messages below one of the chat's, or all that there are anywhere."""
        shown = self.messages.get(chat, ()) if chat is not None else chain(*self.messages.values())
        return [each for each in shown if each.from_bot and each.id > behind]

    def reports(self, chat: int, behind: int = 0) -> int:
        return sum(is_report(each) for each in self.of_bot(chat, behind))


Judge: TypeAlias = Callable[[Evidence], Iterable[str]]
Kind: TypeAlias = Literal["plain", "copy", "broken"]


def is_report(message: ScreenMessage) -> bool:
    offers = any(OFFERS.search(button.text) for row in message.buttons for button in row)
    return offers or any(mark in message.text for mark in REPORTS)


def kind_of(message: ScreenMessage) -> Kind:
    if COPY in message.text:
        return "copy"
    return "broken" if BROKEN.search(message.text) else "plain"


def has(text: str, word: str) -> bool:
    """Whether the text has the word, or, where it is several, has them as they are."""
    return word in words_in(text) if word.isalnum() else word in text


@lru_cache(maxsize=1000)
def words_in(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


def holding(evidence: Evidence, asked: Asked, word: str) -> list[ScreenMessage]:
    """The bot's messages below the question that have the word."""
    return [each for each in evidence.of_bot(asked.chat, asked.message_id) if has(each.text, word)]


def missing(evidence: Evidence, asked: Asked) -> list[str]:
    return [word for word in asked.expected if not holding(evidence, asked, word)]


def told(asked: Asked) -> str:
    return f"question {asked.message_id} of chat {asked.chat}"


def unanswered(evidence: Evidence) -> Iterator[str]:
    """A question without a whole answer, about which the bot says nothing."""
    for chat in sorted({asked.chat for asked in evidence.asked}):
        lacking = [each for each in evidence.asked if each.chat == chat and missing(evidence, each)]
        for number, each in enumerate(reversed(lacking), start=1):
            if evidence.reports(chat, each.message_id) < number:
                words = missing(evidence, each)
                yield f"{told(each)}: {len(words)} of {len(each.expected)} words are missing, from {words[0]!r} on"


def torn(evidence: Evidence) -> Iterator[str]:
    """An answer with a hole, and nothing that offers to send again what is missing."""
    for asked in evidence.asked:
        lacking = set(missing(evidence, asked))
        there = [number for number, word in enumerate(asked.expected) if word not in lacking]
        holes = [word for word in asked.expected[: max(there, default=0)] if word in lacking]
        if holes and not any(kind_of(each) == "copy" for each in evidence.of_bot(asked.chat, asked.message_id)):
            yield f"{told(asked)}: {len(holes)} words are missing in its middle, from {holes[0]!r} on"


def doubled(evidence: Evidence) -> Iterator[str]:
    """Something that is said twice, beyond a marked copy of what nobody knew the outcome of."""
    for asked in evidence.asked:
        for word in asked.expected:
            count = Counter(map(kind_of, holding(evidence, asked, word)))
            copies, ends = bool(evidence.deaths), len(evidence.deaths) + len(evidence.stops)
            if count["plain"] > 1 or count["copy"] > copies or count["broken"] > ends:
                yield f"{told(asked)}: {word!r} is there {count['plain']} times, and {count['copy']} as a copy"
                break


def orphaned(evidence: Evidence) -> Iterator[str]:
    """A message that waits for what never comes: a cursor, a placeholder, a beginning that nothing follows or marks."""
    for chat in sorted(evidence.messages):
        for message in evidence.of_bot(chat):
            if is_placeholder(message):
                yield f"message {message.id} of chat {chat} is a placeholder: {message.text[-60:]!r}"
    for asked in evidence.asked:
        yield from _broken_off(evidence, asked)


def is_placeholder(message: ScreenMessage) -> bool:
    text = message.text.strip()
    waits = CURSOR in text or text in {"", "Thinking…"} or text.startswith("⏳") or text.endswith(COMING)
    return waits or any(button.text.startswith(TEMPORARY) for row in message.buttons for button in row)


def _broken_off(evidence: Evidence, asked: Asked) -> Iterator[str]:
    below = evidence.of_bot(asked.chat, asked.message_id)
    with_words = [place for place, each in enumerate(below) if any(has(each.text, word) for word in asked.expected)]
    if not with_words or asked.expected[-1] not in missing(evidence, asked):
        return
    rest = takewhile(lambda each: not _is_of_others(evidence, asked, each), below[with_words[-1] :])
    if not any(map(is_report, rest)):
        yield f"{told(asked)}: message {below[with_words[-1]].id} breaks off without a mark"


def _is_of_others(evidence: Evidence, asked: Asked, message: ScreenMessage) -> bool:
    """Whether it answers another question of the chat."""
    others = [each for each in evidence.asked if each.chat == asked.chat and each is not asked]
    return any(has(message.text, word) for each in others for word in each.expected)


def disordered(evidence: Evidence) -> Iterator[str]:
    """An answer above that to an earlier question, or one whose words are out of order."""
    for chat in sorted({asked.chat for asked in evidence.asked}):
        places: list[tuple[int, int, str]] = []
        for asked in sorted(evidence.asked, key=lambda each: each.message_id):
            if asked.chat != chat or not asked.in_order:
                continue
            places += [_place(evidence, asked, word) for word in asked.expected if holding(evidence, asked, word)]
        for before, behind in pairwise(places):
            if before[:2] >= behind[:2]:
                yield f"chat {chat}: {behind[2]!r} stands above {before[2]!r}"
                break


def _place(evidence: Evidence, asked: Asked, word: str) -> tuple[int, int, str]:
    """Where the word stands for good: a beginning that was broken off counts only if there is no more of it."""
    order: list[Kind] = ["plain", "copy", "broken"]
    message = min(holding(evidence, asked, word), key=lambda each: order.index(kind_of(each)))
    found = re.search(rf"\b{re.escape(word)}(?!\w)", message.text)
    return message.id, found.start() if found else 0, word


def drafts_left(evidence: Evidence) -> Iterator[str]:
    """A draft that lives though nobody writes any more."""
    return (f"chat {chat} has a draft" for chat in evidence.drafts)


def unseen(evidence: Evidence) -> Iterator[str]:
    """Text that a person had seen in a message before a process ended, and that is gone."""
    for asked in evidence.asked:
        lost = [word for word in _seen_before(evidence, asked) if not holding(evidence, asked, word)]
        if lost:
            yield f"{told(asked)}: {len(lost)} words were on screen and are gone, from {lost[0]!r} on"


def _seen_before(evidence: Evidence, asked: Asked) -> list[str]:
    """The words that were shown long enough before the end of the process that showed them."""
    ends = sorted([(death, CHECKPOINT) for death in evidence.deaths] + [(stop, 0.0) for stop in evidence.stops])
    seen: set[str] = set()
    for change in evidence.changes.get(asked.chat, ()):
        end = next(((at, least) for at, least in ends if at >= change.at), None)
        if end is not None and end[0] - change.at >= end[1] and change.from_bot and change.kind in {"message", "edit"}:
            seen |= words_in(change.text)
    return [word for word in asked.expected if word in seen]


def effects_repeated(evidence: Evidence) -> Iterator[str]:
    """A tool that changes something, and has been run more than once."""
    return (f"{name} ran {count} times" for name, count in evidence.effects.items() if count > 1)


def unfinished(evidence: Evidence) -> Iterator[str]:
    """An update or an answer that the database still takes for open."""
    return iter(evidence.unfinished)


def uncertain(evidence: Evidence) -> Iterator[str]:
    """A message of which the bot does not know whether it was delivered, and does not say so."""
    return _untold(evidence, "uncertain")


def undelivered(evidence: Evidence) -> Iterator[str]:
    """A message that is still on its way, or was given up without a word. What only grew is judged by the screen."""
    for letter in evidence.letters:
        if letter.state in {"pending", "sending"} and not letter.growing:
            yield f"a letter to chat {letter.chat} is {letter.state}"
    yield from _untold(evidence, "dead")


def _untold(evidence: Evidence, state: str) -> Iterator[str]:
    count = Counter(letter.chat for letter in evidence.letters if letter.state == state)
    for chat, letters in count.items():
        if evidence.reports(chat) < letters:
            yield f"chat {chat}: {letters} letters are {state}, and {evidence.reports(chat)} messages say so"


def crashed(evidence: Evidence) -> Iterator[str]:
    """A process that ends otherwise than it should, or too late, or says that something broke."""
    for each in evidence.exits:
        if each.code != each.wanted:
            yield f"a process ended with {each.code} instead of {each.wanted}"
        elif each.seconds > each.most:
            yield f"a process took {each.seconds:.1f} s to end"
    if "Traceback" in evidence.output:
        yield "there is a traceback: " + evidence.output[evidence.output.index("Traceback") :].strip()[-300:]


def corrupt(evidence: Evidence) -> Iterator[str]:
    """A database that is broken."""
    if evidence.integrity != "ok":
        yield evidence.integrity


JUDGES: Final[Mapping[str, Judge]] = {
    "unanswered": unanswered,
    "torn": torn,
    "doubled": doubled,
    "orphaned": orphaned,
    "disordered": disordered,
    "draft left": drafts_left,
    "unseen": unseen,
    "effects repeated": effects_repeated,
    "unfinished": unfinished,
    "uncertain": uncertain,
    "undelivered": undelivered,
    "crashed": crashed,
    "corrupt": corrupt,
}


def judge(evidence: Evidence) -> dict[str, list[str]]:
    """Every fault that there is, by its name."""
    found = {name: list(each(evidence)) for name, each in JUDGES.items()}
    return {name: faults for name, faults in found.items() if faults}
