"""A function as a tool: what a model is told of it, what it may be called with, and what comes back."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal, Required, TypedDict

import attrs
import msgspec
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.ports import Tool
from triolet.errors import ToolError
from triolet.tools import FunctionTool, tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Point:
    """A place."""

    x: int
    y: int = attrs.field(default=3, validator=attrs.validators.ge(0))


@dataclasses.dataclass
class Line:
    points: list[Point]


class Options(TypedDict, total=False):
    deep: bool
    name: Required[str]


@dataclasses.dataclass
class Tree:
    children: list[Tree]


POINT = {
    "title": "Point",
    "description": "A place.",
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 3}},
    "required": ["x"],
}


def forecast(city: str, days: int = 3, *, unit: Literal["c", "f"] = "c", near: list[str] | None = None) -> str:
    """The weather to come.

    From a source: mostly right.

    Args:
        city: Where it is, with the country
            where that helps: "Paris, US".
        days (int, at most 9): How many.

    Returns:
        A text.
    """
    return f"{city} {days} {unit} {near}"


def test_a_signature_becomes_what_the_model_is_told() -> None:
    made: Tool = tool(forecast)
    assert (made.spec.name, made.has_effects) == ("forecast", False)
    assert made.spec.description == "The weather to come.\n\nFrom a source: mostly right."
    assert made.spec.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": 'Where it is, with the country where that helps: "Paris, US".'},
            "days": {"type": "integer", "description": "How many.", "default": 3},
            "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
            "near": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


SCHEMAS: list[tuple[Any, dict[str, Any], Any, Any]] = [
    (str, {"type": "string"}, "\ud83d", "\ud83d"),
    (int, {"type": "integer"}, 7, 7),
    (float, {"type": "number"}, 7, 7.0),
    (bool, {"type": "boolean"}, True, True),
    (list[int], {"type": "array", "items": {"type": "integer"}}, [1], [1]),
    (dict, {"type": "object"}, {"a": 1}, {"a": 1}),
    (dict[int, str], {"type": "object", "additionalProperties": {"type": "string"}}, {"1": "a"}, {1: "a"}),
    (Any, {}, [None], [None]),
    (Literal[1, "a"], {"enum": [1, "a"]}, "a", "a"),
    (Colour, {"title": "Colour", "type": "string", "enum": ["blue", "red"]}, "red", Colour.RED),
    (Level, {"title": "Level", "enum": [1, 2]}, 2, Level.HIGH),
    (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, None, None),
    (Annotated[int, msgspec.Meta(ge=1)], {"type": "integer", "minimum": 1}, 1, 1),
    (Point, POINT, {"x": 1}, Point(1)),
    (
        Line,
        {
            "title": "Line",
            "type": "object",
            "properties": {"points": {"type": "array", "items": POINT}},
            "required": ["points"],
        },
        {"points": [{"x": 1, "y": 2}]},
        Line([Point(1, 2)]),
    ),
    (
        Options,
        {
            "title": "Options",
            "type": "object",
            "properties": {"deep": {"type": "boolean"}, "name": {"type": "string"}},
            "required": ["name"],
        },
        {"name": "a"},
        {"name": "a"},
    ),
]


def taking(annotation: Any, seen: list[object]) -> FunctionTool:
    def take(value: Any) -> str:
        seen.append(value)
        return ""

    take.__annotations__["value"] = annotation
    return tool(take)


@pytest.mark.parametrize(("annotation", "schema", "given_value", "value"), SCHEMAS)
async def test_an_annotation_is_a_schema_and_a_check(
    annotation: Any, schema: dict[str, Any], given_value: Any, value: Any
) -> None:
    seen: list[object] = []
    made = taking(annotation, seen)
    assert made.spec.parameters["properties"] == {"value": schema}
    await made.call({"value": given_value})
    assert seen == [value]
    assert type(seen[0]) is type(value)


WRONG: list[tuple[Any, Any]] = [
    (str, 1),
    (int, "1"),
    (int, 1.5),
    (int, True),
    (float, "1"),
    (bool, 1),
    (list[int], ["a"]),
    (list[int], 1),
    (dict, []),
    (Literal["a"], "b"),
    (Colour, "green"),
    (int, None),
    (Annotated[int, msgspec.Meta(ge=1)], 0),
    (Point, {"y": 1}),
    (Point, {"x": 1, "y": -1}),
]


@pytest.mark.parametrize(("annotation", "value"), WRONG)
async def test_a_wrong_argument_is_the_models_to_mend(annotation: Any, value: Any) -> None:
    seen: list[object] = []
    with pytest.raises(ToolError, match=r"wrong arguments: .*take takes value"):
        await taking(annotation, seen).call({"value": value})
    assert seen == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "missing required field `city`"),
        ({"city": "Rome", "day": 1}, "unknown field `day`; forecast takes city, days, unit, near"),
        ({"city": 1}, "Expected `str`, got `int` - at `$.city`"),
    ],
)
async def test_the_model_is_told_what_is_wrong(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ToolError) as caught:
        await tool(forecast).call(arguments)
    assert text in str(caught.value)
    assert caught.value.__cause__ is None


async def test_what_is_left_out_is_the_functions_default() -> None:
    sentinel = object()

    @tool
    def pick(value: str = "a", other: Any = sentinel) -> bool:
        return value == "b" and other is sentinel

    assert pick.spec.parameters["properties"]["other"] == {}
    assert pick.spec.parameters["required"] == []
    assert [await pick.call({}), await pick.call({"value": "b"})] == ["false", "true"]


RESULTS: list[tuple[Any, str]] = [
    ("plain, not quoted", "plain, not quoted"),
    ("", ""),
    (None, "null"),
    (1.5, "1.5"),
    ({"a": ["ä", "\ud800"]}, '{"a": ["ä", "\ud800"]}'),
    ([Point(1), Colour.RED], '[{"x": 1, "y": 3}, "red"]'),
]


@pytest.mark.parametrize(("value", "text"), RESULTS)
async def test_a_result_is_text_or_json(value: Any, text: str) -> None:
    async def later() -> Any:
        await trio.lowlevel.checkpoint()
        return value

    for made in (tool(lambda: value, name="now"), tool(later)):
        with trio.testing.assert_checkpoints():
            assert await made.call({}) == text


async def test_a_method_is_a_function() -> None:
    class Counter:
        count = 0

        def add(self, number: int) -> int:
            self.count += number
            return self.count

    add = tool(Counter().add, has_effects=True)
    assert (add.spec.name, add.has_effects, list(add.spec.parameters["properties"])) == ("add", True, ["number"])
    assert [await add.call({"number": 2}), await add.call({"number": 3})] == ["2", "5"]


def test_as_a_decorator_it_takes_options() -> None:
    @tool(has_effects=True, name="send-mail")
    def send(to: str) -> None: ...

    assert (send.spec.name, send.has_effects) == ("send-mail", True)


@pytest.mark.parametrize("name", ["", "a b", "ä", "a.b", "x" * 65, "a\n", "<lambda>"])
def test_a_name_that_providers_refuse(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a tool"):
        tool(forecast, name=name)


def without_annotation(value): ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def any_number(*values: int) -> None: ...
def any_names(**values: int) -> None: ...
def by_place(value: int, /) -> None: ...
def of_a_class(value: object) -> None: ...
def of_a_function(value: Callable[[], None]) -> None: ...
def of_two_lists(value: list[int] | list[str]) -> None: ...
def of_itself(value: Tree) -> None: ...
def of_nothing(value: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (without_annotation, "without_annotation: value has no annotation; write its type, as in value: str"),
        (any_number, "any_number: *values: 'int' cannot be given by name"),
        (any_names, "any_names: **values: 'int' cannot be given by name"),
        (by_place, "by_place: value: 'int' cannot be given by name"),
        (of_a_class, "of_a_class: value has a type without a JSON schema: type <class 'object'> is not supported"),
        (of_a_function, "of_a_function: value has a type without a JSON schema"),
        (of_two_lists, "of_two_lists: value has a type without a JSON schema: Type unions may not contain more"),
        (of_itself, "of_itself: value has a type without a JSON schema: Tree holds itself"),
        (of_nothing, "of_nothing: its annotations cannot be read: name 'Unknown' is not defined"),
    ],
)
def test_what_has_no_schema_is_an_error_at_once(function: Callable[..., None], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        tool(function)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


async def test_a_cancelled_call_has_not_begun() -> None:
    seen: list[object] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await taking(int, seen).call({"value": 1})
    assert (scope.cancelled_caught, seen) == (True, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["city", "days", "unit", "near", "other"]), JSON))
async def test_any_arguments_are_fit_or_wrong(arguments: dict[str, object]) -> None:
    try:
        given_text = await tool(forecast).call(arguments)
    except ToolError:
        return
    assert isinstance(arguments["city"], str)
    assert given_text.startswith(arguments["city"])
