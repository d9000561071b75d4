"""What a round costs, by the public price list of `genai-prices` as it came with the package.

The list is never renewed from the network, which takes a thread: an upgrade of the package brings new prices.
"""

from __future__ import annotations

import importlib
from typing import Final

from triolet.core.events import UsageReported

_SELLERS: Final = {"anthropic": "anthropic", "openai-responses": "openai", "openai-chat": "openai"}


def load_prices() -> None:
    """Import the list, which takes a tenth of a second: ahead of the first answer, and not in the loop's thread."""
    importlib.import_module("genai_prices")


def price_of(provider: str, model: str, usage: UsageReported) -> float | None:
    """US dollars for one round, at the list price of the provider's own company; None if that is unknown.

    ``provider`` is as in ``[model] provider``, ``model`` as in ``[model] name``. Counts that contradict each other
    have no price.
    """
    seller = _SELLERS.get(provider)
    if seller is None:
        return None
    from genai_prices import Usage, calc_price  # noqa: PLC0415  # not needed to start

    try:
        used = Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )
        return float(calc_price(used, model, provider_id=seller).total_price)
    except (LookupError, ValueError):  # of a model that is not listed; of counts below 0, or more cached than read
        return None
