"""What differs from dialect to dialect: addresses, keys, fields of a request, words of a refusal, signs of life."""

from __future__ import annotations

import itertools
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import trio
import trio.testing
from model_dialects import CHAT, DIALECTS, MESSAGES, RESPONSES, Dialect, sse
from model_server import KEY, Hang, Head, Pause, Respond, Step, Write, comment
from provider_scenes import PROVIDERS, Ear, listen, model_settings, on_the_wire, open_scene, question

from triolet.config import Secret
from triolet.core.conversation import Ending, Message, ToolCallPart, ToolResultPart
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.errors import ContextTooLong, ProviderError, ProviderRejected, ProviderUnavailable
from triolet.providers import open_provider, scripted
from triolet.providers.anthropic_messages import AnthropicProvider
from triolet.providers.openai_responses import OpenAIResponsesProvider
from triolet.providers.prefill import takes_prefill
from triolet.providers.scripted import Say

Clock = trio.testing.MockClock


def name(value: object) -> str:
    return value.name if isinstance(value, Dialect) else type(value).__name__


every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)

# Requests

TALK = [Message.of("user", "Hi 👋"), Message.of("assistant", "Hel", Ending.STOPPED), Message.of("user", "Go on")]


async def body_of(dialect: Dialect, request: ModelRequest, **options: Any) -> Any:
    async with open_scene(dialect, **options) as scene:
        await scene.provider.stream(request, Ear())
        assert not scene.server.requests[0].problem
        return scene.server.requests[0].body


@every_dialect
async def test_what_is_said_between_rounds_goes_behind_what_the_tools_gave(
    dialect: Dialect, autojump_clock: Clock
) -> None:
    """The strict server takes it, and it is the last thing in the request."""
    called, called_again = (Message("assistant", (ToolCallPart(each, "look", "{}"),)) for each in "12")
    told, told_again = (Message("tool", (ToolResultPart(each, "nothing"),)) for each in "12")
    steered = [Message.of("user", "Look twice"), Message.of("user", "In French")]
    tools = [ToolSpec("look", "Looks.", {"type": "object", "properties": {}})]
    for talk in ([*TALK, called, told, *steered], [*TALK, called, told, *steered, called_again, told_again]):
        body = str(await body_of(dialect, ModelRequest(talk, tools=tools)))
        assert body.index("Go on") < body.index("nothing") < body.index("Look twice") < body.index("In French")


async def test_the_fields_beside_the_conversation(autojump_clock: Clock) -> None:
    """What is said is the core's to render, and its tests' to look at."""
    request = ModelRequest(TALK, "Be brief.", 77)
    body = await body_of(RESPONSES, request, name="some/model")
    assert body.pop("input")
    assert body == {
        "model": "some/model",
        "instructions": "Be brief.",
        "store": False,
        "stream": True,
        "max_output_tokens": 77,
    }
    body = await body_of(MESSAGES, request, name="some/model")
    assert body.pop("messages")
    assert body == {"model": "some/model", "system": "Be brief.", "stream": True, "max_tokens": 77}


async def test_openai_itself_seals_reasoning_and_others_are_not_asked_to() -> None:
    """No network: nothing is sent."""
    for base_url, sealed in (("", True), ("https://eu.api.openai.com/v1", True), ("https://model.test/v1", False)):
        async with OpenAIResponsesProvider(model_settings(RESPONSES, base_url=base_url)) as provider:
            parameters = provider._parameters(question())
            assert parameters.get("include") == (["reasoning.encrypted_content"] if sealed else None)
            assert parameters["store"] is False


async def test_addresses() -> None:
    for dialect, base_url, address in (
        (CHAT, "", "https://api.openai.com/v1/"),
        (RESPONSES, "", "https://api.openai.com/v1/"),
        (MESSAGES, "", "https://api.anthropic.com"),
        (MESSAGES, "http://model.test/v1", "http://model.test"),
        (MESSAGES, "http://model.test/claude", "http://model.test/claude"),
    ):
        async with PROVIDERS[dialect.name](model_settings(dialect, base_url=base_url)) as provider:
            assert str(provider._client.base_url).rstrip("/") == address.rstrip("/")


CANARY = "canary+0123456789/shapeless=="
ENVIRONMENT = {
    **{f"OPENAI_{part}": CANARY for part in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID")},
    **{f"ANTHROPIC_{part}": CANARY for part in ("API_KEY", "AUTH_TOKEN", "PROFILE")},
    **{f"{sdk}_BASE_URL": "http://elsewhere.test" for sdk in ("OPENAI", "ANTHROPIC")},
    **{f"{sdk}_CUSTOM_HEADERS": f"X-Custom: {CANARY}" for sdk in ("OPENAI", "ANTHROPIC")},
    "HTTP_PROXY": "http://proxy.test:3128",
}


@every_dialect
@pytest.mark.parametrize("key", [KEY, ""], ids=["key", "no key"])
async def test_nothing_of_the_environment_is_sent(
    dialect: Dialect, key: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: Clock
) -> None:
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    async with open_scene(dialect, key=key, api_key=Secret(key)) as scene:
        assert (await listen(scene.provider)).text == "Hello."
        [request] = scene.server.requests
        assert request.with_key == bool(key)
        assert getattr(scene.provider._client, "api_key") == (key or "none"), "the SDK has looked for another"  # noqa: B009  # not of the Protocol
        assert request.headers["host"] == "model.test"
        assert CANARY not in str(request.headers)


@every_dialect
async def test_the_settings_name_the_dialect(dialect: Dialect, autojump_clock: Clock) -> None:
    async with open_scene(dialect) as scene:
        async with open_provider(model_settings(dialect), connect=scene.server.connect) as provider:
            assert (await listen(provider)).text == "Hello."
            assert type(provider._provider) is PROVIDERS[dialect.name]
        assert not scene.server.requests[0].problem


# Prefill

TAKEN = [
    "claude-3-opus-20240229",
    "claude-3-5-haiku-latest",
    "claude-2.1",
    "claude-sonnet-4-20250514",
    "claude-opus-4-0",
    "claude-opus-4-5",
    "claude-sonnet-4-5@20250929",
    "anthropic/claude-opus-4.5",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
]
REFUSED = [
    "claude-opus-4-6",
    "claude-sonnet-4.6",
    "us.anthropic.claude-opus-4-7-20260416-v1:0",
    "claude-sonnet-5",
    "claude-haiku-5-5",
    "claude-opus-4-10",
    "claude-fable-5",
    "claude-next",
    "kimi-k2",
    "test",
]


@pytest.mark.parametrize("model", TAKEN + REFUSED)
async def test_which_models_go_on_with_what_they_said(model: str) -> None:
    takes = model in TAKEN
    settings = model_settings(MESSAGES, name=model)
    assert takes_prefill(settings) == takes
    assert not takes_prefill(model_settings(MESSAGES, name=model, reasoning="low")), "no model that thinks does"
    async with open_provider(settings) as opened, AnthropicProvider(settings) as provider:
        assert (opened.prefills, provider.prefills) == (takes, takes)


THINKING: dict[str, dict[str, object]] = {
    CHAT.name: {"reasoning_effort": "high"},
    RESPONSES.name: {"reasoning": {"effort": "high", "summary": "auto"}},
    MESSAGES.name: {
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "high"},
    },
}


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, MESSAGES], ids=name)
async def test_thoughts_are_asked_for_where_the_settings_say_so(dialect: Dialect, autojump_clock: Clock) -> None:
    asked = await body_of(dialect, ModelRequest(TALK), reasoning="high")
    unasked = await body_of(dialect, ModelRequest(TALK))
    assert {field: asked.pop(field) for field in THINKING[dialect.name]} == THINKING[dialect.name]
    assert asked == unasked


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=name)
async def test_nobody_knows_it_of_the_others(dialect: Dialect) -> None:
    settings = model_settings(dialect, name=TAKEN[0])
    async with open_provider(settings) as opened, PROVIDERS[dialect.name](settings) as provider:
        assert (opened.prefills, provider.prefills) == (False, False)


async def test_a_text_that_ends_the_request_is_sent_as_it_is(autojump_clock: Clock) -> None:
    body = await body_of(MESSAGES, ModelRequest(TALK[:2]))
    assert body["messages"][-1]["role"] == "assistant"


# Refusals


def anthropic_error(status: int, kind: str, message: str) -> Respond:
    return Respond(status, MESSAGES.refusal(message, code=kind))


ANTHROPIC: list[tuple[Respond, type[ProviderError], str]] = [
    (anthropic_error(400, "invalid_request_error", "max_tokens: too high"), ProviderRejected, "(400): max_tokens"),
    (anthropic_error(401, "authentication_error", "invalid x-api-key"), ProviderRejected, "check model.api_key"),
    (anthropic_error(403, "permission_error", "not yours"), ProviderRejected, "check model.api_key"),
    (anthropic_error(404, "not_found_error", "model: claude-0"), ProviderRejected, "(404): model: claude-0"),
    (anthropic_error(413, "request_too_large", "Request exceeds"), ProviderRejected, "(413): Request exceeds"),
    (anthropic_error(429, "rate_limit_error", "slow down"), ProviderUnavailable, "(429): slow down"),
    (anthropic_error(500, "api_error", "Internal"), ProviderUnavailable, "(500): Internal"),
    (anthropic_error(529, "overloaded_error", "Overloaded"), ProviderUnavailable, "(529): Overloaded"),
    (
        anthropic_error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        ContextTooLong,
        "too long for the model: prompt is too long",
    ),
]


@pytest.mark.parametrize(("answer", "kind", "text"), ANTHROPIC, ids=lambda value: getattr(value, "status", None))
async def test_anthropics_words(answer: Respond, kind: type[ProviderError], text: str, autojump_clock: Clock) -> None:
    async with open_scene(MESSAGES) as scene:
        with pytest.raises(kind) as caught:
            await scene.ask(answer)
        assert type(caught.value) is kind
        assert text in str(caught.value)
        assert len(scene.server.requests) == 1, "the SDK repeated it"


async def test_a_model_that_does_not_think_is_asked_without_sealed_reasoning(autojump_clock: Clock) -> None:
    async with open_scene(RESPONSES) as scene:
        asked = {**scene.provider._parameters(question()), "include": ["reasoning.encrypted_content"]}
        scene.provider._parameters = lambda request: asked  # type: ignore[method-assign]  # as for OpenAI's own server
        scene.server.answer(
            Respond(400, RESPONSES.refusal("Encrypted content is not supported with this model.", param="include"))
        )
        assert (await scene.ask_told(Say.text("a"))).text == "a"
        assert ["include" in request.body for request in scene.server.requests] == [True, False]


@every_dialect
async def test_a_wrong_key(dialect: Dialect, autojump_clock: Clock) -> None:
    """Against the server's own strictness: it repeats the key."""
    async with open_scene(dialect, api_key=Secret(CANARY)) as scene:
        with pytest.raises(ProviderRejected, match=r"check model\.api_key") as caught:
            await listen(scene.provider)
        assert CANARY not in repr(caught.value)
        assert caught.value.__context__ is None


@every_dialect
async def test_no_echo_of_the_key_comes_through(dialect: Dialect, autojump_clock: Clock) -> None:
    echo = f"Incorrect API key provided: {CANARY}."
    begun = on_the_wire(dialect, [Say.text("a"), scripted.Cut()])
    refusals: list[list[Step]] = [[Respond(status, dialect.refusal(echo))] for status in (400, 404, 429, 500, 529)]
    cases: list[list[Step]] = [
        *refusals,
        [*begun, Write(dialect.stream_error(echo))],
        [*begun, Write(sse('{"' + CANARY))],
        [Respond(200, {"error": {"message": echo}})],
    ]
    async with open_scene(dialect, key=CANARY, api_key=Secret(CANARY)) as scene:
        for steps in cases:
            with pytest.raises(ProviderError) as caught:
                await scene.ask(*steps)
            assert CANARY[:12] not in repr(caught.value)
            assert caught.value.__context__ is None


RAW: list[Exception] = [
    httpx2.ReadError("raw"),
    httpx2.InvalidURL("raw"),
    httpx2.StreamClosed(),
    OSError("raw"),
    trio.BrokenResourceError("raw"),
]


OF_SDK = [
    (CHAT, openai.OpenAIError("raw")),
    (RESPONSES, openai.OpenAIError("raw")),
    (MESSAGES, anthropic.AnthropicError("raw")),
]


@pytest.mark.parametrize(("dialect", "error"), [*OF_SDK, *itertools.product(DIALECTS.values(), RAW)], ids=name)
async def test_no_error_of_a_library_comes_out_raw(dialect: Dialect, error: Exception, autojump_clock: Clock) -> None:
    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise error

    async with PROVIDERS[dialect.name](model_settings(dialect), connect=connect) as provider:
        with pytest.raises(ProviderUnavailable, match=r"^no connection to the provider at model\.test"):
            await listen(provider)


# Signs of life

FIRST, IDLE, TAIL, DRAIN = 7.0, 5.0, 2.0, 0.1

BEATS: dict[str, bytes] = {
    CHAT.name: sse({"choices": [{"index": 0, "delta": {"content": ""}}], "usage": {"prompt_tokens": 5}}),
    RESPONSES.name: sse({"type": "response.in_progress", "response": {"status": "in_progress", "output": []}}),
    MESSAGES.name: sse({"type": "ping"}, "ping"),
}
"""What says nothing, though it is an event."""


@pytest.mark.case("L2")
@every_dialect
async def test_what_says_nothing_is_no_life(dialect: Dialect, autojump_clock: Clock) -> None:
    begun = on_the_wire(dialect, [Say.text("a"), scripted.Cut()])
    beating: list[Step] = [Pause(0.5), Write(BEATS[dialect.name]), Pause(0.5), comment()] * 100
    cases: list[tuple[list[Step], float]] = [
        ([Hang()], FIRST),
        ([Head(), *beating], FIRST),
        ([*begun, Hang()], IDLE),
        ([*begun, *beating], IDLE),
        ([Pause(6), *begun, *beating], 6 + IDLE),
    ]
    async with open_scene(dialect) as scene:
        for steps, at in cases:
            began = trio.current_time()
            with pytest.raises(ProviderUnavailable, match="fell silent"):
                await scene.ask(*steps)
            assert trio.current_time() - began == at
            await trio.testing.wait_all_tasks_blocked()
            assert (scene.server.requests[-1].how, scene.pooled) == ("client_left", [])


@every_dialect
async def test_thoughts_and_calls_are_life(dialect: Dialect, autojump_clock: Clock) -> None:
    pause = scripted.Pause(4)
    thoughts: list[scripted.Step] = [pause, Say.reasoning("hm")] * 3
    call: list[scripted.Step] = [
        pause,
        Say.tool_call("look", '{"x"'),
        pause,
        scripted.events(),
        Say.tool_call("", ":1}", call_id=""),
    ]
    async with open_scene(dialect) as scene:
        ear = await scene.ask_told(*thoughts, pause, Say.text("a"), *call, pause, scripted.End("tool_calls"))
        assert (ear.reasoning, ear.text, ear.reasons) == ("hmhmhm", "a", ["tool_calls"])


@every_dialect
async def test_an_end_held_open_is_an_end(dialect: Dialect, autojump_clock: Clock) -> None:
    whole = on_the_wire(dialect, [Say.text("a")])
    async with open_scene(dialect) as scene:
        assert (await scene.ask(*whole, Hang())).reasons == ["stop"]
        assert trio.current_time() == DRAIN
        assert (await scene.ask(*whole)).reasons == ["stop"]
        assert (await scene.ask(*whole)).reasons == ["stop"]
        assert [request.connection for request in scene.server.requests] == [1, 2, 2]


async def test_a_message_without_its_stop_is_whole(autojump_clock: Clock) -> None:
    *said, end = on_the_wire(MESSAGES, [Say.text("a")])
    assert isinstance(end, Write)
    async with open_scene(MESSAGES) as scene:
        ear = await scene.ask(*said, Write(end.data.partition(b"event: message_stop")[0]), Hang())
        assert ear.reasons == ["stop"]
        assert trio.current_time() == TAIL
