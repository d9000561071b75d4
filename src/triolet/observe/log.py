"""Logging: one line an event, dotted names, values as fields, secrets masked, no message text.

Everything goes to standard error. Libraries that log request URLs (httpx and httpx2 at INFO write the bot's token
with them) are held at WARNING, and pass the same mask.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import structlog

from triolet.net.redact import Redactor

Level: TypeAlias = Literal["debug", "info", "warning"]

_LOUD = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic", "hpack", "h2")


def configure(*, secrets: Iterable[str] = (), level: Level = "info") -> None:
    """Set up logging for the whole process; ``secrets`` are masked wherever they appear."""
    redact = Redactor(secrets)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            _masking(redact),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    output = logging.StreamHandler()
    output.addFilter(_MaskingFilter(redact))
    logging.basicConfig(level=logging.WARNING, handlers=[output], force=True)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)


def _masking(redact: Redactor) -> structlog.typing.Processor:
    def mask(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}

    return mask


class _MaskingFilter(logging.Filter):
    """Masks a record of the standard library's logging after its arguments are filled in."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redact(record.getMessage()), None
        if record.exc_info:
            record.exc_text = self._redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True
