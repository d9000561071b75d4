"""One value: what a text of the environment means, what ``${NAME}`` stands for, and which types a key takes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from operator import eq
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from triolet.config.checks import nearest
from triolet.config.secret import Secret
from triolet.config.settings import SECTIONS, TABLES, FallbackSettings, McpSettings


def typed(value: object, kind: Any) -> object:
    """A text from outside the file as the key's type, or as it is: then it is refused where all values are."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str) and kind == tuple[str, ...]:
        return _listed(value)
    if not isinstance(value, str) or kind not in {int, float, bool, tuple[int, ...]}:
        return value
    try:
        return json.loads(f"[{value.strip('[], ')}]" if kind == tuple[int, ...] else value.lower())
    except ValueError:
        return value


def _listed(text: str) -> object:
    """``a, b`` or ``["a", "b"]``; a bracket may begin an entry as well."""
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    return listed if isinstance(listed, list) else [entry.strip() for entry in text.split(",") if entry.strip()]


NAME: Final = "[NAME]"
"""Where a table's own name stands among its keys: no key is written like that."""


class Unquoted(ValueError):
    """A complaint that is not about the value as it was written."""


class UnsetVariable(Unquoted):
    """The environment lacks what the value names."""


def expanded(raw: object, environ: Mapping[str, str]) -> object:
    """The value; if it is a text, with every ``${NAME}`` replaced."""

    def replace(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return "${"
        if match[1] is None:
            raise ValueError("${ begins the name of a variable, as in ${NAME}; write $${ for the two characters")
        if match[1] not in environ:
            raise UnsetVariable(f"the environment variable {match[1]} is not set; set it, or write the value here")
        return environ[match[1]]

    return re.sub(r"\$\$\{|\$\{(?:(\w+)\})?", replace, raw) if isinstance(raw, str) else raw


def open_converter(environ: Mapping[str, str]) -> Converter:
    converter = Converter(forbid_extra_keys=True)
    tables = {tuple[FallbackSettings, ...]: _read_fallbacks, tuple[McpSettings, ...]: _read_servers}
    for kind, read in tables.items():
        converter.register_structure_hook_func(partial(eq, kind), partial(read, converter))
    # After the tables: how a section's keys are read is settled here.
    headers = TABLES | {cls: f"[{section}]" for section, cls in SECTIONS.items()}
    for cls, header in headers.items():
        converter.register_structure_hook(cls, _section_reader(header, cls, converter, environ))
    return converter


def _read_fallbacks(converter: Converter, raw: object, _kind: Any) -> tuple[FallbackSettings, ...]:
    if not isinstance(raw, list):
        raise ValueError("write tables, [[model.fallback]], and the keys below each")  # noqa: TRY004  # one class for all
    return tuple(converter.structure(raw, list[FallbackSettings]))


def _read_servers(converter: Converter, raw: object, _kind: Any) -> tuple[McpSettings, ...]:
    if not isinstance(raw, dict):
        raise ValueError("write tables, [mcp.NAME], and the keys below each")  # noqa: TRY004  # one class for all
    named = {name: {**table, NAME: name} if isinstance(table, dict) else table for name, table in raw.items()}
    return tuple(converter.structure(named, dict[str, McpSettings]).values())


def _section_reader(header: str, cls: Any, converter: Converter, environ: Mapping[str, str]) -> Callable[..., Any]:
    keys: dict[str, Any] = {key.name: _reading(key, environ) for key in attrs.fields(attrs.resolve_types(cls))}
    read_keys = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_use_linecache=False, **keys
    )

    def read_section(raw: object, kind: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(f"write a section, {header}, and its keys below it")  # noqa: TRY004  # one class for all
        return read_keys(raw, kind)

    return read_section


def _reading(key: attrs.Attribute[Any], environ: Mapping[str, str]) -> Any:
    if "about" not in key.metadata:
        return override(rename=NAME)
    if key.type == tuple[FallbackSettings, ...]:
        return override()
    return override(struct_hook=_key_reader(key, environ))


def _key_reader(key: attrs.Attribute[Any], environ: Mapping[str, str]) -> Callable[..., Any]:
    kinds = get_args(key.type)
    # A key that may be None is None when it is left out; there is no way to write it.
    kind = kinds[0] if NoneType in kinds else key.type
    read = _READERS.get(kind, _read_choice)

    def read_key(raw: object, _kind: Any) -> Any:
        value = read(expanded(raw, environ), kind)
        if key.validator is not None:  # here, and not in the class alone, to hear of every wrong key at once
            key.validator(None, key, value)
        return value

    return read_key


def _strict(kinds: set[type], advice: str, build: Callable[[Any], Any]) -> Callable[[object, Any], Any]:
    """A reader that takes these very types: no text for a number, no true for 1."""

    def read(value: object, _kind: Any) -> Any:
        if type(value) not in kinds:
            raise ValueError(advice)
        return build(value)

    return read


def _storable(text: str) -> str:
    if re.search("[\0\ud800-\udfff]", text):
        raise ValueError("write text, without NUL and without bytes that are not UTF-8")
    return text


def _file_name(text: str) -> Path:
    if not text:
        raise ValueError("write a file's name")
    return Path(_storable(text))


def _read_choice(value: object, kind: Any) -> Any:
    choices = get_args(kind)
    if value not in choices:
        named = " or ".join(choice or '""' for choice in choices)
        raise ValueError(f"write {named}{nearest(str(value), choices, 0.6)}")
    return value


def _integers(entries: list[object]) -> tuple[object, ...]:
    for place, entry in enumerate(entries, start=1):
        if type(entry) is not int:
            raise ValueError(f"entry {place} is no number; write the user's id without quotes (names change hands)")
    return tuple(entries)


def _texts(entries: list[object]) -> tuple[str, ...]:
    texts = tuple(_storable(entry) for entry in entries if isinstance(entry, str))
    if len(texts) < len(entries):
        raise ValueError("not all of its entries are texts; write each in quotes")
    return texts


_READERS: Final[dict[Any, Callable[[object, Any], Any]]] = {
    str: _strict({str}, "write a text, in quotes", _storable),
    Secret: _strict({str}, "write a text, in quotes", lambda text: Secret(_storable(text))),
    Path: _strict({str}, "write a file's name, in quotes", _file_name),
    int: _strict({int}, "write a whole number, without quotes", int),
    float: _strict({int, float}, "write a number, without quotes", float),
    bool: _strict({bool}, "write true or false, without quotes", bool),
    tuple[int, ...]: _strict({list}, "write a list of numeric user ids, such as [1001, 1002]", _integers),
    tuple[str, ...]: _strict({list}, 'write a list of texts, such as ["a", "b"]', _texts),
}
