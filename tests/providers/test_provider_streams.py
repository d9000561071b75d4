"""How Chat Completions' bytes become events, wherever they are cut: the provider behind a real HTTP connection."""

from __future__ import annotations

import gzip

import pytest
import trio
import trio.testing
from model_server import (
    Hang,
    Head,
    Reset,
    Step,
    Write,
    body_of,
    chunk,
    comment,
    cut_after,
    data,
    done,
    finish,
    in_pieces,
    reply,
    say,
    stream_error,
    usage,
)
from provider_scenes import Ear, open_scene, open_tcp_scene

from triolet.core.events import Finished, FinishReason, TextDelta, UsageReported
from triolet.errors import ProviderError, ProviderUnavailable

TEXTS = ["Grüße ", "👋", "!"]
SAID = "".join(TEXTS)
RECORDED = body_of([*map(say, TEXTS), comment(), finish("length"), usage(), done()])
ENDS = [len(body_of(map(say, TEXTS[: count + 1]))) for count in range(len(TEXTS))]
"""Where the event of each text ends."""
FINISHED = len(RECORDED) - len(usage().data + done().data)
"""Where the event ends that finishes the answer."""


def said_within(offset: int) -> str:
    """The text that the first bytes hold whole."""
    return "".join(text for text, end in zip(TEXTS, ENDS, strict=True) if end <= offset)


SSE = ("Content-Type", "text/event-stream")


@pytest.mark.case("RR9", "RR10", "L7")
async def test_a_stream_broken_at_any_byte_is_a_prefix_and_never_passes_for_whole(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_scene() as scene:
        for offset in range(len(RECORDED) + 1):
            ear, failed = Ear(), False
            try:
                await scene.ask(*cut_after([Write(RECORDED)], offset), ear=ear)
            except ProviderUnavailable:
                failed = True
            assert failed == (offset < FINISHED), offset
            assert ear.reasons == ([] if failed else ["length"]), offset
            assert ear.text == said_within(offset), offset


@pytest.mark.case("RR9", "RR10", "L7")
async def test_a_stream_that_ends_in_order_at_any_byte_never_passes_for_whole(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As a proxy ends it that lost the server: nothing fails, but nothing says that it was all."""
    async with open_scene() as scene:
        for offset in range(len(RECORDED) + 1):
            ear = await scene.ask(Head(), Write(RECORDED[:offset]))
            assert ear.reasons == (["length"] if offset >= FINISHED else []), offset
            assert ear.text == said_within(offset), offset


async def test_a_stream_split_at_any_byte_is_the_same(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        whole = (await scene.ask(Write(RECORDED))).said
        assert whole[0] == TextDelta(SAID)
        for offset in range(1, len(RECORDED)):
            ear = await scene.ask(Write(RECORDED[:offset]), Write(RECORDED[offset:]))
            assert ear.said == whole, offset
        for size in (1, 2, 7):
            assert (await scene.ask(*in_pieces([Write(RECORDED)], size))).said == whole


async def test_a_reset_over_tcp_never_passes_for_whole() -> None:
    async with open_tcp_scene() as scene:
        for offset in range(0, len(RECORDED), 61):
            ear = Ear()
            try:
                await scene.ask(*cut_after([Write(RECORDED)], offset), ear=ear)
            except ProviderUnavailable:
                assert ear.reasons == []
            else:
                assert offset >= FINISHED
                assert ear.reasons == ["length"]
            assert SAID.startswith(ear.text)


async def test_a_stream_that_says_done_without_a_finish_was_cut(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        assert (await scene.ask(say("a"), done(), say("b"))).events == [TextDelta("a")]
        assert (await scene.ask(say("a"), done(), Hang())).events == [TextDelta("a")]
        assert trio.current_time() == 0.1


async def test_a_finish_is_a_finish_without_done(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        assert (await scene.ask(say("a"), finish())).events == [TextDelta("a"), Finished("stop")]


REASONS: list[tuple[str, FinishReason]] = [
    ("stop", "stop"),
    ("length", "length"),
    ("tool_calls", "tool_calls"),
    ("function_call", "tool_calls"),
    ("content_filter", "content_filter"),
    ("eos_token", "other"),
]


@pytest.mark.parametrize(("theirs", "ours"), REASONS)
async def test_reasons(theirs: str, ours: FinishReason, autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        assert (await scene.ask(*reply("a", reason=theirs))).reasons == [ours]


async def test_text_in_the_chunk_of_the_finish_comes_first(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        ear = await scene.ask(chunk({"content": "a"}, "stop"), say("late"), finish("length"), usage(), done())
        assert ear.events == [TextDelta("a"), Finished("stop"), UsageReported(5, 2)]


async def test_an_error_inside_the_stream_comes_after_the_text_of_the_same_read(
    autojump_clock: trio.testing.MockClock,
) -> None:
    together = Write(body_of([say("a"), say("b"), stream_error("overloaded")]))
    async with open_scene() as scene:
        for steps in ([say("a"), say("b"), stream_error("overloaded")], [together], in_pieces([together])):
            ear = Ear()
            with pytest.raises(ProviderUnavailable, match=r"^the provider broke off: overloaded$"):
                await scene.ask(*steps, ear=ear)
            assert ear.said == (TextDelta("ab"),)


async def test_a_compressed_stream(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        packed = gzip.compress(body_of(reply("a", "b")))
        assert (await scene.ask(Head(200, (SSE, ("Content-Encoding", "gzip"))), Write(packed))).text == "ab"


async def test_the_type_of_a_stream_does_not_matter(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        for kind in ("text/plain", "application/json", "text/event-stream; charset=nonsense", ""):
            head = Head(200, (("Content-Type", kind),))
            assert (await scene.ask(head, *reply("a"))).reasons == ["stop"]
            assert (await scene.ask(head, say("a"))).events == [TextDelta("a")], "cut off, but a stream"


BROKEN: dict[str, list[Step]] = {
    "not JSON": [say("a"), data("oops")],
    "a list": [say("a"), data("[1]")],
    "a number as text": [say("a"), data({"choices": [{"delta": {"content": 5}}]})],
    "no HTTP chunk": [say("a"), Reset()],
    "a line without end": [say("a"), *[Write(b"data: " + b"x" * 1_000_000)] * 5],
    "brackets without end": [say("a"), data('{"x": ' + "[" * 100_000)],
    "packed nonsense": [Head(200, (SSE, ("Content-Encoding", "gzip"))), Write(b"oops")],
}


@pytest.mark.parametrize("case", BROKEN)
async def test_nonsense_in_a_stream_is_one_plain_error(case: str, autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene() as scene:
        ear = Ear()
        with pytest.raises(ProviderError) as caught:
            await scene.ask(*BROKEN[case], ear=ear)
        assert type(caught.value) is ProviderUnavailable
        assert ear.text == ("" if case == "packed nonsense" else "a")
        assert "\n" not in str(caught.value)
        await trio.testing.wait_all_tasks_blocked()
        assert len(scene.server.connections) == len(scene.pooled), "one whose answer was all there may be kept"
