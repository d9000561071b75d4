"""An answer as the messages that show it: what is sealed never changes, and the last one is live.

Rule 1: every part fits its message. Rule 2: together the parts show every word of the source once, in order. Rule 3:
they are one more at most than it takes. Rule 4: a part never takes back what it has shown while it was live; so one
is sealed at a good place as soon as it has been passed, and close to its end only whole words are shown.
"""

from __future__ import annotations

import attrs

from triolet.core.content import blank
from triolet.core.markup.cutting import Body, Cuts, Lead
from triolet.core.markup.forms import FORMS, FormatName
from triolet.core.markup.saw import EARLY, Cut, Saw
from triolet.core.markup.syntax import clean
from triolet.core.markup.tail import Mended
from triolet.core.text import MESSAGE_LIMIT, Content, FormattedText


@attrs.frozen
class Part:
    """What one message shows of the source, which it shows up to a place: so many characters of it."""

    content: Content
    upto: int


@attrs.frozen
class _Rest:
    """What is not sealed, as far as one message goes. It is ``over`` if it does not fit, or if there is more of it."""

    body: Body
    shown: Mended
    content: Content
    fill: float
    is_over: bool
    is_complete: bool


@attrs.frozen
class Unsealed:
    """What of an answer is in no sealed part: its source, the form that it is shown in, and how it has to be read."""

    form: FormatName
    source: str
    lead: Lead = attrs.Factory(Lead)


class Layout:
    """The parts of one growing answer. ``reserve`` characters stay free in the live part, for a cursor."""

    def __init__(self, format: FormatName = "entities", *, reserve: int = 0) -> None:  # noqa: A002  # the setting's name
        self._name, self._form = format, FORMS[format]
        self._grow = self._form.growing()
        self._reserve = reserve
        self._start = 0
        self._lead = Lead()
        self._slack = 1.0
        self._live = self._blank()

    @property
    def live(self) -> Part:
        """The part that is not sealed; its content may be blank."""
        return self._live

    def become(self, format: FormatName) -> None:  # noqa: A002  # the setting's name
        """Go on in another form behind what is sealed. The live part is blank until `advance` lays it out anew."""
        self._name, self._form = format, FORMS[format]
        self._grow = self._form.growing()
        self._live = self._blank()

    def unsealed(self, text: str) -> Unsealed:
        """What of the answer as it stands is in no part that was sealed."""
        return Unsealed(self._name, text[self._start :], self._lead)

    @classmethod
    def resumed(cls, unsealed: Unsealed) -> list[Content]:
        """All that was not sealed, in as many parts as it takes."""
        layout = cls(unsealed.form)
        layout._lead = unsealed.lead  # its own
        parts = [*layout.advance(unsealed.source, complete=True), layout.live]
        return [part.content for part in parts if not blank(part.content)]

    def advance(self, text: str, *, complete: bool = False) -> list[Part]:
        """Take the answer as it stands, which only grows, and return the parts that are sealed by it, in order.

        With ``complete`` nothing is held back or closed any more, and the last part is `live`.
        """
        reserve = 0 if complete else self._reserve
        sealed: list[Part] = []
        while True:
            rest = self._rest(text, reserve, complete=complete)
            is_easy = not rest.is_over and (rest.is_complete or rest.fill < 1 - max(EARLY.values()))
            saw = None if is_easy else self._saw(rest, reserve)
            part = None if saw is None else self._seal(rest, saw, reserve)
            if part is None:
                self._live = self._shown(rest, saw)
                return [part for part in sealed if not blank(part.content)]
            sealed.append(part)
            self._live = self._blank()

    def _blank(self) -> Part:
        return Part(self._form.show(""), self._start)

    def _rest(self, text: str, reserve: int, *, complete: bool) -> _Rest:
        source = text[self._start : self._start + self._form.window]
        body = self._lead.body(source)
        is_whole = self._start + len(source) == len(text)
        if complete and is_whole:
            shown, content = Mended(body.text, len(body.text)), self._form.show(body.text)
        else:
            shown, content = self._grow(body.text)
        fill = self._form.filled(content, reserve)
        return _Rest(body, shown, content, fill, fill > 1 or not is_whole, complete and is_whole)

    def _saw(self, rest: _Rest, reserve: int) -> Saw:
        cuts = Cuts(rest.shown.source, is_marked=self._form.is_marked)
        end = min(rest.shown.upto, len(rest.shown.source))
        seen = rest.body.place(self._live.upto - self._start)
        return Saw(self._form, cuts, end=end, reserve=reserve, opening=len(self._lead.opening), shown=min(seen, end))

    def _seal(self, rest: _Rest, saw: Saw, reserve: int) -> Part | None:
        """Cut the rest in two, if it must or should be, make the first piece a part, and go on behind it."""
        cut = saw.best(self._slack) if rest.is_over else None if rest.is_complete else saw.early(self._slack)
        if cut is not None:
            return self._cut(rest, saw, cut)
        if not rest.is_over:
            return None
        piece = rest.body.source[: min(self._form.limit, MESSAGE_LIMIT) - reserve]
        self._start, self._lead = self._start + len(piece), Lead()
        return Part(FormattedText(clean(piece)), self._start)  # which nothing can cut, so it is shown as it was written

    def _cut(self, rest: _Rest, saw: Saw, cut: Cut) -> Part:
        through = rest.body.origin(cut.place)
        lead, indent = saw.cuts.lead(cut.place), self._lead.body(rest.body.source[:through]).indent
        self._slack -= min(cut.waste, self._slack)
        self._start += through
        self._lead = attrs.evolve(lead, indent=lead.indent + indent)
        return Part(saw.piece(cut.place), self._start)

    def _shown(self, rest: _Rest, saw: Saw | None) -> Part:
        """The rest as it can be shown now, or what was shown already if that is more."""
        if rest.is_complete:
            return Part(rest.content, self._start + len(rest.body.source))
        place, content = rest.shown.upto, rest.content
        if saw is not None and (careful := saw.careful()) < saw.end:
            place, content = careful, saw.piece(careful)
        upto = self._start + rest.body.origin(place)
        return self._live if upto < self._live.upto else Part(content, upto)


def plainer(content: Content) -> list[FormattedText]:
    """The next plainer form of a message that was refused; nothing, if there is none."""
    if isinstance(content, FormattedText):
        return [content.plain] if content.entities else []
    layout = Layout()
    parts = [*layout.advance(content.source, complete=True), layout.live]
    shown = [part.content for part in parts if not blank(part.content)]
    return [content for content in shown if isinstance(content, FormattedText)]
