"""What a Chat Completions provider asks of its server, and that asking starts no thread."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from model_server import done, finish, say
from provider_scenes import Ear, Scene, model_settings, open_scene, open_tcp_scene

from triolet.core.conversation import Ending, Message, OpaquePart, TextPart
from triolet.core.ports import ModelRequest
from triolet.providers.openai_chat import OpenAIChatProvider
from triolet.providers.openai_sdk import is_openai

TALK = [
    Message.of("user", "Hi 👋"),
    Message.of("assistant", "Hel", Ending.STOPPED),
    Message("assistant", (OpaquePart("anthropic", {"type": "thinking"}),)),
    Message("user", (TextPart("Go "), OpaquePart("other", {}), TextPart("on"))),
]


async def asked(scene: Scene, request: ModelRequest) -> object:
    await scene.provider.stream(request, Ear())
    assert not scene.server.requests[-1].problem
    return scene.server.requests[-1].body


async def test_the_body_of_a_request(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene(name="some/model") as scene:
        assert await asked(scene, ModelRequest(TALK, "Be brief.", 77)) == {
            "model": "some/model",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi 👋"},
                {"role": "assistant", "content": "Hel"},
                {"role": "user", "content": "Go on"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 77,
        }
        assert scene.server.requests[0].headers["host"] == "model.test"


async def test_without_a_system_prompt_there_is_no_system_message(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        body = await asked(scene, ModelRequest(TALK[:1]))
        assert isinstance(body, dict)
        assert body["messages"] == [{"role": "user", "content": "Hi 👋"}]


async def test_half_a_surrogate_pair_can_be_asked(autojump_clock: trio.testing.MockClock) -> None:
    """JSON from Telegram may hold one; UTF-8 cannot."""
    async with open_scene() as scene:
        body = await asked(scene, ModelRequest([Message.of("user", "a\ud83d b\ude00 \ud83d\ude00")], "\udc00"))
        assert isinstance(body, dict)
        assert [message["content"] for message in body["messages"]] == ["�", "a� b� 😀"]


async def test_openai_itself_takes_the_new_name_of_the_limit() -> None:
    """Its newer models refuse max_tokens; other servers may know nothing else. No network: nothing is sent."""
    for base_url, limit, other in (
        ("", "max_completion_tokens", "max_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens", "max_tokens"),
        ("https://api.openai.com.test/v1", "max_tokens", "max_completion_tokens"),
        ("https://model.test/v1", "max_tokens", "max_completion_tokens"),
    ):
        assert is_openai(model_settings(base_url=base_url)) == (limit == "max_completion_tokens")
        async with OpenAIChatProvider(model_settings(base_url=base_url)) as provider:
            parameters = provider._parameters(ModelRequest(TALK, max_tokens=5))
            assert parameters[limit] == 5
            assert other not in parameters
            host = str(provider._client.base_url)
            assert host == (f"{base_url}/" if base_url else "https://api.openai.com/v1/")


def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a thread was started")

    monkeypatch.setattr("trio._threads.start_thread_soon", refuse)


async def test_the_first_request_starts_no_thread(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """An SDK asks for the platform in one, and a virtual clock would leap over it."""
    refuse_threads(monkeypatch)
    async with open_scene() as scene:
        await scene.ask(say("a"), finish(), done())
    assert trio.to_thread.current_default_thread_limiter().statistics().borrowed_tokens == 0


async def test_the_first_request_over_tcp_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_tcp_scene() as scene:
        refuse_threads(monkeypatch)
        await scene.ask(say("a"), finish(), done())
