"""Requests for Messages: tables of histories, and a judge as strict as Anthropic for all others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
from anthropic_streams import STREAMS
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.conversation import (
    Ending,
    Message,
    OpaquePart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from triolet.core.dialects.anthropic_messages import AnthropicDecoder
from triolet.core.dialects.anthropic_request import render_request
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.core.rounds import Round

TOOL: Final = ToolSpec("f", "It does f.", {"type": "object", "properties": {"x": {"type": "integer"}}})
THOUGHT: Final = OpaquePart("anthropic", {"type": "thinking", "thinking": "Hm", "signature": "s="})
HIDDEN: Final = OpaquePart("anthropic", {"type": "redacted_thinking", "data": "d="})
SEARCHED: Final = OpaquePart("anthropic", {"type": "web_search_tool_result", "tool_use_id": "s", "content": []})
FOREIGN: Final = OpaquePart("openai-responses", {"type": "reasoning"})


def user(*texts: str) -> Message:
    return Message("user", tuple(map(TextPart, texts)))


def said(*parts: Part | str) -> Message:
    return Message("assistant", tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def gave(*parts: ToolResultPart) -> Message:
    return Message("tool", parts)


def call(call_id: str = "a", arguments: str = "", name: str = "f") -> ToolCallPart:
    return ToolCallPart(call_id, name, arguments)


def result(call_id: str = "a", content: str = "42", *, is_error: bool = False) -> ToolResultPart:
    return ToolResultPart(call_id, content, is_error)


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def use(call_id: str = "a", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": arguments}


def outcome(call_id: str = "a", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, **({"content": "42"} | fields)}


def asked(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def answered(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def rendered(*messages: Message) -> list[dict[str, Any]]:
    body = render_request(ModelRequest(messages, tools=[TOOL]))
    assert refusals(body) == []
    turns: list[dict[str, Any]] = body["messages"]
    return turns


HI: Final = user("hi")
HI_: Final = asked(text("hi"))

HISTORIES: list[tuple[str, list[Message], list[dict[str, Any]]]] = [
    ("nothing", [], []),
    ("a question", [HI], [HI_]),
    (
        "roles take turns",
        [HI, user("there"), said("a"), said("b", "c"), user("d")],
        [asked(text("hi"), text("there")), answered(text("a"), text("b"), text("c")), asked(text("d"))],
    ),
    (
        "what is blank is left out",
        [user(" \n", "hi", ""), said("\t"), user(" "), user("there")],
        [HI_ | asked(text("hi"), text("there"))],
    ),
    (
        "white space of others stays",
        [user(" hi "), said(" a "), user("b\n")],
        [asked(text(" hi ")), answered(text(" a ")), asked(text("b\n"))],
    ),
    ("the user begins", [said("a", call()), gave(result()), HI, said("b")], [HI_, answered(text("b"))]),
    ("nobody begins", [said("a", call()), gave(result())], []),
    ("a prefill", [HI, said("a \n", "b c \n")], [HI_, answered(text("a \n"), text("b c"))]),
    ("a blank prefill", [HI, said(" \n")], [HI_]),
    ("a prefill of a blank end", [HI, said("a \n", " ")], [HI_, answered(text("a"))]),
    ("a prefill that is no text", [HI, said("a ", SEARCHED)], [HI_, answered(text("a "), SEARCHED.data)]),
    (
        "a partial answer is text",
        [HI, Message.of("assistant", "a", Ending.STOPPED), user("b")],
        [HI_, answered(text("a")), asked(text("b"))],
    ),
    (
        "a round with a tool",
        [HI, said("I look", call("a", '{"x": 1}')), gave(result()), said("42"), user("b")],
        [HI_, answered(text("I look"), use(x=1)), asked(outcome()), answered(text("42")), asked(text("b"))],
    ),
    (
        "results first, in their order, and then what the user says",
        [HI, said(call("a"), call("b")), gave(result("b", "2"), result("a", "1")), user("go on")],
        [HI_, answered(use("a"), use("b")), asked(outcome("b", content="2"), outcome("a", content="1"), text("go on"))],
    ),
    (
        "a result that is an error, is blank, or both",
        [
            HI,
            said(call("a"), call("b"), call("c")),
            gave(result("a", "no", is_error=True), result("b", " "), result("c", "\n", is_error=True)),
        ],
        [
            HI_,
            answered(use("a"), use("b"), use("c")),
            asked(
                outcome("a", content="no", is_error=True),
                {"type": "tool_result", "tool_use_id": "b"},
                outcome("c", content="failed", is_error=True),
            ),
        ],
    ),
    ("a call without its result", [HI, said("a", call()), user("b")], [HI_, answered(text("a")), asked(text("b"))]),
    ("nothing but such a call", [HI, said(THOUGHT, call()), user("b")], [asked(text("hi"), text("b"))]),
    ("a call at the end", [HI, said("a ", call())], [HI_, answered(text("a"))]),
    (
        "a result without its call",
        [HI, said("a"), gave(result()), user("b")],
        [HI_, answered(text("a")), asked(text("b"))],
    ),
    ("a result of nobody", [HI, gave(result()), said("a")], [HI_, answered(text("a"))]),
    (
        "a result too late",
        [HI, said("a", call()), user("b"), gave(result())],
        [HI_, answered(text("a")), asked(text("b"))],
    ),
    (
        "a result that the user gives",
        [HI, said("a", call()), Message("user", (result(), TextPart("b")))],
        [HI_, answered(text("a")), asked(text("b"))],
    ),
    (
        "half of the results",
        [HI, said(call("a"), call("b")), gave(result("b"), result("c"))],
        [HI_, answered(use("b")), asked(outcome("b"))],
    ),
    (
        "two of one id are one",
        [HI, said(call("a", '{"x": 1}'), call("a", '{"x": 2}')), gave(result("a", "1"), result("a", "2"))],
        [HI_, answered(use("a", x=1)), asked(outcome("a", content="1"))],
    ),
    (
        "an id that was there before, and strange ones",
        [
            HI,
            said(call("call_0")),
            gave(result("call_0", "1")),
            said(call("call_0"), call(""), call("functions.f:0"), call("call_2"), call("é" * 65)),
            gave(*(result(call_id, "2") for call_id in ("call_0", "", "functions.f:0", "call_2", "é" * 65))),
        ],
        [
            HI_,
            answered(use("call_0")),
            asked(outcome("call_0", content="1")),
            answered(*(use(f"call_{n}") for n in (1, 2, 3, 4, 5))),
            asked(*(outcome(f"call_{n}", content="2") for n in (1, 2, 3, 4, 5))),
        ],
    ),
    (
        "after a call comes nothing but calls",
        [HI, said("a", call("a"), "b", call("b"), "c", SEARCHED), gave(result("a"), result("b"))],
        [
            HI_,
            answered(text("a"), text("b"), text("c"), SEARCHED.data, use("a"), use("b")),
            asked(outcome("a"), outcome("b")),
        ],
    ),
    (
        "arguments that are no object, and names of others",
        [
            HI,
            said(call("a", "[1]"), call("b", "{"), ToolCallPart("c", "my.tool/é", "{}"), ToolCallPart("d", "", "{}")),
            gave(*map(result, "abcd")),
        ],
        [
            HI_,
            answered(use("a"), use("b"), use("c") | {"name": "my_tool__"}, use("d") | {"name": "_"}),
            asked(*map(outcome, "abcd")),
        ],
    ),
    (
        "the thinking of the turn that goes on",
        [HI, said(THOUGHT, HIDDEN, "a", call()), gave(result()), said(THOUGHT, call("b")), gave(result("b"))],
        [
            HI_,
            answered(THOUGHT.data, HIDDEN.data, text("a"), use()),
            asked(outcome()),
            answered(THOUGHT.data, use("b")),
            asked(outcome("b")),
        ],
    ),
    (
        "a word of the user's between the rounds does not end the turn",
        [HI, said(THOUGHT, call()), gave(result()), user("hurry"), said(THOUGHT, "a")],
        [HI_, answered(THOUGHT.data, use()), asked(outcome(), text("hurry")), answered(THOUGHT.data, text("a"))],
    ),
    (
        "the thinking of turns before",
        [HI, said(THOUGHT, call()), gave(result()), said(HIDDEN, "a"), user("b"), said(THOUGHT, "c")],
        [
            HI_,
            answered(use()),
            asked(outcome()),
            answered(text("a")),
            asked(text("b")),
            answered(THOUGHT.data, text("c")),
        ],
    ),
    ("thinking that ends its message", [HI, said("a", THOUGHT, HIDDEN)], [HI_, answered(text("a"))]),
    ("thinking and nothing else", [HI, said(THOUGHT, HIDDEN), user("b")], [asked(text("hi"), text("b"))]),
    (
        "thinking that does not begin its message",
        [HI, said("a"), said(THOUGHT, "b")],
        [HI_, answered(text("a"), text("b"))],
    ),
    (
        "thinking between",
        [HI, said(THOUGHT, "a", HIDDEN, call("a"), THOUGHT, call("b"), HIDDEN), gave(result("a"), result("b"))],
        [
            HI_,
            answered(THOUGHT.data, text("a"), HIDDEN.data, use("a"), THOUGHT.data, use("b")),
            asked(outcome("a"), outcome("b")),
        ],
    ),
    ("blocks of other dialects", [HI, said(FOREIGN, "a"), user("b")], [HI_, answered(text("a")), asked(text("b"))]),
    ("a block without a type", [HI, said(OpaquePart("anthropic", {"x": 1}), "a")], [HI_, answered(text("a"))]),
    (
        "parts of other roles",
        [HI, Message("user", (call(), result(), THOUGHT)), Message("assistant", (result(), TextPart("a")))],
        [HI_, answered(text("a"))],
    ),
]


@pytest.mark.parametrize(("messages", "expected"), [pytest.param(*row[1:], id=row[0]) for row in HISTORIES])
def test_messages(messages: list[Message], expected: list[dict[str, Any]]) -> None:
    assert rendered(*messages) == expected


USED: Final = [HI, said(call(name="g"), call("b")), gave(result(), result("b"))]
F: Final = {"name": "f", "description": "It does f.", "input_schema": dict(TOOL.parameters)}
NONE: Final = {"tool_choice": {"type": "none"}}

BODIES: list[tuple[str, ModelRequest, dict[str, Any]]] = [
    ("messages alone", ModelRequest([HI]), {}),
    ("a system prompt", ModelRequest([HI], " be kind\ud83d "), {"system": " be kind\ufffd "}),
    ("a blank one", ModelRequest([HI], " \n"), {}),
    ("a tool", ModelRequest([HI], tools=[TOOL]), {"tools": [F]}),
    (
        "a tool of few words",
        ModelRequest([HI], tools=[ToolSpec("f", " ", {})]),
        {"tools": [{"name": "f", "input_schema": {}}]},
    ),
    ("a tool that may not be called", ModelRequest(USED, tools=[TOOL], may_call=False), {"tools": [F], **NONE}),
    ("no tools to choose from", ModelRequest([HI], may_call=False), {}),
    (
        "tools that are gone",
        ModelRequest(USED),
        {"tools": [{"name": name, "input_schema": {"type": "object"}} for name in ("g", "f")], **NONE},
    ),
]


@pytest.mark.parametrize(("request_", "expected"), [pytest.param(*row[1:], id=row[0]) for row in BODIES])
def test_what_stands_beside_the_messages(request_: ModelRequest, expected: dict[str, Any]) -> None:
    body = render_request(request_)
    assert refusals(body) == []
    del body["messages"]
    assert body == expected


def test_half_of_a_pair_is_replaced_wherever_it_stands() -> None:
    half, whole = "\ud83d", "\ufffd"
    block = OpaquePart("anthropic", {"type": "x", half: [half, {half: half}]})
    messages = [user(f"a{half}"), said(block, call("a", '{"x": "\\ud83d"}')), gave(result("a", half))]
    spec = ToolSpec("f", half, {"type": "object", "description": half})
    body = render_request(ModelRequest(messages, tools=[spec]))
    assert body["messages"] == [
        asked(text(f"a{whole}")),
        answered({"type": "x", whole: [whole, {whole: whole}]}, use(x=whole)),
        asked(outcome(content=whole)),
    ]
    assert body["tools"] == [
        {"name": "f", "description": whole, "input_schema": {"type": "object", "description": whole}}
    ]


def test_what_json_does_not_know_is_null() -> None:
    numbers = '{"a": NaN, "b": [-Infinity, 1e999, 1.5, true, null]}'
    deep = '{"a":' * 500 + "[" * 300 + "]" * 300 + "}" * 500, '{"a": ' + "[" * 500 + "]" * 500 + "}"
    calls = [call("a", numbers), call("b", deep[0]), call("c", deep[1])]
    inputs = [block["input"] for block in rendered(HI, said(*calls), gave(*map(result, "abc")))[1]["content"]]
    assert inputs[0] == {"a": None, "b": [None, None, 1.5, True, None]}
    assert str(inputs[1]) == "{'a': " * 64 + "None" + "}" * 64
    assert str(inputs[2]) == "{'a': " + "[" * 63 + "None" + "]" * 63 + "}"


def test_a_name_is_not_too_long() -> None:
    (block,) = rendered(HI, said(call("a", name="f" * 129)), gave(result()))[1]["content"]
    assert block["name"] == "f" * 128


def test_what_was_said_goes_back_as_it_came() -> None:
    recorded = STREAMS["thinking, text and two calls"]
    heard = Round()
    heard.receive(AnthropicDecoder().receive_data(recorded.body))
    thinking, *others = rendered(HI, heard.message(), gave(result("toolu_01B"), result("toolu_01A")))[1]["content"]
    assert [thinking] == [part.data for part in heard.message().parts if isinstance(part, OpaquePart)]
    assert others == [
        text("I look at both."),
        {"type": "tool_use", "id": "toolu_01A", "name": "get_weather", "input": {"city": "Zürich"}},
        {"type": "tool_use", "id": "toolu_01B", "name": "get_weather", "input": {"city": "Bern"}},
    ]


def test_the_history_is_left_alone() -> None:
    block = OpaquePart("anthropic", {"type": "x", "content": [{"a": 1}]})
    body = render_request(ModelRequest([HI, said(block, "a")]))
    body["messages"][1]["content"][0]["content"][0]["a"] = 2
    assert block.data == {"type": "x", "content": [{"a": 1}]}


# The judge

THINKING: Final = {"thinking", "redacted_thinking"}
ID: Final = re.compile(r"\A[a-zA-Z0-9_-]{1,64}\Z")
NAME: Final = re.compile(r"\A[a-zA-Z0-9_-]{1,128}\Z")


def refusals(body: dict[str, Any]) -> list[str]:
    """What Anthropic would say to the request."""
    return [*_of_body(body), *_of_turns(body["messages"])]


def _of_body(body: dict[str, Any]) -> Iterator[str]:
    json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    if not body.keys() <= {"messages", "system", "tools", "tool_choice"}:
        yield "extra inputs are not permitted"
    if not body.get("system", "x").strip():
        yield "system must not be blank"
    tools = body.get("tools", [])
    if "tool_choice" in body and not tools:
        yield "tool_choice without tools"
    if not all(NAME.match(tool["name"]) and isinstance(tool["input_schema"], dict) for tool in tools):
        yield "a tool must have a name and a schema"
    if not tools and any(kind == "tool_use" for turn in body["messages"] for kind in _kinds(turn)):
        yield "requests with tool_use must define tools"


def _kinds(turn: dict[str, Any]) -> list[str]:
    return [block["type"] for block in turn["content"]]


def _of_turns(turns: list[dict[str, Any]]) -> Iterator[str]:
    if any(turn["role"] != ("user", "assistant")[n % 2] for n, turn in enumerate(turns)):
        yield "roles must alternate, the user first"
    every: list[str] = []
    open_ids: list[str] = []
    for turn in turns:
        yield from _of_results(turn, open_ids)
        open_ids = _ids_of(turn, "tool_use", "id")
        every += open_ids
        yield from _of_blocks(turn)
    if open_ids:
        yield "tool_use without a tool_result"
    if len(set(every)) != len(every):
        yield "tool_use ids must be unique"
    begun = [n for n, turn in enumerate(turns) if turn["role"] == "user" and "tool_result" not in _kinds(turn)]
    if any(THINKING & set(_kinds(turn)) for turn in turns[: max(begun, default=0)]):
        yield "a thinking block is bound to a different conversation"
    last = turns[-1]["content"][-1] if turns and turns[-1]["role"] == "assistant" else {}
    if last.get("text", "")[-1:].isspace():
        yield "final assistant content cannot end with trailing whitespace"


def _ids_of(turn: dict[str, Any], kind: str, key: str) -> list[str]:
    return [block[key] for block in turn["content"] if block["type"] == kind]


def _of_results(turn: dict[str, Any], open_ids: list[str]) -> Iterator[str]:
    results = _ids_of(turn, "tool_result", "tool_use_id")
    if sorted(results) != sorted(open_ids):
        yield "each tool_use must have its tool_result in the next message"
    if "tool_result" in _kinds(turn)[len(results) :]:
        yield "tool_result must come first"


def _of_blocks(turn: dict[str, Any]) -> Iterator[str]:
    kinds = _kinds(turn)
    if not kinds:
        yield "content must not be empty"
    allowed = (
        {"text", "tool_result"}
        if turn["role"] == "user"
        else {"text", "tool_use", "x", "web_search_tool_result", *THINKING}
    )
    if not set(kinds) <= allowed:
        yield "a block of another role"
    if THINKING & set(kinds) and (kinds[0] not in THINKING or kinds[-1] in THINKING):
        yield "thinking must be first and cannot be final"
    if "tool_use" in kinds and not set(kinds[kinds.index("tool_use") :]) <= {"tool_use", *THINKING}:
        yield "content after tool_use"
    for block in turn["content"]:
        if block["type"] == "text" and not block["text"].strip():
            yield "text content blocks must contain non-whitespace text"
        if block["type"] == "tool_use" and not (
            ID.match(block["id"]) and NAME.match(block["name"]) and isinstance(block["input"], dict)
        ):
            yield "a strange tool_use"
        if block["type"] == "tool_result" and not block.get("content", "" if block.get("is_error") else "x").strip():
            yield "a blank result"


JUDGED: list[tuple[str, list[dict[str, Any]]]] = [
    ("roles must alternate, the user first", [answered(text("a"))]),
    ("roles must alternate, the user first", [HI_, HI_]),
    ("roles must alternate, the user first", [HI_, answered(text("a")), answered(text("a"))]),
    ("content must not be empty", [asked()]),
    ("text content blocks must contain non-whitespace text", [asked(text(" \n"))]),
    ("final assistant content cannot end with trailing whitespace", [HI_, answered(text("a\n"))]),
    ("tool_use without a tool_result", [HI_, answered(use())]),
    ("each tool_use must have its tool_result in the next message", [HI_, answered(use()), HI_]),
    ("each tool_use must have its tool_result in the next message", [asked(outcome())]),
    (
        "each tool_use must have its tool_result in the next message",
        [HI_, answered(use()), asked(outcome(), outcome())],
    ),
    ("tool_result must come first", [HI_, answered(use()), asked(text("a"), outcome())]),
    ("tool_use ids must be unique", [HI_, *[answered(use()), asked(outcome())] * 2]),
    ("a strange tool_use", [HI_, answered(use("é")), asked(outcome("é"))]),
    ("a strange tool_use", [HI_, answered(use() | {"name": ""}), asked(outcome())]),
    ("a blank result", [HI_, answered(use()), asked(outcome(content=""))]),
    ("content after tool_use", [HI_, answered(use(), text("a")), asked(outcome())]),
    ("thinking must be first and cannot be final", [HI_, answered(text("a"), THOUGHT.data, text("b"))]),
    ("thinking must be first and cannot be final", [HI_, answered(THOUGHT.data)]),
    ("a thinking block is bound to a different conversation", [HI_, answered(THOUGHT.data, text("a")), HI_]),
    ("a block of another role", [asked(THOUGHT.data, text("a"))]),
]


@pytest.mark.parametrize(("refusal", "turns"), JUDGED)
def test_the_judge_refuses(refusal: str, turns: list[dict[str, Any]]) -> None:
    assert refusal in refusals({"messages": turns, "tools": [F]})


@pytest.mark.parametrize(
    "body",
    [
        {"stream": True},
        {"system": " "},
        NONE,
        {"tools": [F | {"name": "my.tool"}]},
        {"messages": [HI_, answered(use()), asked(outcome())]},
    ],
)
def test_the_judge_looks_beside_the_messages(body: dict[str, Any]) -> None:
    assert len(refusals({"messages": [HI_]} | body)) == 1


# Any history

TEXTS = st.sampled_from(["", " ", "a", "b \n", "\ud83d", "\u200b"]) | st.text(max_size=4)
IDS = st.sampled_from(["", "a", "b", "call_0", "call_1", "f.g:0"]) | st.text(max_size=3)
ARGUMENTS = st.sampled_from(["", "{}", '{"x": NaN}', '{"\\ud83d": ' + "[" * 70 + "]" * 70 + "}", "[]", "{"])
ANY_TEXT = TEXTS.map(TextPart)
OPAQUE = st.sampled_from(
    [THOUGHT, HIDDEN, SEARCHED, FOREIGN, OpaquePart("anthropic", {"type": "x", "\ude00": "\ude00"})]
)
CALLS = st.builds(ToolCallPart, IDS, IDS, ARGUMENTS)
RESULTS = st.builds(ToolResultPart, IDS, TEXTS, st.booleans())
ANY_PART: st.SearchStrategy[Part] = st.one_of(ANY_TEXT, OPAQUE, CALLS, RESULTS)
ANY_MESSAGE = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "tool"]),
    st.lists(ANY_PART, max_size=5).map(tuple),
    st.sampled_from(Ending),
)


@st.composite
def rounds(draw: st.DrawFn) -> list[Message]:
    """What an agent's round leaves: an answer with calls, their results, and now and then a word of the user's."""
    parts: list[Part] = draw(st.lists(st.one_of(ANY_TEXT, OPAQUE, CALLS), max_size=5))
    message = Message("assistant", tuple(parts))
    results = [draw(RESULTS) if draw(st.integers(0, 9)) == 0 else result(part.call_id) for part in message.calls]
    word = draw(st.lists(ANY_TEXT, max_size=1))
    return [message, gave(*results), *([Message("user", tuple(word))] if word else [])]


HISTORY = st.lists(
    st.one_of(ANY_MESSAGE.map(lambda message: [message]), rounds(), TEXTS.map(lambda said: [user(said)])), max_size=8
).map(lambda groups: [message for group in groups for message in group])


@given(HISTORY, TEXTS, st.sampled_from([(), (TOOL,)]), st.booleans())
@example([HI, said(THOUGHT, call()), gave(result())], "", (), True)
def test_no_history_is_refused(
    messages: list[Message], system_prompt: str, tools: Sequence[ToolSpec], may_call: bool
) -> None:
    body = render_request(ModelRequest(messages, system_prompt, tools=tools, may_call=may_call))
    assert refusals(body) == []
    assert render_request(ModelRequest(messages, system_prompt, tools=tools, may_call=may_call)) == body


@given(HISTORY)
def test_no_word_is_lost_once_the_user_has_begun(messages: list[Message]) -> None:
    everything = [HI, *messages, user("end")]
    body = render_request(ModelRequest(everything))
    words = [block["text"] for turn in body["messages"] for block in turn["content"] if block["type"] == "text"]
    spoken = [part.text for one in everything if one.role != "tool" for part in one.parts if isinstance(part, TextPart)]
    assert words == [one.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for one in spoken if one.strip()]


@given(HISTORY, st.integers(1, 5))
def test_a_turn_that_goes_on_changes_nothing_before(messages: list[Message], count: int) -> None:
    """Else Anthropic refuses the thinking in it."""
    grown = [HI]
    for n in range(count):
        before = rendered(*messages, *grown)
        grown += [said(THOUGHT, call(f"t{n}")), gave(result(f"t{n}"))]
        assert rendered(*messages, *grown)[: len(before)] == before
