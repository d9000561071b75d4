"""Every exception that somebody catches, one class for each reaction.

::

    TrioletError
    ├ ConfigError            fix your file or command       .path .key
    ├ StartError             the program cannot begin       .exit_code
    │ └ StoreError           the disk or the database refuses: go on without, try again
    ├ ProviderError          the answer failed; tell the chat
    │ ├ ProviderUnavailable  the same request may work later    .retry_after
    │ └ ProviderRejected     the same request never will        .status
    │   └ ContextTooLong     a shorter history might
    ├ ToolError              a tool cannot do what it was asked; tell the model
    ├ TelegramError          a Bot API call was refused     .method .code .description
    │ ├ TooManyRequests      wait                           .retry_after
    │ ├ Unauthorized         the token is wrong: stop
    │ └ Conflict             another poller or a webhook has the updates
    ├ TelegramUnreachable    nothing was sent: safe to repeat
    ├ TelegramOutcomeUnknown it may have happened: never repeat a send blindly
    └ RemoteProtocolError    a peer broke its own protocol

Messages say what happened, where, and what to do; they never hold a secret.
"""

from __future__ import annotations

import enum
from pathlib import Path


class ExitCode(enum.IntEnum):
    """What the process says when it ends; README has the same table."""

    DONE = 0
    SYSTEM = 1
    USAGE = 2
    TOKEN = 3
    UNREACHABLE = 4
    CONFLICT = 5
    DATABASE = 6
    NO_ANSWER = 7
    INTERRUPTED = 130


class TrioletError(Exception):
    """The base of all of the above."""


class ConfigError(TrioletError):
    """A setting is missing, mistyped or contradictory; ``key`` is dotted, as in ``telegram.token``."""

    def __init__(self, message: str, *, path: Path | None = None, key: str = "") -> None:
        where = ": ".join(part for part in (str(path) if path else "", key) if part)
        super().__init__(f"{where}: {message}" if where else message)
        self.path = path
        self.key = key


class StartError(TrioletError):
    """The program cannot start or go on; ``exit_code`` is what the process ends with."""

    def __init__(self, message: str, *, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StoreError(StartError):
    """The disk or the database refuses. At the start it is the end; later it passes, or an operator mends it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=ExitCode.DATABASE)


class ProviderError(TrioletError):
    """A model's answer failed; the message is fit to be shown in the chat."""


class ProviderUnavailable(ProviderError):
    """The provider is down, overloaded or silent; ``retry_after`` is in seconds where it named a time."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderRejected(ProviderError):
    """The provider understood the request and refused it; ``status`` is the HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class ContextTooLong(ProviderRejected):
    """The request holds more tokens than the model takes; nothing was said yet."""


class ToolError(TrioletError):
    """A tool cannot do what it was asked; the message is for the model, and holds no secret."""


class TelegramError(TrioletError):
    """The Bot API answered ``ok: false``; ``description`` is its own text.

    ``migrate_to`` is the id of the supergroup that the group has become.
    """

    def __init__(self, method: str, code: int, description: str, *, migrate_to: int | None = None) -> None:
        super().__init__(f"{method}: {code} {description}")
        self.method = method
        self.code = code
        self.description = description
        self.migrate_to = migrate_to


class TooManyRequests(TelegramError):
    """The Bot API asked for ``retry_after`` seconds without calls to that chat."""

    def __init__(self, method: str, description: str, *, retry_after: float) -> None:
        super().__init__(method, 429, description)
        self.retry_after = retry_after


class Unauthorized(TelegramError):
    """The token is revoked (401) or malformed (404)."""


class Conflict(TelegramError):
    """Another process polls with this token, or a webhook is set (409)."""


class TelegramUnreachable(TrioletError):
    """The request never left: no connection could be made."""


class TelegramOutcomeUnknown(TrioletError):
    """The request left and no usable answer came: it may have been carried out."""


class RemoteProtocolError(TrioletError):
    """A peer's bytes make no sense; the message names the place and the value."""
