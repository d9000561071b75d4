"""THE GUEST HOUSE: a Telegram for one bot that lives alone, so that what it says is a second opinion.

It imports no other room: whoever reads the Bot API wrongly twice would find both readings agree. It is stricter
than Telegram wherever Telegram is kind, because a bot should not lean on kindness it cannot see. The core
(`EmulatedTelegram`) is a pure machine: calls and acts come in with a time, and answers, waits and a screen go
out. The shell (`server`, on `http`) puts it on a wire, in memory or TCP.

The rooms within, from the bottom up::

    answers      what a call leads to: Reply, Again, Drop, or a refusal
    text  entities  markup  parameters      what a call may say
    rich_html  rich                         the same of rich messages
    chats  drafts  screen  updates          what there is, what lives a while, what is seen, what waits
    world        all of that together, and the few ways it changes
    sending  methods                        what the bot does
    places  people      what a person does: to chats, and in them
    limits  faults  journal                 what may refuse a call, spoil it, and remember it
    dispatch     the stations every call passes
    telegram     the whole: calls, acts, and views
    http  server  control                   the wire

What is modelled, and where each fact comes from (API: core.telegram.org/bots/api; AI: core.telegram.org/api/bots/ai;
FAQ: core.telegram.org/bots/faq; source: tdlib/telegram-bot-api and tdlib/td; field: measured by bots in the wild):

1.  Updates: sequential ids, acknowledgement by offset, negative offsets, ``allowed_updates`` that persist (API);
    one poll at a time, 24 hours of life, 150 seconds for a button press (source).
2.  Drafts, of text and rich: private chats only, ids that are not 0, "Thinking…" for no text, one per chat and
    topic, 30 seconds of life, ended by any message of the bot (API, AI); TEXTDRAFT_PEER_INVALID (field).
3.  Stop: ``stopped_message_generation`` without a sender (API), its ``draft_id`` a string (field); later drafts
    with that id are ignored (third parties, read in client sources).
4.  Text: 4096 code points after trimming, 32768 bytes before (source, field); entities in UTF-16 (API). Rich
    messages as HTML: their limits (API) and the names of their errors (field), with a parser that is stricter than
    Telegram's, which nobody has seen. They come back as paragraphs and dividers, whatever their blocks were.
5.  Errors: HTTP status and text as the server composes them (source). A text that begins with "Bad Request:
    emulator:" is this house's own objection.
6.  Rates: 20 drafts and actions in 5 s and 40 in 30 s per peer (AI), a message per second in a chat with a short
    burst, 20 a minute in a group, 30 a second over all (FAQ). A call inside a penalty makes it longer; by how
    much, nobody publishes (`limits`, where two harsher profiles say what they assume).
7.  A call has happened, or not, whatever becomes of its answer: a delivered send may lose its response, and a
    client that hangs up does not take a call back.
8.  Groups that become supergroups (API, source), topics that close (TOPIC_CLOSED, inferred), and General: written
    to without a thread id, typed in with one (source, field).
9.  Not known, so a switch: draft life (10 or 30 s), whether an identical repeat refreshes a draft, whether the
    draft id of a Stop is a string, how long the server holds a call back before it says 429, whether it is so old
    that it knows no rich messages.

Not modelled: rich messages as Markdown or blocks, buttons and media in them, other media, widgets, guest and
ephemeral messages, business connections, channels, inline mode, reactions, polls, reply keyboards, quotes, privacy
mode, webhooks, more than one bot, the rights of administrators, entities that the server would detect in the bot's
own text, control characters it would delete. A method that is missing here answers as an older server does, with a
404.
"""

from triolet.emulator.answers import Again, Drop, Reply
from triolet.emulator.chats import GENERAL, BotUser
from triolet.emulator.faults import Delay, Fault, Flood, Refuse, Reset, ServerError
from triolet.emulator.http import App, Exchange, Request, Response, serve_connection
from triolet.emulator.journal import JournalEntry
from triolet.emulator.limits import Bucket, Cooldowns, Limits, Window
from triolet.emulator.places import ImpossibleAct
from triolet.emulator.screen import Button, Change, Screen, ScreenDraft, ScreenMessage
from triolet.emulator.server import TelegramServer, open_telegram_server, serve
from triolet.emulator.telegram import EmulatedTelegram

__all__ = [
    "GENERAL",
    "Again",
    "App",
    "BotUser",
    "Bucket",
    "Button",
    "Change",
    "Cooldowns",
    "Delay",
    "Drop",
    "EmulatedTelegram",
    "Exchange",
    "Fault",
    "Flood",
    "ImpossibleAct",
    "JournalEntry",
    "Limits",
    "Refuse",
    "Reply",
    "Request",
    "Reset",
    "Response",
    "Screen",
    "ScreenDraft",
    "ScreenMessage",
    "ServerError",
    "TelegramServer",
    "Window",
    "open_telegram_server",
    "serve",
    "serve_connection",
]
