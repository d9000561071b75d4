"""Where settings come from: defaults, a file, the environment, the command line; and the one line about a mistake.

Each source is laid over the one before, raw; then all is read at once, so that every mistake is known. Misspelt
names come first, since they explain what seems to be missing.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs
from cattrs import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError, IterableValidationNote

from triolet.config.checks import did_you_mean, nearest
from triolet.config.documented import render_toml
from triolet.config.settings import (
    KEYLESS,
    KEYS,
    OFFICIAL_KEYS,
    SECTIONS,
    FallbackSettings,
    McpSettings,
    ModelSettings,
    Settings,
    StoreSettings,
)
from triolet.config.values import Unquoted, expanded, open_converter, typed
from triolet.errors import ConfigError

DEFAULT_FILE: Final = Path("triolet.toml")
PREFIX: Final = "TRIOLET_"
_VARIABLES: Final = {PREFIX + key.replace(".", "_").upper(): key for key in KEYS}

_PRIVATE: Final = {"token", "api_key", "command", "env"}
_MAY_HOLD_A_SECRET: Final = re.compile(rf':.*[@?]|\d:[\w-]{{20}}|\bsk-|"(?:{"|".join(_PRIVATE)})"')
"""A URL with a password or a query, a bot token, a provider's key, pasted beside the wrong key, say; or a table."""

_Path: TypeAlias = tuple[str | int, ...]
"""The keys and places that lead to a value in the tree of all raw ones."""
_Group: TypeAlias = ClassValidationError | IterableValidationError
"""The mistakes of one table, or of one list of tables."""


def load(
    path: Path | None, *, environ: Mapping[str, str], overrides: Mapping[str, object] = MappingProxyType({})
) -> Settings:
    """The settings of the file at ``path``; None: of ``triolet.toml`` here, if there is one.

    The null device stands for no file at all. ``overrides`` are the command line's, by dotted key. A text for a key of
    another type is read like an environment variable: ``true``, ``0.5``, ``1001,1002``.

    Raises:
        ConfigError: the first mistake, and how many others there are.
    """
    found = DEFAULT_FILE if path is None and DEFAULT_FILE.exists() else path
    file = None if found == Path(os.devnull) else found
    draft = _Draft(file)
    draft.add_defaults()
    draft.add_file({} if file is None else _parse(file))
    draft.add_variables(environ)
    draft.add_overrides(overrides)
    return draft.finish(environ)


@attrs.frozen
class _Mistake:
    key: str
    text: str
    file: Path | None = None

    def error(self, others: int) -> ConfigError:
        more = f" (and {others} more mistake{'s' * (others > 1)})" if others else ""
        return ConfigError(_printable(self.text) + more, path=self.file, key=_printable(self.key))


@attrs.define
class _Draft:
    """Raw values by section, who set those that are not the file's, and the mistakes found so far."""

    file: Path | None
    tree: dict[str, Any] = attrs.field(factory=dict)
    setters: dict[str, str] = attrs.field(factory=dict)
    unknown: list[_Mistake] = attrs.field(factory=list)
    refused: list[_Mistake] = attrs.field(factory=list)

    def add_defaults(self) -> None:
        for dotted, key in KEYS.items():
            if key.default is attrs.NOTHING:
                self._put(dotted, key.metadata["written"])

    def add_file(self, content: dict[str, Any]) -> None:
        for section, table in content.items():
            defaults = self.tree.get(section, {})
            self.tree[section] = {**defaults, **table} if isinstance(table, dict) else table

    def add_variables(self, environ: Mapping[str, str]) -> None:
        for name in sorted(name for name in environ if name.startswith(PREFIX)):
            if name in _VARIABLES:
                self._override(_VARIABLES[name], environ[name], name)
            else:
                self.unknown.append(_Mistake(name, f"no setting has this variable{nearest(name, _VARIABLES, 0.8)}"))

    def add_overrides(self, overrides: Mapping[str, object]) -> None:
        for dotted, value in overrides.items():
            if dotted in KEYS:
                self._override(dotted, value, "the command line")
            else:
                self.unknown.append(_Mistake(dotted, f"no setting has this name{nearest(dotted, KEYS, 0.8)}"))

    def finish(self, environ: Mapping[str, str]) -> Settings:
        self._settle_model(environ)
        try:
            settings = open_converter(environ).structure(self.tree, Settings)
        except ClassValidationError as error:
            for path, problem in _leaves(error):
                self._report(path, problem)
        else:
            if keyless := _keyless(settings.model):
                self._report(*keyless)
            elif not self.unknown:
                return _anchored(settings, self.file)
        # Raised outside the handler: the converter's own error holds values, and would hang on to ours.
        first, *others = self.unknown + self.refused
        raise first.error(len(others))

    def _put(self, dotted: str, value: object) -> None:
        section, key = dotted.split(".")
        table = self.tree.setdefault(section, {})
        if isinstance(table, dict):  # if not, the file is wrong there, and will hear of it
            table[key] = value

    def _override(self, dotted: str, value: object, setter: str) -> None:
        self._put(dotted, typed(value, KEYS[dotted].type))
        self.setters[dotted] = setter

    def _settle_model(self, environ: Mapping[str, str]) -> None:
        """Whose key it is, and what a model is called that nobody named, depends on who is asked, wherever set."""
        model = self.tree.setdefault("model", {})
        if not isinstance(model, dict):
            return
        try:
            provider = str(expanded(model.get("provider", KEYS["model.provider"].default), environ))
            elsewhere = expanded(model.get("base_url"), environ)
        except ValueError:  # reported when it is read
            return
        if provider in KEYLESS:
            model.pop("api_key", None)  # nobody needs it, so its variable need not be set
            model.setdefault("name", provider)  # there is one model, and it is not the one of the defaults
        elif provider in OFFICIAL_KEYS and not elsewhere:
            model.setdefault("api_key", OFFICIAL_KEYS[provider])

    def _report(self, path: _Path, problem: Exception) -> None:
        if isinstance(problem, ForbiddenExtraKeysError):
            self.unknown += [self._unknown(path, name) for name in sorted(problem.extra_fields)]
            return
        setter = self.setters.get(_dotted(path))
        text = "it is missing" if isinstance(problem, KeyError) else str(problem)
        if setter:
            text = f"{text} (set by {setter})"
        if not isinstance(problem, Unquoted | KeyError):
            text = f"{self._value(path)} is refused: {text}"
        self.refused.append(_Mistake(_dotted(path), text, None if setter else self.file))

    def _unknown(self, path: _Path, name: str) -> _Mistake:
        elsewhere = [dotted for dotted in KEYS if dotted.endswith(f".{name}") and len(path) < 2]
        near = did_you_mean(elsewhere) or nearest(name, _names(path), 0.6)
        return _Mistake(_dotted((*path, name)), f"no such {'key' if path else 'section'}{near}", self.file)

    def _value(self, path: _Path) -> str:
        """The value as it was written, unless it is a secret or may hold one."""
        if path[-1] in _PRIVATE:
            return "the value"
        text = render_toml(reduce(getitem, path, self.tree))  # type: ignore[arg-type]  # the tree is any TOML
        if _MAY_HOLD_A_SECRET.search(text):
            return "the value"
        return text if len(text) <= 60 else f"{text[:60]}…"


def _dotted(path: _Path) -> str:
    """The first of several tables is 1, for those who count them in their file."""
    return ".".join(str(step + 1) if isinstance(step, int) else step for step in path)


def _names(path: _Path) -> list[str]:
    """What may be written in the table there."""
    if not path:
        return [*SECTIONS, "mcp"]
    cls = McpSettings if path[0] == "mcp" else FallbackSettings if len(path) > 1 else SECTIONS[str(path[0])]
    return [key.name for key in attrs.fields(cls) if "about" in key.metadata]


def _leaves(
    error: ClassValidationError | IterableValidationError, path: _Path = ()
) -> Iterator[tuple[_Path, Exception]]:
    """Each mistake with its place; unknown names, and mistakes of a table as a whole, come with that of the table."""
    noted, bare = error.group_exceptions()
    for problem, note in noted:
        step = note.index if isinstance(note, IterableValidationNote) else note.name
        if isinstance(problem, _Group):
            yield from _leaves(problem, (*path, step))
        else:
            yield (*path, step), problem
    for problem in bare:
        yield path, problem if isinstance(problem, ForbiddenExtraKeysError) else Unquoted(problem)


def _keyless(model: ModelSettings) -> tuple[_Path, Exception] | None:
    """The first model that cannot be asked for want of a key, and what to say of it."""
    for place, settings in enumerate(model.models()):
        if settings.provider not in KEYLESS and not (settings.base_url or settings.api_key):
            company = "Anthropic" if settings.provider == "anthropic" else "OpenAI"
            path: _Path = ("model", "fallback", place - 1, "api_key") if place else ("model", "api_key")
            return path, ValueError(f"it is empty, and {company}'s own API needs one")
    return None


def _anchored(settings: Settings, file: Path | None) -> Settings:
    if str(settings.store.path) == ":memory:":
        return settings
    folder = Path.cwd() if file is None else file.absolute().parent
    return attrs.evolve(settings, store=StoreSettings(folder / settings.store.path))


def _printable(text: str) -> str:
    """One line for any terminal: a name may hold a line end, a value half of a character."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _parse(file: Path) -> dict[str, Any]:
    document = ""
    try:
        document = file.read_bytes().decode("utf-8-sig")
        return tomllib.loads(document)
    except FileNotFoundError:
        text = "there is no such file"
    except IsADirectoryError:
        text = "this is a folder; name the file in it"
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        text = f"line {line} is not UTF-8; save the file in that encoding"
    except (ValueError, RecursionError) as error:
        text = f"is not TOML: {_place_first(str(error), document)}"
    raise ConfigError(text, path=file)


def _place_first(message: str, document: str) -> str:
    """``Invalid value (at line 3, column 5)`` as ``line 3, column 5: Invalid value``."""
    end = f"line {document.count(chr(10)) + 1}, column {len(document) - document.rfind(chr(10))}"
    return re.sub(r"(.*) \(at (.*)\)", r"\2: \1", message.replace("end of document", end))
