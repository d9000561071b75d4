"""The local model: it speaks, it can be stopped, and it is gone afterwards. What it says is its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import trio
from provider_scenes import Ear, listen

from triolet.config import ModelSettings
from triolet.core.conversation import Message
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.errors import ContextTooLong
from triolet.providers import open_provider
from triolet.providers.local import INSTALL

SETTINGS = ModelSettings(provider="local")
installed = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason=f"needs: {INSTALL}")


def hello(*tools: ToolSpec) -> ModelRequest:
    return ModelRequest([Message.of("user", "Say hello")], "Be brief.", 5, tools)


@installed
async def test_it_speaks_and_stops_and_ends() -> None:
    with trio.fail_after(60):
        async with open_provider(SETTINGS) as provider:
            for request in (hello(), hello(ToolSpec("look", "Looks.", {"type": "object", "properties": {}}))):
                ear = Ear()
                await provider.stream(request, ear)
                assert ear.text
                assert ear.reasons in (["stop"], ["length"])
                assert ear.usage is not None
            with trio.CancelScope() as scope:
                request = ModelRequest([Message.of("user", "Tell a long story")], max_tokens=4000)
                await provider.stream(request, lambda _batch: scope.cancel())
            assert scope.cancelled_caught
            with pytest.raises(ContextTooLong):
                await listen(provider, "word " * 9000)
            server = provider._provider
            port = int(server._server.listening_address.rpartition(":")[2])  # type: ignore[union-attr]  # a LocalProvider
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        with pytest.raises(OSError, match="failed"):
            await trio.open_tcp_stream("127.0.0.1", port)


PROGRAM = """
import sys
sys.modules["xllamacpp"] = None
import trio
from triolet.config import ModelSettings
from triolet.errors import ConfigError
from triolet.providers import open_provider

async def main():
    try:
        async with open_provider(ModelSettings(provider="local")):
            print("opened")
    except ConfigError as error:
        print(error.key, error)

trio.run(main)
"""


def test_without_its_packages_the_error_tells_how_to_get_them() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout == f"model.provider model.provider: the local model is not installed: {INSTALL}\n"
