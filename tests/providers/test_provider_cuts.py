"""A stream of any dialect, cut all along: what came before stands, once, and nothing passes for whole that is not."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from model_dialects import DIALECTS, Dialect
from model_server import Head, Reset, Respond, Write, body_of, in_pieces
from provider_scenes import Ear, in_one_piece, on_the_wire, open_scene, open_tcp_scene

from triolet.core.events import FinishReason, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta, UsageReported
from triolet.errors import ProviderUnavailable
from triolet.providers.scripted import End, events

SAID: list[StreamEvent] = [
    ReasoningDelta("hm"),
    TextDelta("Grüße "),
    TextDelta("👋!"),
    ToolCallDelta(0, "call_1", "look", '{"x": '),
    ToolCallDelta(0, "", "", "1}"),
    ToolCallDelta(1, "call_2", "rest", "{}"),
    UsageReported(7, 3),
]
STRIDE = 19
"""Bytes from one cut to the next; the decoders' own tests try each of them."""

TEXT = "Grüße 👋!"
CALLS = [("call_1", "look", '{"x": 1}'), ("call_2", "rest", "{}")]


def recorded(dialect: Dialect) -> bytes:
    return body_of(on_the_wire(dialect, [*(events(event) for event in SAID), End("tool_calls")]))


def name(dialect: Dialect) -> str:
    return dialect.name


@pytest.mark.case("RR9", "RR10", "L7")
@pytest.mark.parametrize("broken", [True, False], ids=["broken", "in order"])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_stream_that_ends_too_early(
    dialect: Dialect, broken: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """In order, as a proxy ends it that lost the server: nothing fails then, but nothing says that it was all."""
    body = recorded(dialect)
    async with open_scene(dialect) as scene:
        whole, shorter = await scene.ask(Write(body)), Ear()
        assert (whole.text, whole.calls, whole.reasons) == (TEXT, CALLS, ["tool_calls"])
        for offset in range(0, len(body), STRIDE):
            ear, failed = Ear(), False
            try:
                await scene.ask(Head(), Write(body[:offset]), *([Reset()] if broken else []), ear=ear)
            except ProviderUnavailable:
                failed = True
            assert ear.reasons in ([], ["tool_calls"])
            assert failed == (broken and not ear.reasons), offset
            assert TEXT.startswith(ear.text), offset
            assert len(ear.text) >= len(shorter.text), offset
            assert not ear.reasons or (ear.text, ear.calls) == (TEXT, CALLS), offset
            shorter = ear
        assert shorter.text == TEXT


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_stream_split_anywhere_is_the_same(dialect: Dialect, autojump_clock: trio.testing.MockClock) -> None:
    body = recorded(dialect)
    async with open_scene(dialect) as scene:
        whole = (await scene.ask(Write(body))).said
        for size in (1, 2, 3, 7, 61):
            assert (await scene.ask(*in_pieces([Write(body)], size))).said == whole


@pytest.mark.case("RR10")
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_a_reset_over_tcp_never_passes_for_whole(dialect: Dialect) -> None:
    body = recorded(dialect)
    async with open_tcp_scene(dialect) as scene:
        for offset in range(0, len(body), 211):
            ear = Ear()
            try:
                await scene.ask(Head(), Write(body[:offset]), Reset(), ear=ear)
            except ProviderUnavailable:
                assert ear.reasons == []
            else:
                assert ear.calls == CALLS
            assert TEXT.startswith(ear.text)


@pytest.mark.case("L7")
@pytest.mark.parametrize("reason", ["tool_calls", "length"])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_an_answer_in_one_piece_is_the_same(
    dialect: Dialect, reason: FinishReason, autojump_clock: trio.testing.MockClock
) -> None:
    said = SAID if reason == "tool_calls" else [event for event in SAID if not isinstance(event, ToolCallDelta)]
    async with open_scene(dialect) as scene:
        ear = await scene.ask(in_one_piece(dialect, tuple(said), reason))
        assert (ear.reasoning, ear.text, ear.reasons) == ("hm", TEXT, [reason])
        assert [(call, tool) for call, tool, _ in ear.calls] == [call[:2] for call in CALLS if reason == "tool_calls"]
        assert ear.usage is not None
        assert (ear.usage.input_tokens, ear.usage.output_tokens) == (7, 3)


@pytest.mark.case("L7")
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
async def test_who_refuses_to_stream_is_asked_for_it_in_one_piece(
    dialect: Dialect, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene(dialect) as scene:
        refusal = dialect.refusal("Streaming is not supported here", param="stream")
        scene.server.script = lambda body: (
            [in_one_piece(dialect, (TextDelta("a"),))]
            if not body["stream"]
            else on_the_wire(dialect, [events(TextDelta("b"))])
        )
        assert (await scene.ask(Respond(400, refusal))).text == "a"
        assert (await scene.ask(*on_the_wire(dialect, [events(TextDelta("c"))]))).text == "c"
        assert [request.body["stream"] for request in scene.server.requests] == [True, False, True]
