"""Secrets do not survive the redactor, however they are written."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.net.redact import MASK, Redactor

TOKEN = "987654:CANARY-of_the-Bot"
"""Too short for the shape of a token, so that only its being known masks it."""
KEY = "sesame/open+it's\"a\\canary=>>>????"
REDACT = Redactor([TOKEN, KEY])


def in_base64(before: bytes) -> Callable[[str], str]:
    """As a part of something longer, from which ``before`` shifts it."""
    return lambda secret: base64.b64encode(before + secret.encode() + b"after").decode()


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in small hex": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "in a URL in a URL": lambda secret: quote(quote(secret, safe=""), safe=""),
    "in a JSON text": json.dumps,
    "in JSON in JSON": lambda secret: json.dumps(json.dumps(secret)),
    "in JSON with a careful slash": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "in \\u escapes": lambda secret: "".join(f"\\u{ord(char):04X}" for char in secret),
    "in \\x escapes": lambda secret: "".join(f"\\x{ord(char):02x}" for char in secret),
    "in a repr": repr,
    "in a repr of a repr": lambda secret: repr(repr(secret)),
    "in a repr of bytes": lambda secret: repr(secret.encode()),
    "in a basic login": in_base64(b""),
    "in base64, shifted": in_base64(b"x"),
    "in base64, shifted twice": in_base64(b"xx"),
    "in base64 of URLs": lambda secret: base64.urlsafe_b64encode(b"bot:" + secret.encode()).decode(),
}


@pytest.mark.parametrize("secret", [TOKEN, KEY], ids=["token", "key"])
@pytest.mark.parametrize("way", WRITTEN)
def test_a_secret_is_masked(way: str, secret: str) -> None:
    """But for the bits that base64 mixes with the neighbours' at either end."""
    written = WRITTEN[way](secret)
    found = REDACT(f"before {written} after")
    assert MASK in found
    windows = {written[start : start + 12] for start in range(len(written) - 12)}
    assert not [window for window in windows if window in found]


printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


@given(st.text(), st.text(), st.sampled_from(["as it is", "in a URL", "in small hex", "in \\u escapes"]))
@example("1", "2", "as it is")
@example("%25", "%", "in a URL")
@example(TOKEN[:-1], TOKEN[1:], "as it is")
def test_a_secret_survives_in_no_text(before: str, after: str, way: str) -> None:
    for secret in (TOKEN, KEY):
        found = REDACT(before + WRITTEN[way](secret) + after)
        assert secret not in found
        assert WRITTEN[way](secret) not in found


@given(st.text(), st.text(), st.lists(printable, min_size=1, max_size=4))
@example("", "", ["ab", "abc", "b"])
def test_no_secret_of_several_survives(before: str, after: str, secrets: list[str]) -> None:
    redact = Redactor(secrets)
    for secret in secrets:
        found = redact(before + secret + after)
        assert not any(other in found for other in secrets)


@given(st.text(st.characters(min_codepoint=128)), printable)
def test_a_text_without_a_secret_is_left_alone(text: str, secret: str) -> None:
    assert Redactor([secret])(text) == text


SHAPES = {
    "a token that nobody named": ("a 1234567:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw z", f"a {MASK} z"),
    "in a URL": ("/bot1234567:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getMe", f"/bot{MASK}/getMe"),
    "percent-encoded": ("bot1234567%3AAAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", f"bot{MASK}"),
    "percent-encoded twice": ("bot1234567%253aAAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", f"bot{MASK}"),
    "a key that nobody named": ("Bearer sk-ant-api03-0123456789abcdef", f"Bearer {MASK}"),
    "a short number": ("12345:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "12345:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"),
    "a short rest": ("1234567:AAHdqTcvCH1vG", "1234567:AAHdqTcvCH1vG"),
    "a time": ("at 2026-11-01T12:34:56.123456", "at 2026-11-01T12:34:56.123456"),
    "words": ("the task-force-of-the-longest-name", "the task-force-of-the-longest-name"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_the_shapes_of_secrets(case: str) -> None:
    text, masked = SHAPES[case]
    assert Redactor()(text) == masked


def test_of_two_secrets_the_longer_is_masked() -> None:
    """The other way round, the rest of it would be left."""
    assert Redactor(["sesame", "sesame-open"])("a sesame-open") == f"a {MASK}"


def test_no_secret_masks_nothing() -> None:
    """An empty key, as a local server needs, is in every text."""
    assert Redactor(["", ""])("a text") == "a text"


def test_a_redactor_shows_nothing_of_what_it_knows() -> None:
    assert repr(REDACT) == "<Redactor>"
