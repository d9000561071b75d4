"""Which of Anthropic's models go on with an assistant's text that ends the request, instead of refusing it.

Source: Anthropic's migration guide to Claude 4.6. Until Claude 4.5 every model did; since then a request must end
with a user's message, and is a 400 otherwise. So what is known to do it is listed, and all that is new does not.
"""

from __future__ import annotations

import re

from triolet.config import ModelSettings

_OLD = re.compile(
    r"claude-(?:instant|v?[12]\b|3\b)"  # claude-3-7-sonnet-20250219: the number first
    r"|claude-(?:opus|sonnet|haiku)-4(?:[-.@][0-5])?(?![-.]?\d{1,2}(?!\d))"  # claude-sonnet-4-20250514, claude-opus-4-1
)


def takes_prefill(settings: ModelSettings) -> bool:
    """By the model's name, also with a prefix or a date, as clouds and gateways write it. No model that thinks does."""
    return _OLD.search(settings.name.lower()) is not None and not settings.reasoning
