"""THE PORCH: a bot that streams a language model's answer into a Telegram chat while it is being written.

Every answer is a trio of tasks in one nursery: one listens to the model, one owns the text, one shows it. Whatever
ends the answer ends the nursery, and the text stays. The rooms, from the street down to the ground; imports go
down only, and rooms of one floor do not know each other::

    __main__.py  python -m triolet
    cli.py       THE FRONT DOOR        commands, exit codes, the first and the last word
    app/         THE LIVING ROOM       supervisor, conversation, turn: who answers whom, and what ends it
    transports/  THE WINDOWS           an answer as it is seen: drafts, edits, a terminal

    providers/   THE INTAKE            models and their APIs, as one stream of events
    telegram/    THE POST OFFICE       the Bot API: its client, the updates, the outbox with the budget
    tools/       THE BENCH             what a model may call, and where it is run
    store/       THE CELLAR            what is still there after a crash

    net/         THE DRAINS            connections that a cancel leaves whole; secrets are filtered out here
    observe/     THE WINDOW SILL       who looks on without touching
    config/      THE HOUSE RULES       settings, and where each may be set

    core/        THE WORKSHOP          every decision, as a pure machine: time comes in, commands go out
    errors.py    what may go wrong, one class for each reaction to it

    testing/     THE PROVING GROUND    any Trio program, struck at every point; knows Trio and nobody else
    emulator/    THE GUEST HOUSE       a Bot API of its own; it asks nobody here, so it is a second opinion

Begin with `app.turn`, the picture of the whole, then go down: what the turn does is decided in `core`, seen through
`transports`, and sent by `telegram.outbox`. ``tests/test_architecture.py`` holds this map to the house.
"""

__version__ = "0.1.0"
