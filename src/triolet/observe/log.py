"""Logging: one line an event, dotted names, values as fields, secrets masked, no message text.

Everything goes to standard error, and all of it passes one mask when it is text already: a secret may hide in a list,
in an object's ``repr`` or in a traceback. That holds for our own events, for libraries' records, for warnings, and
for errors that nobody caught. Libraries that log request URLs (httpx and httpx2 at INFO write the bot's token with
them) are held at WARNING besides.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, TextIO, TypeAlias, cast

import structlog

from triolet.net.redact import Redactor

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

_LOUD = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic", "hpack", "h2")


def configure(*, secrets: Iterable[str] = (), level: Level = "info") -> None:
    """Set up logging for the whole process; ``secrets`` are masked wherever they appear."""
    redact = Redactor(secrets)
    output = _Output()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            _masked(structlog.dev.ConsoleRenderer(colors=output.isatty(), pad_event_to=0), redact),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", output)),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_MaskingOutput(redact, output)], force=True)
    logging.captureWarnings(True)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    _mask_uncaught_errors(redact, output)


class _Output:
    """Standard error, or nothing where it is closed; a log that nobody can read stops nothing."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # full, closed, or never there
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()


def _masked(render: structlog.dev.ConsoleRenderer, redact: Redactor) -> structlog.typing.Processor:
    def render_masked(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        return redact(render(logger, method, event))

    return render_masked


class _MaskingOutput(logging.StreamHandler[Any]):
    """Writes records of the standard library's logging, masked, with their tracebacks."""

    def __init__(self, redact: Redactor, output: _Output) -> None:
        super().__init__(output)
        self._redact = redact
        self._output = output

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        """For a record that cannot be formatted: one line, where the library would write all its arguments."""
        self._output.write(self._redact(f"{record.name}: a record cannot be written: {record.msg!r}\n"))


def _mask_uncaught_errors(redact: Redactor, output: _Output) -> None:
    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        output.write(redact("".join(traceback.format_exception(kind, error, trace))))

    def show_lost(lost: Any) -> None:
        show(lost.exc_type, lost.exc_value, lost.exc_traceback)

    sys.excepthook = show
    sys.unraisablehook = show_lost  # of a finalizer
    threading.excepthook = show_lost
