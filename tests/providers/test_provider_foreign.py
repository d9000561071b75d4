"""The dialects against servers by other authors, over real TCP: text, tools, faults, and a real tokenizer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import trio
from foreign_servers import start_aimock, start_llmock
from model_dialects import DIALECTS, Dialect
from provider_scenes import PROVIDERS, Ear, idle_connections, model_settings, question

from triolet.core.conversation import Message, ToolCallPart, ToolResultPart
from triolet.core.ports import ModelRequest, Provider, ToolSpec
from triolet.errors import ProviderRejected, ProviderUnavailable
from triolet.providers import local
from triolet.providers.sdk import SDKProvider

LOOK = ToolSpec("look", "Looks.", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
PATIENCE = 30.0


def name(dialect: Dialect) -> str:
    return dialect.name


every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)


def speak(dialect: Dialect, base_url: str, **options: Any) -> SDKProvider:
    """A provider for that server."""
    return PROVIDERS[dialect.name](model_settings(dialect, base_url=base_url, **options))


async def hear(provider: Provider, request: ModelRequest) -> Ear:
    ear = Ear()
    with trio.fail_after(PATIENCE):
        await provider.stream(request, ear)
    return ear


def round_after(ear: Ear, text: str) -> ModelRequest:
    """The next question: what the model called, and what came of it."""
    called = tuple(ToolCallPart(call_id, tool, given) for call_id, tool, given in ear.calls)
    results = tuple(ToolResultPart(call.call_id, f"saw {call.arguments}") for call in called)
    talk = [Message.of("user", text), Message("assistant", called), Message("tool", results)]
    return ModelRequest(talk, "Be brief.", 50, [LOOK])


# llmock


@pytest.fixture(scope="module")
def llmock() -> Iterator[str]:
    with start_llmock() as address:
        yield address


def told(llmock: str, **behavior: Any) -> None:
    """What llmock does with the next request."""
    httpx.post(f"{llmock}/_llmock/reset").raise_for_status()
    httpx.post(f"{llmock}/_llmock/scenario", json={"behaviors": [behavior]}).raise_for_status()


def asked(llmock: str) -> list[Any]:
    """The requests since it was told something."""
    requests: list[Any] = httpx.get(f"{llmock}/_llmock/requests").json()["requests"]
    return requests


def llmock_provider(llmock: str, dialect: Dialect, **options: Any) -> SDKProvider:
    return speak(dialect, f"{llmock}/anthropic" if dialect.name == "anthropic" else f"{llmock}/v1", **options)


TEXT = "Grüße 👋, and a few more words."


@every_dialect
async def test_llmock_speaks(llmock: str, dialect: Dialect) -> None:
    async with llmock_provider(llmock, dialect) as provider:
        told(llmock, type="reply", text=TEXT)
        ear = await hear(provider, question())
        assert (ear.text, ear.reasons) == (TEXT, ["stop"])
        assert len(ear.batches) > 1
        assert ear.usage is not None
        assert ear.usage.input_tokens > 0


@every_dialect
async def test_llmock_calls_tools(llmock: str, dialect: Dialect) -> None:
    async with llmock_provider(llmock, dialect) as provider:
        calls = [{"name": "look", "arguments": {"x": number}} for number in (1, 2)]
        told(llmock, type="reply", tool_calls=calls)
        ear = await hear(provider, ModelRequest([Message.of("user", "Look")], tools=[LOOK]))
        assert [(tool, ToolCallPart(call, tool, given).input) for call, tool, given in ear.calls] == [
            ("look", {"x": 1}),
            ("look", {"x": 2}),
        ]
        assert len({call_id for call_id, _, _ in ear.calls} - {""}) == 2
        assert ear.reasons == ["tool_calls"]
        told(llmock, type="reply", text=TEXT)
        assert (await hear(provider, round_after(ear, "Look"))).text == TEXT


@every_dialect
async def test_llmock_fails(llmock: str, dialect: Dialect) -> None:
    async with llmock_provider(llmock, dialect) as provider:
        told(llmock, type="fail", status=429, retry_after=7, message="slow down")
        with pytest.raises(ProviderUnavailable, match="slow down") as busy:
            await hear(provider, question())
        assert busy.value.retry_after == 7
        told(llmock, type="fail", status=529)
        with pytest.raises(ProviderUnavailable, match=r"\(529\)"):
            await hear(provider, question())
        told(llmock, type="fail", status=404, message="no such model")
        with pytest.raises(ProviderRejected, match="no such model"):
            await hear(provider, question())
        assert len(asked(llmock)) == 1, "it was asked again"


FAULTS = {"disconnect": "no connection", "truncate": "", "malformed": "makes no sense", "stall": "fell silent"}
"""What is said of them: one that ends in good order is a cut, and no error."""


@pytest.mark.case("RR10")
@pytest.mark.parametrize("kind", FAULTS)
@every_dialect
async def test_llmock_breaks_its_stream(llmock: str, dialect: Dialect, kind: str) -> None:
    async with llmock_provider(llmock, dialect, idle_timeout=0.5, first_byte_timeout=0.5) as provider:
        told(llmock, type="stream_fault", kind=kind, after_chunks=5, stall_seconds=3)
        ear = Ear()
        if failure := FAULTS[kind]:
            with pytest.raises(ProviderUnavailable, match=failure):
                await provider.stream(question(), ear)
        else:
            await provider.stream(question(), ear)
        assert ear.reasons == []


# aimock

FIXTURES: list[dict[str, Any]] = [
    {"match": {"userMessage": "hello"}, "response": {"content": TEXT}},
    {"match": {"userMessage": "think"}, "response": {"content": "Done.", "reasoning": "Let me see. Well."}},
    {
        "match": {"userMessage": "look", "hasToolResult": False},
        "response": {
            "content": "I look.",
            "toolCalls": [
                {"id": "call_1", "name": "look", "arguments": {"x": 1}},
                {"id": "call_2", "name": "look", "arguments": {"x": 22222}},
            ],
        },
    },
    {"match": {"userMessage": "look", "hasToolResult": True}, "response": {"content": "Looked."}},
    {"match": {"userMessage": "cut"}, "response": {"content": TEXT}, "truncateAfterChunks": 4},
    {
        "match": {"userMessage": "limit"},
        "response": {"error": {"message": "slow down", "type": "rate_limit_error"}, "status": 429},
    },
    {"match": {"userMessage": "length"}, "response": {"content": "Too", "finishReason": "length"}},
]


@pytest.fixture(scope="module")
def aimock(request: pytest.FixtureRequest) -> Iterator[str]:
    cache = request.config.cache
    assert cache is not None
    with start_aimock(cache.mkdir("aimock"), FIXTURES) as address:
        yield address


def aimock_provider(aimock: str, dialect: Dialect) -> SDKProvider:
    # It gives reasoning only to models of its maker that are known to reason.
    model = "claude-sonnet-5" if dialect.name == "anthropic" else "gpt-5"
    return speak(dialect, aimock + dialect.base, name=model)


@every_dialect
async def test_aimock_speaks(aimock: str, dialect: Dialect) -> None:
    async with aimock_provider(aimock, dialect) as provider:
        ear = await hear(provider, question("hello"))
        assert (ear.text, ear.reasons) == (TEXT, ["stop"])
        assert (await hear(provider, question("length"))).reasons == ["length"]
        thought = await hear(provider, question("think"))
        assert (thought.reasoning, thought.text) == ("Let me see. Well.", "Done.")


@every_dialect
async def test_aimock_calls_tools(aimock: str, dialect: Dialect) -> None:
    async with aimock_provider(aimock, dialect) as provider:
        ear = await hear(provider, ModelRequest([Message.of("user", "look")], tools=[LOOK]))
        assert ear.text == "I look."
        assert ear.calls == [("call_1", "look", '{"x":1}'), ("call_2", "look", '{"x":22222}')]
        assert ear.reasons == ["tool_calls"]
        assert (await hear(provider, round_after(ear, "look"))).text == "Looked."


@pytest.mark.case("RR10")
@every_dialect
async def test_aimock_fails(aimock: str, dialect: Dialect) -> None:
    async with aimock_provider(aimock, dialect) as provider:
        with pytest.raises(ProviderUnavailable, match=r"\(429\): slow down"):
            await hear(provider, question("limit"))
        with pytest.raises(ProviderUnavailable, match=r"\(503\): Strict mode"):
            await hear(provider, question("nobody has told it what to say to this"))
        ear = Ear()
        with pytest.raises(ProviderUnavailable):
            await provider.stream(question("cut"), ear)
        assert TEXT.startswith(ear.text)
        assert ear.reasons == []


# llama.cpp


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip(f"llama.cpp is not installed: {local.INSTALL}")
    server = local.start_server(local.find_weights())
    yield server.listening_address
    del server


@every_dialect
async def test_llama_speaks(llama: str, dialect: Dialect) -> None:
    """What it says and how long it takes is its own; that it stops is not."""
    options = {"first_byte_timeout": PATIENCE, "idle_timeout": PATIENCE}
    async with speak(dialect, llama + dialect.base, **options) as provider:
        talk = [Message.of("user", "Hi"), Message.of("assistant", "Hello."), Message.of("user", "Say 👋")]
        ear = await hear(provider, ModelRequest(talk, "Be brief.", 12))
        assert ear.text
        assert ear.reasons in (["stop"], ["length"])
        assert ear.usage is not None
        assert ear.usage.output_tokens > 0
        with trio.CancelScope() as scope:
            request = ModelRequest([Message.of("user", "Tell a long story")], max_tokens=3000)
            await provider.stream(request, lambda batch: scope.cancel() if batch else None)
        assert scope.cancelled_caught
        assert idle_connections(provider) == []
