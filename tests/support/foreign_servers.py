"""Model servers by other authors, as real processes on loopback: they may understand an API as we do not.

`start_llmock` is llmock from PyPI (a test dependency), which can be told over HTTP what to do next. `start_aimock` is
@copilotkit/aimock from npm, fetched once into pytest's cache; it follows a file of fixtures. Where node or npm is
missing its tests are skipped, but not in CI, which must have them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

AIMOCK = "@copilotkit/aimock@1.43.0"
OLDEST_NODE = 20

_LISTENS = re.compile(r"(?:running on|listening on) (http://127\.0\.0\.1:\d+)")


@contextmanager
def start_llmock() -> Iterator[str]:
    """Its address; the dialects are below it."""
    program = Path(sys.executable).with_name("llmock")
    if not program.exists():
        unavailable("llmock is not installed: it is in the dependency group test")
    with _started([str(program), "serve", "--port", "0", "--stream-chunk-delay-ms", "1"]) as address:
        yield address


@contextmanager
def start_aimock(cache: Path, fixtures: list[dict[str, Any]]) -> Iterator[str]:
    """Its address; ``cache`` is a folder that stays."""
    node = _find_node()
    program = _fetch_aimock(cache)
    file = cache / "fixtures.json"
    file.write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
    with _started([node, str(program), "-p", "0", "-f", str(file), "--strict", "--chunk-size", "5"]) as address:
        yield address


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _find_node() -> str:
    node = shutil.which("node") or unavailable("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        unavailable(f"node is {version}, and {AIMOCK} needs {OLDEST_NODE}")
    return node


def _fetch_aimock(cache: Path) -> Path:
    program = cache / "node_modules/@copilotkit/aimock/dist/cli.js"
    if not program.exists():
        npm = shutil.which("npm") or unavailable("npm is not installed")
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(cache), AIMOCK]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        except subprocess.SubprocessError as problem:  # no network, say: that is nobody's mistake here
            pytest.skip(f"npm cannot fetch {AIMOCK}: {problem}")
    return program


@contextmanager
def _started(command: list[str]) -> Iterator[str]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if found := _LISTENS.search(line):
                break
        else:
            pytest.fail(f"{command[0]} ended: {said}")
        yield found[1]
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
