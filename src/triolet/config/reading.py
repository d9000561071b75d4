"""Where settings come from: defaults, a file, the environment, the command line; and the one line about a mistake.

Each source is laid over the one before, raw; then all is read at once, so that every mistake is known. Misspelt
names come first, since they explain what seems to be missing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs
from cattrs import ClassValidationError, ForbiddenExtraKeysError

from triolet.config.documented import render_toml
from triolet.config.secret import Secret
from triolet.config.settings import KEYS, SECTIONS, ModelSettings, Settings, StoreSettings
from triolet.config.values import UnsetVariable, did_you_mean, expanded, nearest, open_converter, typed
from triolet.errors import ConfigError

DEFAULT_FILE: Final = Path("triolet.toml")
PREFIX: Final = "TRIOLET_"
_VARIABLES: Final = {PREFIX + key.replace(".", "_").upper(): key for key in KEYS}

_MAY_HOLD_A_SECRET: Final = re.compile(r":.*[@?]|\d:[\w-]{20}|\bsk-")
"""A URL with a password or a query, a bot token, a provider's key: pasted beside the wrong key, say."""


def load(
    path: Path | None, *, environ: Mapping[str, str], overrides: Mapping[str, object] = MappingProxyType({})
) -> Settings:
    """The settings of the file at ``path``; None: of ``triolet.toml`` here, if there is one.

    ``overrides`` are the command line's, by dotted key. A text for a key of another type is read like an
    environment variable: ``true``, ``0.5``, ``1001,1002``.

    Raises:
        ConfigError: the first mistake, and how many others there are.
    """
    file = DEFAULT_FILE if path is None and DEFAULT_FILE.exists() else path
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
            if "written" in key.metadata:
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
        if self._is_scripted(environ):
            del self.tree["model"]["api_key"]  # nobody needs it, so its variable need not be set
        try:
            settings = open_converter(environ).structure(self.tree, Settings)
        except ClassValidationError as error:
            for dotted, problem in _leaves(error):
                self._report(dotted, problem)
        else:
            if _lacks_key(settings.model):
                self._report("model.api_key", ValueError("it is empty, and OpenAI's own API needs one"))
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

    def _is_scripted(self, environ: Mapping[str, str]) -> bool:
        model = self.tree["model"]
        if not isinstance(model, dict):
            return False
        try:
            provider = expanded(model.get("provider", KEYS["model.provider"].default), environ)
        except ValueError:  # reported when it is read
            return False
        return provider == "scripted"

    def _report(self, dotted: str, problem: Exception) -> None:
        if isinstance(problem, ForbiddenExtraKeysError):
            self.unknown += [self._unknown(dotted, name) for name in sorted(problem.extra_fields)]
            return
        setter = self.setters.get(dotted)
        text = f"{problem} (set by {setter})" if setter else str(problem)
        if not isinstance(problem, UnsetVariable):
            text = f"{self._value(dotted)} is refused: {text}"
        self.refused.append(_Mistake(dotted, text, None if setter else self.file))

    def _unknown(self, section: str, name: str) -> _Mistake:
        siblings = [key.name for key in attrs.fields(SECTIONS[section])] if section else list(SECTIONS)
        elsewhere = [dotted for dotted in KEYS if dotted.endswith(f".{name}")]
        near = did_you_mean(elsewhere) or nearest(name, siblings, 0.6)
        return _Mistake(f"{section}.{name}".strip("."), f"no such {'key' if section else 'section'}{near}", self.file)

    def _value(self, dotted: str) -> str:
        """The value as it was written, unless it is a secret or may hold one."""
        section, _, key = dotted.partition(".")
        text = render_toml(self.tree[section][key] if key else self.tree[section])
        if key and (KEYS[dotted].type is Secret or _MAY_HOLD_A_SECRET.search(text)):
            return "the value"
        return text if len(text) <= 60 else f"{text[:60]}…"


def _leaves(error: ClassValidationError, section: str = "") -> Iterator[tuple[str, Exception]]:
    """Each mistake with its dotted key; unknown names come with the section they stand in."""
    noted, bare = error.group_exceptions()
    for problem, note in noted:
        if isinstance(problem, ClassValidationError):
            yield from _leaves(problem, note.name)
        else:
            yield f"{section}.{note.name}".strip("."), problem
    for problem in bare:
        yield section, problem


def _lacks_key(model: ModelSettings) -> bool:
    return model.provider == "openai-chat" and not (model.base_url or model.api_key)


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
