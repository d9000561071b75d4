"""What a round costs, and what has no price. The prices are those of the package's list, and change with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from triolet.core.events import UsageReported
from triolet.providers.prices import price_of

PLAIN = UsageReported(1_000_000, 1_000_000)
LISTED = [
    ("anthropic", "claude-sonnet-4-5", 0.9, 200.0),
    ("openai-responses", "gpt-5-mini", 0.1, 20.0),
    ("openai-chat", "gpt-5-mini", 0.1, 20.0),
]


@pytest.mark.parametrize(("provider", "model", "least", "most"), LISTED)
def test_a_listed_model_has_a_price(provider: str, model: str, least: float, most: float) -> None:
    price = price_of(provider, model, PLAIN)
    assert price is not None
    assert least < price < most, "for a million tokens in and out"


def test_every_kind_of_token_has_its_price() -> None:
    def price(usage: UsageReported) -> float:
        found = price_of("anthropic", "claude-sonnet-4-5", usage)
        assert found is not None
        return found

    plain, cached, written = (price(UsageReported(1000, 0, *kinds)) for kinds in [(0, 0), (1000, 0), (0, 1000)])
    assert 0 < cached < plain < written, "reading a cache is cheap, writing one is dear"
    assert price(UsageReported(0, 1000)) > plain
    assert price(UsageReported(0, 0)) == 0
    assert price(UsageReported(2000, 0, 1000)) == pytest.approx(plain + cached), "cached tokens are among those read"


def test_a_dated_name_is_the_models() -> None:
    assert price_of("anthropic", "claude-sonnet-4-5-20250929", PLAIN) == price_of(
        "anthropic", "claude-sonnet-4-5", PLAIN
    )


UNPRICED = [
    ("anthropic", "gpt-5-mini", PLAIN),
    ("openai-chat", "deepseek-chat", PLAIN),
    ("openai-chat", "", PLAIN),
    ("local", "claude-sonnet-4-5", PLAIN),
    ("scripted", "claude-sonnet-4-5", PLAIN),
    ("unheard of", "claude-sonnet-4-5", PLAIN),
    ("anthropic", "claude-sonnet-4-5", UsageReported(-1, 0)),
    ("anthropic", "claude-sonnet-4-5", UsageReported(10, 0, 11)),
]


@pytest.mark.parametrize(("provider", "model", "usage"), UNPRICED)
def test_what_has_no_price(provider: str, model: str, usage: UsageReported) -> None:
    assert price_of(provider, model, usage) is None


def test_the_list_is_read_when_it_is_needed_and_by_no_thread() -> None:
    program = """
import sys, threading
from triolet.core.events import UsageReported
from triolet.providers.prices import price_of
assert price_of("scripted", "a", UsageReported(1, 1)) is None
assert "genai_prices" not in sys.modules
assert price_of("anthropic", "claude-sonnet-4-5", UsageReported(1, 1))
assert threading.active_count() == 1
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
