"""Servers that do not stream: a JSON body instead of events, and refusals to stream at all."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from model_dialects import ChatTeller
from model_server import Hang, Head, Pause, Reset, Respond, Step, Write, done, finish, refuse, reply, say
from provider_scenes import Ear, Scene, open_scene, open_tcp_scene

from triolet.core.events import Finished, TextDelta
from triolet.errors import ProviderError, ProviderRejected, ProviderUnavailable
from triolet.providers.refusals import Refusal

JSON = (("Content-Type", "application/json"),)


def whole(text: str) -> dict[str, Any]:
    """A whole answer to a request for Chat Completions."""
    teller = ChatTeller()
    teller.tell(TextDelta(text))
    return teller.whole("stop")


WHOLE = Respond(200, whole("Grüße 👋")).response().body


@pytest.mark.case("L7")
async def test_an_answer_in_one_piece_is_read_whole(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        ear = await scene.ask(Respond(200, whole("Grüße 👋")))
        assert ear.batches[0][0] == TextDelta("Grüße 👋")
        assert ear.reasons == ["stop"]
        assert len(scene.server.requests) == 1
        assert [connection.is_reusable for connection in scene.pooled] == [True]


ODD_WHOLES: dict[str, list[Step]] = {
    "of a type that says otherwise": [Head(200, (("Content-Type", "text/event-stream"),)), Write(WHOLE)],
    "after keep-alive spaces": [Head(200, JSON), Write(b"\n \n"), Pause(3), Write(b" \r\n"), Write(WHOLE)],
    "byte by byte": [Head(200, JSON), *(Write(WHOLE[at : at + 1]) for at in range(len(WHOLE)))],
}


@pytest.mark.parametrize("case", ODD_WHOLES)
async def test_however_it_comes(case: str, autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        assert (await scene.ask(*ODD_WHOLES[case])).text == "Grüße 👋"


@pytest.mark.case("L7", "RR10")
async def test_an_answer_in_one_piece_that_was_cut_is_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        for size in range(1, len(WHOLE)):
            for end in ([], [Reset()]):
                ear = Ear()
                with pytest.raises(ProviderUnavailable):
                    await scene.ask(Head(200, JSON), Write(WHOLE[:size]), *end, ear=ear)
                assert ear.events == []


async def test_an_answer_that_is_too_large(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        with pytest.raises(ProviderUnavailable, match="longer than 4194304 bytes"):
            await scene.ask(Head(200, JSON), Write(b"{"), *[Write(b" " * 1_000_000)] * 5)


async def test_silence_within_it_is_silence(autojump_clock: trio.testing.MockClock) -> None:
    beating: list[Step] = [Pause(1), Write(b" ")] * 100
    async with open_scene() as scene:
        with pytest.raises(ProviderUnavailable, match="fell silent"):
            await scene.ask(Head(200, JSON), Write(WHOLE[:9]), *beating)
        assert trio.current_time() == 5.0


NOT_STREAMING: list[Respond] = [
    refuse(400, "Your organization must be verified to stream this model. Please go to: ...", param="stream"),
    refuse(400, "Unsupported value: 'stream' does not support true with this model."),
    refuse(400, "Streaming is not supported"),
    refuse(422, "this model cannot be streamed: streaming is disabled"),
    refuse(400, "no", param="stream"),
]


@pytest.mark.case("L7")
@pytest.mark.parametrize("refusal", NOT_STREAMING, ids=range(len(NOT_STREAMING)))
async def test_a_refusal_to_stream_is_asked_again_at_once_for_this_request_only(
    refusal: Respond, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene() as scene:
        scene.server.answer(refusal)
        assert (await scene.ask(Respond(200, whole("a")))).events[:2] == [TextDelta("a"), Finished("stop")]
        assert trio.current_time() == 0
        first, second = (request.body for request in scene.server.requests)
        assert second == {**{k: v for k, v in first.items() if k != "stream_options"}, "stream": False}
        await scene.ask(*reply("b"))
        assert scene.server.requests[-1].body == first


async def test_whoever_streams_all_the_same_is_heard(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        scene.server.answer(NOT_STREAMING[0])
        assert (await scene.ask(*reply("a", "b"))).text == "ab"


async def test_without_streaming_only_the_limit_of_all_holds(autojump_clock: trio.testing.MockClock) -> None:
    """The first byte of such an answer comes with the last."""
    async with open_scene() as scene:
        scene.server.answer(Pause(6), NOT_STREAMING[0])
        assert (await scene.ask(Pause(90), Respond(200, whole("a")))).text == "a"
        assert trio.current_time() == 96.0
        scene.server.answer(Pause(6), NOT_STREAMING[0])
        with pytest.raises(ProviderUnavailable, match="no end after 100 s"):
            await scene.ask(Hang())
        assert trio.current_time() == 196.0


async def test_a_refusal_of_both_is_the_second_one(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        scene.server.answer(NOT_STREAMING[0])
        with pytest.raises(
            ProviderRejected, match=r"^the provider refused the request \(400\): This model only streams"
        ):
            await scene.ask(refuse(400, "This model only streams: streaming must be enabled, else not supported"))
        assert len(scene.server.requests) == 2


async def asked_once(scene: Scene, refusal: Respond) -> None:
    with pytest.raises(ProviderError):
        await scene.ask(refusal)
    assert len(scene.server.requests) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        refuse(400, "Streaming is required for operations that may take long"),
        refuse(400, "the upstream is not supported"),
        refuse(401, "not verified to stream"),
        refuse(429, "streaming is not available now"),
        refuse(400, "bad", param="messages"),
    ],
    ids=lambda refusal: str(refusal.body["error"]["message"]),
)
async def test_other_refusals_are_not(refusal: Respond, autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        await asked_once(scene, refusal)


@pytest.mark.parametrize(
    "refusal",
    [refuse(400, "no", param="stream_options"), refuse(422, "Extra inputs are not permitted: stream_options")],
    ids=["param", "text"],
)
async def test_a_server_without_the_count_of_tokens_streams_without_it(
    refusal: Respond, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene() as scene:
        scene.server.answer(refusal)
        assert (await scene.ask(say("a"), finish(), done())).events == [TextDelta("a"), Finished("stop")]
        first, second = (request.body for request in scene.server.requests)
        assert second == {name: value for name, value in first.items() if name != "stream_options"}


def test_reasoning_to_be_sent_back_is_left_out_where_a_model_has_none() -> None:
    parameters = {"stream": True, "include": ["reasoning.encrypted_content"]}
    said = "Encrypted content is not supported with this model."
    for refusal in (Refusal(400, said), Refusal(400, "no", param="include")):
        assert refusal.conceded(parameters) == {"stream": True}
        assert refusal.conceded({"stream": True}) is None


async def test_over_tcp() -> None:
    async with open_tcp_scene() as scene:
        scene.server.answer(NOT_STREAMING[0])
        assert (await scene.ask(Respond(200, whole("a")))).text == "a"
