"""Open marks at the end of a half-written answer that stand beside others which never were any."""

from __future__ import annotations

import pytest

from triolet.core.markup.tail import mend


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("\\**not bold, _slanted", "\\**not bold, _slanted_"),
        ("\\**not bold, `code", "\\**not bold, `code`"),
        ("\\__not bold, **bold", "\\__not bold, **bold**"),
    ],
)
def test_a_mark_that_cannot_be_closed_keeps_no_other_open(source: str, shown: str) -> None:
    assert mend(source) == shown


@pytest.mark.parametrize("slip", ["a _slip", "a **slip", "a `slip", "a [slip"])
def test_a_mark_of_a_paragraph_that_is_over_is_a_slip(slip: str) -> None:
    """Where a link is under way, the end is held back; what stands above it stays as it was."""
    assert mend(f"{slip}\n\n [link") == f"{slip}\n\n "
