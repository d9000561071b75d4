"""What the benchmark's server plays is whole: each dialect's decoder hears every word of it, and its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

from canned_server import STREAMS, words

from triolet.core.dialects.anthropic_messages import AnthropicDecoder
from triolet.core.dialects.openai_chat import OpenAIChatDecoder
from triolet.core.dialects.openai_responses import OpenAIResponsesDecoder
from triolet.core.dialects.wire import WireDecoder
from triolet.core.events import Finished, TextDelta, UsageReported

DECODERS: dict[str, Callable[[], WireDecoder]] = {
    "/v1/chat/completions": OpenAIChatDecoder,
    "/v1/responses": OpenAIResponsesDecoder,
    "/v1/messages": AnthropicDecoder,
}


@pytest.mark.parametrize("path", STREAMS)
def test_a_canned_answer_is_whole(path: str) -> None:
    decoder = DECODERS[path]()
    events = [event for chunk in STREAMS[path](20) for event in decoder.receive_data(chunk)]
    assert [event.text for event in events if isinstance(event, TextDelta)] == list(words(20))
    [finished] = [event for event in events if isinstance(event, Finished)]
    [*_, usage] = [event for event in events if isinstance(event, UsageReported)]
    assert finished.reason == "stop"
    assert (usage.input_tokens, usage.output_tokens) == (9, 20)
    assert {type(event) for event in events} == {TextDelta, UsageReported, Finished}
    assert decoder.done
