"""Where the collected acceptance marks are kept during a test run."""

from __future__ import annotations

import pytest

MARKED_CASES = pytest.StashKey[set[str]]()
