"""Frozen settings, read once at the start: command line > environment > file > default.

1. What exists is what the classes below declare. Everything else is refused, with the nearest name.
2. ``${NAME}`` within a text, wherever it was written, reads the environment; ``$${`` stands for ``${``.
   ``TRIOLET_<SECTION>_<KEY>`` sets one key. Relative paths start at the file's folder.
3. A mistake is one line: the file, the key, the value as it was written, what to do. Misspelt names come
   first, since they explain what seems to be missing.
4. Secrets are opened by `Secret.reveal` alone: no ``repr``, error or log shows one.

From top to bottom: what a value must be, the settings, how they are put together, how raw values are read.
"""

from __future__ import annotations

import difflib
import hmac
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, get_args
from urllib.parse import urlsplit

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from triolet.errors import ConfigError

DEFAULT_FILE: Final = Path("triolet.toml")
PREFIX: Final = "TRIOLET_"
PSEUDO_USERS: Final = {777000, 1087968824, 136817688}
"""Whom Telegram names as the author for channels and anonymous administrators: anybody may be behind them."""


class Secret:
    """A text that only `reveal` shows. No attrs class, so that ``attrs.asdict`` leaves it closed."""

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "•••"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # In constant time: how long it takes tells nothing about how much is right.
        mine, theirs = self._value, other._value
        return hmac.compare_digest(mine.encode("utf-8", "surrogatepass"), theirs.encode("utf-8", "surrogatepass"))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret is frozen")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not to be written anywhere; use reveal()")


# Validators raise ValueError with what to write instead, and leave the value to whoever may show it.


def _at_least(minimum: int) -> Callable[[object, object, int], None]:
    def check(_instance: object, _attribute: object, value: int) -> None:
        if value < minimum:
            raise ValueError(f"write a whole number, {minimum} or more")

    return check


def _seconds(_instance: object, _attribute: object, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError("write a number of seconds above 0")


def _filled(_instance: object, _attribute: object, value: str) -> None:
    if not value.strip():
        raise ValueError("write a name")


def _token(_instance: object, _attribute: object, value: Secret) -> None:
    if not re.fullmatch(r"\d+:[\w-]+", value.reveal(), re.ASCII):
        raise ValueError("a bot's token looks like 123456:ABC-DEF; get yours from @BotFather")


def _header_text(_instance: object, _attribute: object, value: Secret) -> None:
    if not re.fullmatch(r"[!-~]*", value.reveal()):
        raise ValueError("a key holds no space, line end or letter outside ASCII; copy it again")


def _url(_instance: object, _attribute: object, value: str) -> None:
    if not _is_web_address(value):
        raise ValueError("write a URL such as https://host or http://127.0.0.1:8081")
    if re.search(r"[@?#]", value):
        raise ValueError("write the URL without user, password, query and fragment")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port beyond 65535, half of an IPv6 address
        return False
    printable = re.fullmatch(r"[!-~]+", url) is not None
    return printable and parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0


def _url_or_empty(instance: object, attribute: object, value: str) -> None:
    if value:
        _url(instance, attribute, value)


def _user_ids(_instance: object, _attribute: object, value: tuple[int, ...]) -> None:
    for number in value:
        if number <= 0:
            raise ValueError(f"{number} is no user; allow holds people, and the ids of groups are below 0")
        if number in PSEUDO_USERS:
            raise ValueError(f"{number} speaks for channels or anonymous administrators, so for anybody")


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _key(default: Any, about: str, check: Callable[..., None] | None = None, **options: Any) -> Any:
    """A key, its default, and what `documented_defaults` says of it."""
    return attrs.field(default=default, validator=check, metadata={"about": about}, **options)


@attrs.frozen
class TelegramSettings:
    token: Secret = attrs.field(
        validator=_token, metadata={"written": "${TELEGRAM_BOT_TOKEN}", "about": "the bot's token, from @BotFather"}
    )
    api_base: str = _key(
        "https://api.telegram.org", "an emulator's or a local server's base works too", _url, converter=_without_slash
    )


@attrs.frozen
class AccessSettings:
    allow: tuple[int, ...] = _key((), "numeric user ids, such as [1001, 1002]; all others are refused", _user_ids)


@attrs.frozen
class GroupSettings:
    respond: Literal["mention", "all"] = _key("mention", "mention | all: which messages in a group are answered")


@attrs.frozen
class ModelSettings:
    provider: Literal["openai-chat", "scripted"] = _key("openai-chat", "openai-chat | scripted, which needs no network")
    name: str = _key("gpt-5-mini", "the model, as its provider calls it", _filled)
    base_url: str = _key(
        "", "any compatible server, up to and including /v1; empty: OpenAI's", _url_or_empty, converter=_without_slash
    )
    api_key: Secret = attrs.field(
        default=Secret(""),
        validator=_header_text,
        metadata={"written": "${OPENAI_API_KEY}", "about": "the provider's key; scripted needs none"},
    )
    system_prompt: str = _key("", "what the model is told ahead of every conversation")
    max_tokens: int = _key(4096, "the longest answer, in tokens", _at_least(1))
    context_tokens: int = _key(100_000, "the most of a conversation that is sent, in tokens", _at_least(1000))
    connect_timeout: float = _key(10.0, "seconds to reach the provider", _seconds)
    first_byte_timeout: float = _key(60.0, "seconds until it begins to answer", _seconds)
    idle_timeout: float = _key(60.0, "seconds of silence within an answer", _seconds)
    total_timeout: float = _key(900.0, "seconds for a whole answer", _seconds)


@attrs.frozen
class StreamingSettings:
    enabled: bool = _key(True, "false: an answer is shown once it is complete")
    transport: Literal["auto", "draft", "edit"] = _key("auto", "auto | draft | edit; auto: drafts where they exist")
    edit_interval: float = _key(1.0, "seconds between edits at best", _seconds)
    draft_interval: float = _key(0.2, "seconds between drafts at best; the budget widens it", _seconds)
    buffer_threshold: int = _key(40, "new characters worth a frame before edit_interval is over", _at_least(1))
    cursor: str = _key(" ▉", "what follows an answer that is still being written")


@attrs.frozen
class LimitSettings:
    max_turns: int = _key(200, "answers being written at once", _at_least(1))
    queue_per_chat: int = _key(5, "messages that wait in one chat", _at_least(1))


@attrs.frozen
class StoreSettings:
    path: Path = attrs.field(default=Path("triolet.db"), metadata={"about": "relative to this file's folder"})


@attrs.frozen
class Settings:
    """Everything that can be set; a change needs a restart."""

    telegram: TelegramSettings
    access: AccessSettings = attrs.field(factory=AccessSettings)
    groups: GroupSettings = attrs.field(factory=GroupSettings)
    model: ModelSettings = attrs.field(factory=ModelSettings)
    streaming: StreamingSettings = attrs.field(factory=StreamingSettings)
    limits: LimitSettings = attrs.field(factory=LimitSettings)
    store: StoreSettings = attrs.field(factory=StoreSettings)


_SECTIONS: Final[dict[str, Any]] = {s.name: s.type for s in attrs.fields(attrs.resolve_types(Settings))}
_KEYS: Final[dict[str, attrs.Attribute[Any]]] = {
    f"{name}.{key.name}": key for name, cls in _SECTIONS.items() for key in attrs.fields(attrs.resolve_types(cls))
}
_VARIABLES: Final = {PREFIX + key.replace(".", "_").upper(): key for key in _KEYS}


_MAY_HOLD_A_SECRET: Final = re.compile(r":.*[@?]|\d:[\w-]{20}|\bsk-")
"""A URL with a password or a query, a bot token, a provider's key: pasted beside the wrong key, say."""


def documented_defaults() -> str:
    """A configuration file that sets every key to its default and says what it is for."""
    return "\n".join(_document(name, cls) for name, cls in _SECTIONS.items())


def _document(section: str, cls: Any) -> str:
    lines = [f"{key.name} = {_toml(_written(key))}  # {key.metadata['about']}" for key in attrs.fields(cls)]
    return "\n".join([f"[{section}]", *lines, ""])


def _written(key: attrs.Attribute[Any]) -> object:
    return key.metadata.get("written", key.default)


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


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
        for dotted, key in _KEYS.items():
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
                self.unknown.append(_Mistake(name, f"no setting has this variable{_nearest(name, _VARIABLES, 0.8)}"))

    def add_overrides(self, overrides: Mapping[str, object]) -> None:
        for dotted, value in overrides.items():
            if dotted in _KEYS:
                self._override(dotted, value, "the command line")
            else:
                self.unknown.append(_Mistake(dotted, f"no setting has this name{_nearest(dotted, _KEYS, 0.8)}"))

    def finish(self, environ: Mapping[str, str]) -> Settings:
        self._leave_out_the_key_nobody_needs()
        try:
            settings = _converter(environ).structure(self.tree, Settings)
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
        self._put(dotted, _typed(value, _KEYS[dotted].type))
        self.setters[dotted] = setter

    def _leave_out_the_key_nobody_needs(self) -> None:
        model = self.tree["model"]
        if isinstance(model, dict) and model.get("provider") == "scripted":
            del model["api_key"]

    def _report(self, dotted: str, problem: Exception) -> None:
        if isinstance(problem, ForbiddenExtraKeysError):
            self.unknown += [self._unknown(dotted, name) for name in sorted(problem.extra_fields)]
            return
        setter = self.setters.get(dotted)
        text = f"{problem} (set by {setter})" if setter else str(problem)
        if not isinstance(problem, _UnsetVariable):
            text = f"{self._value(dotted)} is refused: {text}"
        self.refused.append(_Mistake(dotted, text, None if setter else self.file))

    def _unknown(self, section: str, name: str) -> _Mistake:
        siblings = [key.name for key in attrs.fields(_SECTIONS[section])] if section else list(_SECTIONS)
        elsewhere = [dotted for dotted in _KEYS if dotted.endswith(f".{name}")]
        near = _did_you_mean(elsewhere) or _nearest(name, siblings, 0.6)
        return _Mistake(f"{section}.{name}".strip("."), f"no such {'key' if section else 'section'}{near}", self.file)

    def _value(self, dotted: str) -> str:
        """The value as it was written, unless it is a secret or may hold one."""
        section, _, key = dotted.partition(".")
        text = _toml(self.tree[section][key] if key else self.tree[section])
        if key and (_KEYS[dotted].type is Secret or _MAY_HOLD_A_SECRET.search(text)):
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


def _did_you_mean(names: list[str]) -> str:
    return f"; did you mean {names[0]}?" if names else ""


def _nearest(name: str, choices: Iterable[str], cutoff: float) -> str:
    return _did_you_mean(difflib.get_close_matches(name, list(choices), n=1, cutoff=cutoff))


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


def _typed(value: object, kind: Any) -> object:
    """A text from outside the file as the key's type, or as it is: then it is refused where all values are."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, str) or kind not in {int, float, bool, tuple[int, ...]}:
        return value
    try:
        return json.loads(f"[{value.strip('[], ')}]" if kind == tuple[int, ...] else value.lower())
    except ValueError:
        return value


class _UnsetVariable(ValueError):
    """A complaint that is not about the value itself."""


def _expanded(raw: object, environ: Mapping[str, str]) -> object:
    """The value; if it is a text, with every ``${NAME}`` replaced."""

    def replace(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return "${"
        if match[1] is None:
            raise ValueError("${ begins the name of a variable, as in ${NAME}; write $${ for the two characters")
        if match[1] not in environ:
            raise _UnsetVariable(f"the environment variable {match[1]} is not set; set it, or write the value here")
        return environ[match[1]]

    return re.sub(r"\$\$\{|\$\{(?:(\w+)\})?", replace, raw) if isinstance(raw, str) else raw


def _converter(environ: Mapping[str, str]) -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for section, cls in _SECTIONS.items():
        converter.register_structure_hook(cls, _section_reader(section, cls, converter, environ))
    return converter


def _section_reader(section: str, cls: Any, converter: Converter, environ: Mapping[str, str]) -> Callable[..., Any]:
    keys: dict[str, Any] = {key.name: override(struct_hook=_key_reader(key, environ)) for key in attrs.fields(cls)}
    read_keys = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_use_linecache=False, **keys
    )

    def read_section(raw: object, kind: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(f"write a section, [{section}], and its keys below it")  # noqa: TRY004  # one class for all
        return read_keys(raw, kind)

    return read_section


def _key_reader(key: attrs.Attribute[Any], environ: Mapping[str, str]) -> Callable[..., Any]:
    read = _READERS.get(key.type, _read_choice)

    def read_key(raw: object, kind: Any) -> Any:
        value = read(_expanded(raw, environ), kind)
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
        raise ValueError(f"write {' or '.join(choices)}{_nearest(str(value), choices, 0.6)}")
    return value


def _integers(entries: list[object]) -> tuple[object, ...]:
    for place, entry in enumerate(entries, start=1):
        if type(entry) is not int:
            raise ValueError(f"entry {place} is no number; write the user's id without quotes (names change hands)")
    return tuple(entries)


_READERS: Final[dict[Any, Callable[[object, Any], Any]]] = {
    str: _strict({str}, "write a text, in quotes", _storable),
    Secret: _strict({str}, "write a text, in quotes", lambda text: Secret(_storable(text))),
    Path: _strict({str}, "write a file's name, in quotes", _file_name),
    int: _strict({int}, "write a whole number, without quotes", int),
    float: _strict({int, float}, "write a number, without quotes", float),
    bool: _strict({bool}, "write true or false, without quotes", bool),
    tuple[int, ...]: _strict({list}, "write a list of numeric user ids, such as [1001, 1002]", _integers),
}
