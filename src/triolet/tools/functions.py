"""A Python function as a tool: its signature becomes the schema, its docstring the description.

Rules:

1. What cannot be described to a model is an error where the tool is defined, never where it is called.
2. The schema has no references: small servers do not follow them. So a type that holds itself is refused.
3. Arguments are checked against the annotations, strictly: ``"1"`` is no number. What is wrong with them is the
   model's to mend, so it is told. Those it leaves out keep the function's own defaults.
4. A function runs in the task of its call, in no thread: one that is not ``async`` must not block, or every chat
   waits for it.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias, get_type_hints, overload

import attrs
import msgspec
import trio

from triolet.core.ports import ToolSpec
from triolet.errors import ToolError

Function: TypeAlias = Callable[..., object]

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
"""What all providers take for the name of a tool."""

_SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Examples?|Notes?):[ \t]*$", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+)(?: *\(.*?\))?:", re.MULTILINE)
_REFERENCE = "#/$defs/"


@attrs.frozen
class FunctionTool:
    """Made by `tool`; keeps the contract of `core.ports.Tool`."""

    spec: ToolSpec
    has_effects: bool
    function: Function
    _arguments: type[msgspec.Struct]

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """As `core.ports.Tool.call`: a text as the function gave it, anything else as JSON."""
        await trio.lowlevel.checkpoint()
        result = self.function(**self._checked(arguments))
        if inspect.isawaitable(result):
            result = await result
        return result if isinstance(result, str) else json.dumps(msgspec.to_builtins(result), ensure_ascii=False)

    def _checked(self, arguments: Mapping[str, Any]) -> dict[str, object]:
        try:
            values = msgspec.convert(dict(arguments), self._arguments, str_keys=True)
        except msgspec.ValidationError as problem:
            names = ", ".join(self.spec.parameters["properties"]) or "no arguments"
            raise ToolError(f"wrong arguments: {problem}; {self.spec.name} takes {names}") from None
        return {name: getattr(values, name) for name in arguments}


@overload
def tool(function: Function, /, *, has_effects: bool = False, name: str | None = None) -> FunctionTool: ...


@overload
def tool(*, has_effects: bool = False, name: str | None = None) -> Callable[[Function], FunctionTool]: ...


def tool(
    function: Function | None = None, /, *, has_effects: bool = False, name: str | None = None
) -> FunctionTool | Callable[[Function], FunctionTool]:
    """The function as a tool; without one, a decorator that makes it a tool.

    ``has_effects``: it changes something outside, so that a person is asked first. ``name`` is the function's own if
    not given.

    Raises:
        ValueError: models cannot call it by that name.
        TypeError: a parameter has no annotation, or one that JSON cannot meet.
    """
    if function is None:
        return lambda function: tool(function, has_effects=has_effects, name=name)
    called = name if name is not None else getattr(function, "__name__", "")
    if not NAME.fullmatch(called):
        raise ValueError(f"{called!r} is no name for a tool; give one of 1 to 64 letters, digits, _ and -")
    description, about = _documented(function)
    hints = _hints(function, called)
    parameters = {each.name: each for each in _parameters(function, called)}
    properties = {each: _property(parameters[each], hints, called, about.get(each, "")) for each in parameters}
    required = [each for each in parameters if parameters[each].default is inspect.Parameter.empty]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return FunctionTool(
        ToolSpec(called, description, schema), has_effects, function, _struct(called, hints, parameters)
    )


def _hints(function: Function, name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as problem:
        raise TypeError(f"{name}: its annotations cannot be read: {problem}") from None


def _parameters(function: Function, name: str) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    for each in parameters:
        if each.kind not in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}:
            raise TypeError(f"{name}: {each} cannot be given by name; a model names every argument")
    return parameters


def _property(parameter: inspect.Parameter, hints: Mapping[str, Any], name: str, about: str) -> dict[str, Any]:
    if parameter.name not in hints:
        raise TypeError(f"{name}: {parameter.name} has no annotation; write its type, as in {parameter.name}: str")
    try:
        (schema,), components = msgspec.json.schema_components(
            [hints[parameter.name]], ref_template=_REFERENCE + "{name}"
        )
        described: dict[str, Any] = _inlined(schema, components)
    except TypeError as problem:
        reason = str(problem).splitlines()[-1]
        raise TypeError(f"{name}: {parameter.name} has a type without a JSON schema: {reason}") from None
    if about:
        described["description"] = about
    if parameter.default is not inspect.Parameter.empty and parameter.default is not None:
        with suppress(TypeError):  # a default that JSON cannot show is the function's own affair
            described["default"] = msgspec.to_builtins(parameter.default)
    return described


def _inlined(schema: Any, components: Mapping[str, Any], within: tuple[str, ...] = ()) -> Any:
    """The schema with its references replaced by what they refer to (rule 2)."""
    if isinstance(schema, list):
        return [_inlined(each, components, within) for each in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        typed = {"type": "string"} if _is_choice_of_texts(schema) else {}
        return typed | {key: _inlined(value, components, within) for key, value in schema.items()}
    target = reference.removeprefix(_REFERENCE)
    if target in within:
        raise TypeError(f"{target} holds itself")
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_inlined(components[target], components, (*within, target)), **rest}


def _is_choice_of_texts(schema: Mapping[str, Any]) -> bool:
    """Whether it is a choice, as msgspec writes it: some servers want the type named too."""
    choices = schema.get("enum")
    return isinstance(choices, list) and all(isinstance(each, str) for each in choices)


def _struct(name: str, hints: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> type[msgspec.Struct]:
    """What arguments are checked against; the ``None`` of one that is left out is never looked at."""
    fields: list[Any] = [
        (each, hints[each]) if parameter.default is inspect.Parameter.empty else (each, hints[each], None)
        for each, parameter in parameters.items()
    ]
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _documented(function: Function) -> tuple[str, dict[str, str]]:
    """The docstring's text before its sections, and what its "Args" say of each parameter."""
    description, *sections = _SECTION.split(inspect.getdoc(function) or "")
    bodies = dict(zip(sections[::2], sections[1::2], strict=True))
    _, *entries = _ENTRY.split(textwrap.dedent(bodies.get("Args", "")))
    about = {each: " ".join(text.split()) for each, text in zip(entries[::2], entries[1::2], strict=True)}
    return description.strip(), about
