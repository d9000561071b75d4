"""``python -m triolet``."""

from __future__ import annotations

import sys

from triolet.cli import main

if __name__ == "__main__":
    sys.exit(main())
