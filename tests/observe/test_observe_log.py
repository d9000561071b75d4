"""Nothing that is logged, warned of or left uncaught shows a secret.

Each case runs in a process of its own: logging is set up for all of a process, and what counts is every byte of it.
"""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from triolet.net.redact import MASK
from triolet.observe import log

TOKEN = "987654:CANARY-of_the-Bot"
KEY = 'sesame\'s/"CANARY"\\'
SHAPED = "1234567:CANARYcvCH1vGWJxfSeofSAs0K5PALDsaw"
"""A token of somebody else's, known by its shape."""

SETUP = f"""
import asyncio, gc, logging, sys, threading, urllib.parse, warnings
import structlog, trio
from triolet.observe import log
from triolet.config import Secret
TOKEN, KEY, SHAPED = {TOKEN!r}, {KEY!r}, {SHAPED!r}
log.configure(secrets=[TOKEN, KEY, ""], level="debug")
ours, theirs = structlog.get_logger(), logging.getLogger("a.library")
class Odd:
    def __init__(self, text): self.text = text
    def __repr__(self): return f"<Odd {{self.text}}>"
"""

EACH = "for secret in (TOKEN, KEY, SHAPED, urllib.parse.quote(KEY), urllib.parse.quote(TOKEN, safe='')):\n    "

CASES = {
    "our event": "ours.info(f'an event with {secret}')",
    "our event's arguments": "ours.info('an event with %s', secret)",
    "a field": "ours.info('event', text=secret)",
    "a field's name": "ours.info('event', **{secret: 1})",
    "a bound field": "ours.bind(text=secret).info('event')",
    "a debug event": "ours.debug('event', text=secret)",
    "lists and dicts": "ours.info('event', deep=[{'a': ({'b': [secret]},)}], keys={secret: secret})",
    "an object": "ours.info('event', odd=[Odd(secret)])",
    "an exception as a field": "ours.info('event', problem=ValueError(secret))",
    "bytes": "ours.info('event', body=secret.encode())",
    "a set": "ours.info('event', names={secret})",
    "several lines": "ours.info('event', text=f'one\\n{secret}\\nthree')",
    "their message": "theirs.warning(f'a record with {secret}')",
    "their arguments": "theirs.warning('a record with %s and %r', secret, [Odd({'a': secret})])",
    "their dict of arguments": "theirs.warning('a record with %(a)s', {'a': secret})",
    "their object for a message": "theirs.warning(Odd(secret))",
    "their logger's name": "logging.getLogger(secret).warning('a record')",
    "their stack": "theirs.warning('a record', stack_info=True, extra={'text': secret})",
    "a record that cannot be written": "theirs.warning('%d ' + secret, secret)",
    "an HTTP library": "logging.getLogger('httpx').error('HTTP Request: POST http://x/bot%s/getMe', secret)",
    "an error": (
        "\n    try: raise ValueError(secret)\n"
        "    except ValueError: ours.exception('event'); theirs.exception('a record')"
    ),
    "an error of an error": (
        "\n    try:\n        try: raise KeyError(secret)\n        except KeyError as e: raise ValueError('x') from e\n"
        "    except ValueError: ours.exception('event'); theirs.exception('a record')"
    ),
    "a group of errors": (
        "\n    try: raise ExceptionGroup('x', [OSError(secret)])\n"
        "    except ExceptionGroup: ours.exception('event'); theirs.exception('a record')"
    ),
    "an error's note": (
        "\n    e = ValueError('x'); e.add_note(secret)\n"
        "    ours.error('event', exc_info=e); theirs.error('a record', exc_info=e)"
    ),
    "a warning": "warnings.warn(secret, stacklevel=1)",
    "an error of a finalizer": (
        "\n    class Last:\n        def __del__(self): raise ValueError(secret)\n    Last(); gc.collect()"
    ),
    "a secret setting": "ours.info('event', secret=Secret(secret), shown=Secret(secret).reveal())",
}  # fmt: skip

UNCAUGHT = {
    "an error that nobody caught": "raise ValueError([TOKEN, KEY, SHAPED])",
    "an error out of Trio": "async def main(): raise ValueError([TOKEN, KEY, SHAPED])\ntrio.run(main)",
    "a group out of Trio": (
        "async def fail(): raise ValueError([TOKEN, KEY, SHAPED])\n"
        "async def main():\n async with trio.open_nursery() as nursery: nursery.start_soon(fail)\ntrio.run(main)"
    ),
    "an error of a thread": (
        "def fail(): raise ValueError([TOKEN, KEY, SHAPED])\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()"
    ),
}


def output_of(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", SETUP + program], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("group", range(0, len(CASES), 9))
def test_no_secret_is_logged(group: int) -> None:
    """Nine cases in a process, each of which shows what it did."""
    names = list(CASES)[group : group + 9]
    program = "".join(f"print({'@' + name!r}, file=sys.stderr)\n{EACH}{CASES[name]}\n" for name in names)
    output = output_of(program)
    assert "CANARY" not in output
    outputs = dict(part.split("\n", 1) for part in output.split("@")[1:])
    assert list(outputs) == names, "all were run"
    assert [
        name for name, text in outputs.items() if not {MASK, "event", "record"} & set(re.findall(r"\w+|•••", text))
    ] == []


@pytest.mark.parametrize("case", UNCAUGHT)
def test_an_uncaught_error_shows_no_secret(case: str) -> None:
    output = output_of(UNCAUGHT[case])
    assert "CANARY" not in output
    assert output.count(MASK) >= 3
    assert "ValueError" in output


@pytest.mark.parametrize("name", ["httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic", "h2", "hpack"])
def test_libraries_tell_no_url(output: io.StringIO, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At INFO, httpx writes the URL of each request: whatever a library's level was, it does not get that far."""
    logger = logging.getLogger(name)
    monkeypatch.setattr("sys.stderr", output)
    logger.setLevel(logging.DEBUG)
    log.configure()
    logger.info("HTTP Request")
    assert output.getvalue() == ""


# In this process


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What comes out after `configure`, which everything is taken back from afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in log._LOUD}
    structure = structlog.get_config()
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    for handler in handlers:
        root.removeHandler(handler)  # or `configure` would close pytest's
    log.configure(secrets=[TOKEN, KEY], level="info")
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.configure(**structure)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


surroundings = st.text(st.characters(exclude_categories=["Cs"]))


@given(before=surroundings, after=surroundings, secret=st.sampled_from([TOKEN, KEY, SHAPED]))
def test_a_secret_survives_in_no_line(output: io.StringIO, before: str, after: str, secret: str) -> None:
    """Whatever stands around it, and also in two arguments that meet in the line."""
    text = before + secret + after
    structlog.get_logger().info("event", text=text, deep=[{text: text}])
    structlog.get_logger().info(text.replace("%", "%%"))
    for message, *arguments in (["%s", text], ["%r", [text]], ["%s%s", text[: len(text) // 2], text[len(text) // 2 :]]):
        logging.getLogger("a.library").warning(message, *arguments)
    assert "CANARY" not in output.getvalue()


def test_a_line_is_an_event_with_its_fields(output: io.StringIO) -> None:
    structlog.get_logger().warning("poller.failed", problem="no answer", again_in=1.0, token=TOKEN)
    time, line = output.getvalue().split(" ", 1)
    assert len(time) == len("12:34:56")
    assert line == f"[warning  ] poller.failed again_in=1.0 problem='no answer' token={MASK}\n"


def test_the_level_counts(output: io.StringIO) -> None:
    structlog.get_logger().debug("event")
    logging.getLogger("a.library").info("a record")
    assert output.getvalue() == ""
