"""What a model server's refusals become: the class that says what to do, the fields, one line of text."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from model_server import KEY, Hang, Head, Pause, Respond, Step, Write, refuse, reply, say, stream_error, usage
from provider_scenes import Ear, listen, open_scene

from triolet.config import Secret
from triolet.errors import ContextTooLong, ProviderError, ProviderRejected, ProviderUnavailable

PAGE = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head></html>"
HTML = (("Content-Type", "text/html; charset=utf-8"),)

UNAVAILABLE: list[tuple[Step, str, float | None]] = [
    (refuse(408, "too late"), "(408): too late", None),
    (refuse(409, "busy"), "(409): busy", None),
    (refuse(429, "slow down"), "(429): slow down", None),
    (refuse(429, "slow down", headers=(("Retry-After", "20"),)), "(429): slow down", 20.0),
    (refuse(429, "slow down", headers=(("Retry-After", "0.5"),)), "(429): slow down", 0.5),
    (refuse(429, "slow down", headers=(("Retry-After", "0"),)), "(429): slow down", 0.0),
    (refuse(429, "a", headers=(("Retry-After", "Wed, 21 Oct 2099 07:28:00 GMT"),)), "(429): a", None),
    (refuse(429, "a", headers=(("Retry-After", "-5"),)), "(429): a", None),
    (refuse(429, "a", headers=(("Retry-After", "nan"),)), "(429): a", None),
    (refuse(429, "a", headers=(("Retry-After", "inf"),)), "(429): a", None),
    (refuse(500, "oops"), "(500): oops", None),
    (refuse(503, "later", headers=(("Retry-After", "7"),)), "(503): later", 7.0),
    (refuse(522, "timed out"), "(522): timed out", None),
    (refuse(529, "overloaded"), "(529): overloaded", None),
    (Respond(502, PAGE, HTML), "(502)", None),
    (Respond(503, b""), "(503)", None),
]


@pytest.mark.parametrize(("answer", "text", "retry_after"), UNAVAILABLE)
async def test_what_may_work_later(
    answer: Step, text: str, retry_after: float | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene() as scene:
        with pytest.raises(ProviderUnavailable) as caught:
            await scene.ask(answer)
        assert str(caught.value) == f"the provider cannot answer now {text}"
        assert caught.value.retry_after == retry_after
        assert len(scene.server.requests) == 1, "the SDK repeated it"
        assert trio.current_time() == 0
        assert (await listen(scene.provider)).text == "Hello."


BAD_KEY = "the provider refuses the API key"
ELSEWHERE = (("Location", "http://other.test/v1/chat/completions"),)

REJECTED: list[tuple[Respond, str]] = [
    (refuse(401, "Incorrect API key"), f"{BAD_KEY} (401): check model.api_key"),
    (refuse(403, "Forbidden"), f"{BAD_KEY} (403): check model.api_key"),
    (refuse(400, "bad"), "the provider refused the request (400): bad"),
    (refuse(429, "no quota", code="insufficient_quota"), "the provider refused the request (429): no quota"),
    (refuse(402, "no credit"), "the provider refused the request (402): no credit"),
    (
        refuse(404, "The model `x` does not exist"),
        "the provider refused the request (404): The model `x` does not exist",
    ),
    (refuse(413, "too large"), "the provider refused the request (413): too large"),
    (refuse(400, "\n\n first \nsecond"), "the provider refused the request (400): first"),
    (refuse(400, "a\x1b[31m\tb\u202ec"), "the provider refused the request (400): a[31mbc"),
    (refuse(400, "x" * 1000), f"the provider refused the request (400): {'x' * 200}"),
    (Respond(404, PAGE, HTML), "the provider refused the request (404)"),
    (Respond(404, b"404 page not found\n"), "the provider refused the request (404): 404 page not found"),
    (Respond(400, {"error": "plain"}), "the provider refused the request (400): plain"),
    (Respond(400, {"message": "flat"}), "the provider refused the request (400): flat"),
    (Respond(405, {"detail": "Method Not Allowed"}), "the provider refused the request (405): Method Not Allowed"),
    (Respond(422, {"detail": [{"loc": ["body"]}]}), "the provider refused the request (422)"),
    (Respond(400, [{"error": {"message": "wrapped"}}]), "the provider refused the request (400): wrapped"),
    (Respond(400, {"error": {"message": {"deep": 1}}}), "the provider refused the request (400)"),
    (Respond(400, {"error": None}), "the provider refused the request (400)"),
    (Respond(400, b"\xff\xfe"), "the provider refused the request (400): ��"),
    (Respond(400, b"[" * 100_000), f"the provider refused the request (400): {'[' * 200}"),
    (Respond(307, b"", ELSEWHERE), "the provider has moved (307): check model.base_url"),
    (Respond(302, b"", (("Location", "http://[bad"),)), "the provider has moved (302): check model.base_url"),
    (Respond(200, PAGE, HTML), "the provider did not stream (200, text/html): check model.base_url"),
    (Respond(200, [{"choices": []}]), "the provider did not stream (200, application/json): check model.base_url"),
    (Respond(200, b""), "the provider did not stream (200, of no type): check model.base_url"),
    (Respond(204, b""), "the provider did not stream (204, of no type): check model.base_url"),
]


@pytest.mark.parametrize(("answer", "text"), REJECTED)
async def test_what_never_will(answer: Respond, text: str, autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        with pytest.raises(ProviderRejected) as caught:
            await scene.ask(answer)
        assert type(caught.value) is ProviderRejected
        assert str(caught.value) == text
        assert caught.value.status == answer.status
        assert len(scene.server.requests) == 1
        assert (await listen(scene.provider)).text == "Hello."


TOO_LONG: list[Step] = [
    refuse(400, "Please shorten it.", code="context_length_exceeded"),
    refuse(400, "This model's maximum Context Length is 8192 tokens"),
    refuse(400, "the request exceeds the available context size, try increasing it"),
    refuse(400, "prompt is too long: 210000 tokens > 200000 maximum"),
    refuse(413, "larger than the context window"),
]


@pytest.mark.parametrize("answer", TOO_LONG)
async def test_a_conversation_that_is_too_long(answer: Step, autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        with pytest.raises(ContextTooLong, match="the conversation is too long for the model: ") as caught:
            await scene.ask(answer)
        assert caught.value.status in {400, 413}


async def test_a_stream_that_says_so_first_is_too_long_as_well(autojump_clock: trio.testing.MockClock) -> None:
    said = "Your input exceeds the context window of this model"
    async with open_scene() as scene:
        with pytest.raises(ContextTooLong, match=said):
            await scene.ask(usage(), stream_error(said))
        with pytest.raises(ProviderUnavailable, match=said):
            await scene.ask(say("a"), stream_error(said))


async def test_a_refusal_that_never_ends_is_silence(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        with pytest.raises(ProviderUnavailable, match="fell silent"):
            await scene.ask(Head(500, HTML), Write(b"<html>"), Hang())
        assert trio.current_time() == 7.0


async def test_an_error_that_cannot_be_decoded(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        with pytest.raises(ProviderUnavailable, match="DecodingError"):
            await scene.ask(Respond(500, b"oops", (("Content-Encoding", "gzip"),)))


async def test_headers_without_end(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        with pytest.raises(ProviderUnavailable, match="RemoteProtocolError"):
            await scene.ask(Head(200, (("X-Long", "x" * 200_000),)), *reply("a"))


STREAM_ERRORS: list[tuple[Any, str]] = [
    ({"message": "overloaded\nplease wait"}, "overloaded"),
    ({"message": "x" * 1000}, "x" * (200 - len("the provider broke off: "))),
    ("plain", "plain"),
]


@pytest.mark.parametrize(("error", "text"), STREAM_ERRORS)
async def test_an_error_inside_the_stream_is_one_line(
    error: Any, text: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene() as scene:
        with pytest.raises(ProviderUnavailable) as caught:
            await scene.ask(Head(), Write(stream_error("").data.replace(b'{"message": ""}', _json(error))))
        assert str(caught.value) == f"the provider broke off: {text}"


def _json(value: Any) -> bytes:
    return Respond(200, value).response().body


async def test_a_wrong_key_and_a_wrong_path(autojump_clock: trio.testing.MockClock) -> None:
    """Against the server's own strictness, not a prepared answer."""
    async with open_scene(api_key=Secret("sk-wrong")) as scene:
        with pytest.raises(ProviderRejected, match=r"check model\.api_key"):
            await listen(scene.provider)
    async with open_scene(base_url="http://model.test") as scene:
        with pytest.raises(ProviderRejected, match="POST /chat/completions is not"):
            await listen(scene.provider)


async def test_text_before_a_failure_stands(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        ear = Ear()
        with pytest.raises(ProviderError):
            await scene.ask(*reply("a")[:2], Pause(1), stream_error(f"no {KEY} here"), ear=ear)
        assert (ear.text, ear.reasons) == ("a", [])
