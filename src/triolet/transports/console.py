"""The console as a screen: the answer is written as it comes; a line that turns out otherwise is written again."""

from __future__ import annotations

import math
from collections.abc import Callable

from triolet.core.calls import Keyboard, Place
from triolet.core.coalescer import Frame, Prompt, Reasoning, Segment
from triolet.core.commands import StreamMode
from triolet.core.text import FormattedText, is_blank
from triolet.transports.latest import Latest
from triolet.transports.terminal import Terminal

PROMPT = "\n› "


class ConsoleTransport:
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._written = ""

    async def run(self, latest: Latest) -> None:
        while True:
            frame = latest.take_frame()
            self._grow(_whole(frame))
            await latest.wait_newer(frame, math.inf)

    def snapshot(self, frame: Frame) -> None:
        """A terminal outlives no crash."""

    def commit(self, frame: Frame, mark: str, keyboard: Keyboard = (), *, quiet: bool = False) -> None:
        self._grow("\n\n".join(part for part in (_whole(frame), mark) if part))
        self._terminal.write("\n" + PROMPT)

    def drop_keyboard(self) -> None:
        """There are no buttons in a terminal."""

    def shows_draft(self, draft_id: int) -> bool:
        return False

    def shows_message(self, message_id: int) -> bool:
        return False

    def _grow(self, text: str) -> None:
        """Write what is new; what differs from its pieces, as a whole text may, from its line on."""
        if text.startswith(self._written):
            self._terminal.write(text[len(self._written) :])
        else:
            pairs = enumerate(zip(text, self._written, strict=False))
            changed = next((place for place, (new, old) in pairs if new != old), len(text))
            self._terminal.write("\n" + text[text.rfind("\n", 0, changed) + 1 :])
        self._written = text


def _whole(frame: Frame) -> str:
    """All segments of the answer."""
    live: Segment = frame.text if is_blank(frame.reasoning) else Reasoning(frame.reasoning)
    return "\n\n".join(filter(None, map(_shown, (*frame.before, live))))


def _shown(segment: Segment) -> str:
    if isinstance(segment, Reasoning):
        return "│ " + segment.text.strip().replace("\n", "\n│ ")
    if isinstance(segment, Prompt):
        return f"{segment.text}\n/allow or /deny?"
    return segment.strip()


class ConsoleScreen:
    """One person's terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def open_transport(
        self,
        place: Place,
        *,
        mode: StreamMode,
        button: str,
        turn: int | None = None,
        sealed: Callable[[], object] = lambda: None,
    ) -> ConsoleTransport:
        return ConsoleTransport(self._terminal)

    def notify(self, place: Place, message: FormattedText, keyboard: Keyboard = ()) -> None:
        self._terminal.write(message.text + "\n" + PROMPT)

    def resend(self, letter: int) -> None:
        """What is written to a terminal is there."""

    def note_message(self, place: Place) -> None:
        """Lines have no numbers."""

    def answer_press(self, query_id: str, text: str) -> None:
        """There are no buttons in a terminal."""
