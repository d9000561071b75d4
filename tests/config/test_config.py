"""What `load` makes of a file, the environment and the command line, and what the settings are."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from triolet.config import (
    AccessSettings,
    LimitSettings,
    ModelSettings,
    Secret,
    Settings,
    StoreSettings,
    StreamingSettings,
    TelegramSettings,
    ToolSettings,
    documented_defaults,
    load,
)
from triolet.errors import ConfigError

ENVIRON = {"TELEGRAM_BOT_TOKEN": "1:TEST", "ANTHROPIC_API_KEY": "key", "OPENAI_API_KEY": "openai"}
DEFAULTS = Settings(telegram=TelegramSettings(Secret("1:TEST")), model=ModelSettings(api_key=Secret("key")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "triolet.toml"


def in_folder(settings: Settings, folder: Path) -> Settings:
    return attrs.evolve(settings, store=StoreSettings(folder / "triolet.db"))


# Defaults


def test_an_empty_file_gives_the_defaults(file: Path) -> None:
    file.touch()
    assert load(file, environ=ENVIRON) == in_folder(DEFAULTS, file.parent)


def test_the_documented_defaults_are_the_defaults(file: Path) -> None:
    file.write_text(documented_defaults(), encoding="utf-8")
    assert load(file, environ=ENVIRON) == in_folder(DEFAULTS, file.parent)


def test_the_documented_defaults_name_every_key() -> None:
    keys = {name: list(section) for name, section in attrs.asdict(DEFAULTS, filter=is_no_table).items()}
    assert {name: list(table) for name, table in tomllib.loads(documented_defaults()).items()} == keys


def is_no_table(key: attrs.Attribute[Any], value: object) -> bool:
    return key.name not in {"fallback", "mcp"}


def test_the_documented_defaults_explain_every_key() -> None:
    for line in documented_defaults().splitlines():
        assert not line or line.startswith(("[", "# [")) or "  # " in line
        assert len(line) <= 120


def test_the_contract_of_defaults() -> None:
    """Written out a second time, on purpose: a changed default changes what users have."""
    assert tomllib.loads(documented_defaults()) == {
        "telegram": {"token": "${TELEGRAM_BOT_TOKEN}", "api_base": "https://api.telegram.org"},
        "access": {"allow": []},
        "groups": {"respond": "mention"},
        "model": {
            "provider": "anthropic",
            "name": "claude-sonnet-5-5",
            "base_url": "",
            "api_key": "${ANTHROPIC_API_KEY}",
            "system_prompt": "",
            "reasoning": "",
            "max_tokens": 4096,
            "context_tokens": 100000,
            "max_rounds": 8,
            "connect_timeout": 10.0,
            "first_byte_timeout": 60.0,
            "idle_timeout": 60.0,
            "total_timeout": 900.0,
        },
        "streaming": {
            "enabled": True,
            "transport": "auto",
            "format": "entities",
            "edit_interval": 1.0,
            "draft_interval": 0.2,
            "cursor": " ▉",
            "busy": "queue",
            "notify": "final",
            "hide_tags": ["think", "thinking", "reasoning"],
            "footer": False,
        },
        "tools": {
            "enabled": ["time", "calculator"],
            "timeout": 60.0,
            "approval_timeout": 600.0,
            "max_output": 32768,
            "max_calls": 16,
        },
        "delivery": {"uncertain": "ask"},
        "restart": {"resume": "auto", "max_age": 21600.0},
        "shutdown": {"grace": 20.0},
        "limits": {"max_turns": 200, "queue_per_chat": 5},
        "store": {"path": "triolet.db"},
    }


# Where the file is


def test_no_path_means_the_file_in_the_current_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert load(None, environ=ENVIRON) == in_folder(DEFAULTS, file.parent)
    file.write_text("[limits]\nmax_turns = 3\n")
    assert load(None, environ=ENVIRON).limits == LimitSettings(max_turns=3)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("data/bot.db", "{folder}/data/bot.db"),
        ("/var/lib/bot.db", "/var/lib/bot.db"),
        ("${STATE}/bot.db", "/state/bot.db"),
        (":memory:", ":memory:"),
    ],
)
def test_the_stores_path_starts_at_the_files_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    file.write_text(f"[store]\npath = '{written}'\n")
    monkeypatch.chdir(file.parent.parent)
    settings = load(Path(file.parent.name, file.name), environ={**ENVIRON, "STATE": "/state"})
    assert str(settings.store.path) == meant.format(folder=file.parent)


def test_a_byte_order_mark_is_no_text(file: Path) -> None:
    """Windows' editors write one."""
    file.write_bytes(b"\xef\xbb\xbf[limits]\r\nmax_turns = 3\r\n")
    assert load(file, environ=ENVIRON).limits.max_turns == 3


# Precedence


def test_command_line_over_environment_over_file_over_default(file: Path) -> None:
    file.write_text("[limits]\nmax_turns = 1\nqueue_per_chat = 1\n[model]\nname = 'from file'\n")
    environ = {**ENVIRON, "TRIOLET_LIMITS_MAX_TURNS": "2", "TRIOLET_LIMITS_QUEUE_PER_CHAT": "2"}
    settings = load(file, environ=environ, overrides={"limits.max_turns": 3})
    assert settings.limits == LimitSettings(max_turns=3, queue_per_chat=2)
    assert settings.model.name == "from file"
    assert settings.model.max_tokens == ModelSettings().max_tokens


TYPED: list[tuple[str, object, object]] = [
    ("model.name", "5", "5"),
    ("model.max_tokens", "512", 512),
    ("model.idle_timeout", "7", 7.0),
    ("model.idle_timeout", "0.5", 0.5),
    ("model.idle_timeout", "1e1", 10.0),
    ("model.provider", "openai-chat", "openai-chat"),
    ("streaming.enabled", "false", False),
    ("streaming.enabled", "True", True),
    ("streaming.cursor", "", ""),
    ("streaming.hide_tags", "思考, [A]...[/A],", ("思考", "[A]...[/A]")),
    ("streaming.hide_tags", '["a", "b"]', ("a", "b")),
    ("streaming.hide_tags", "", ()),
    ("streaming.footer", "true", True),
    ("model.max_rounds", "1", 1),
    ("tools.enabled", "fetch, time", ("fetch", "time")),
    ("tools.enabled", "", ()),
    ("tools.timeout", "5", 5.0),
    ("tools.approval_timeout", "5", 5.0),
    ("tools.max_output", "5", 5),
    ("tools.max_calls", "5", 5),
    ("access.allow", "[1001, 1002]", (1001, 1002)),
    ("access.allow", "1001,1002", (1001, 1002)),
    ("access.allow", " 1001 ", (1001,)),
    ("access.allow", "", ()),
    ("telegram.token", "2:OTHER", Secret("2:OTHER")),
    ("telegram.api_base", "http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
    ("store.path", "/a/b.db", Path("/a/b.db")),
]


def value_of(settings: Settings, dotted: str) -> object:
    section, key = dotted.split(".")
    return getattr(getattr(settings, section), key)


@pytest.mark.parametrize(("key", "text", "value"), TYPED)
@pytest.mark.parametrize("where", ["environment", "command line"])
def test_a_text_from_outside_is_read_by_the_keys_type(
    file: Path, where: str, key: str, text: str, value: object
) -> None:
    file.touch()
    if where == "environment":
        variable = "TRIOLET_" + key.upper().replace(".", "_")
        settings = load(file, environ={**ENVIRON, variable: text})
    else:
        settings = load(file, environ=ENVIRON, overrides={key: text})
    found = value_of(settings, key)
    assert (found, type(found)) == (value, type(value)), "1 and 1.0 are different here"


OVERRIDES: list[tuple[str, object, object]] = [
    ("model.idle_timeout", 7, 7.0),
    ("streaming.enabled", False, False),
    ("access.allow", [1001], (1001,)),
    ("store.path", Path("/a/b.db"), Path("/a/b.db")),
]


@pytest.mark.parametrize(("key", "given", "value"), OVERRIDES)
def test_the_command_line_may_bring_typed_values(file: Path, key: str, given: object, value: object) -> None:
    file.touch()
    assert value_of(load(file, environ=ENVIRON, overrides={key: given}), key) == value


# Variables in texts

INTERPOLATED = [
    ("${WHO}", "Ann"),
    ("for ${WHO} and ${WHO}!", "for Ann and Ann!"),
    ("$${WHO}", "${WHO}"),
    ("$$${WHO}", "$${WHO}"),
    ("$WHO $ {WHO} }", "$WHO $ {WHO} }"),
    ("${NESTED}", "${WHO}"),
    ("${EMPTY}", ""),
]


@pytest.mark.parametrize(("written", "meant"), INTERPOLATED)
def test_texts_read_the_environment(file: Path, written: str, meant: str) -> None:
    environ = {**ENVIRON, "WHO": "Ann", "NESTED": "${WHO}", "EMPTY": ""}
    file.write_text(f"[model]\nsystem_prompt = '{written}'\n")
    assert load(file, environ=environ).model.system_prompt == meant
    file.write_text("")
    overrides = {"model.system_prompt": written}
    assert load(file, environ=environ, overrides=overrides).model.system_prompt == meant
    environ["TRIOLET_MODEL_SYSTEM_PROMPT"] = written
    assert load(file, environ=environ).model.system_prompt == meant


SCRIPTED: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "file": ("provider = 'scripted'", {}, {}),
    "variable in the file": ("provider = '${WHICH}'", {"WHICH": "scripted"}, {}),
    "part of a variable": ("provider = 'script${END}'", {"END": "ed"}, {}),
    "environment": ("", {"TRIOLET_MODEL_PROVIDER": "scripted"}, {}),
    "variable in the environment": ("", {"TRIOLET_MODEL_PROVIDER": "${WHICH}", "WHICH": "scripted"}, {}),
    "command line": ("provider = 'openai-chat'", {}, {"model.provider": "scripted"}),
    "variable on the command line": ("", {"WHICH": "scripted"}, {"model.provider": "${WHICH}"}),
}


@pytest.mark.parametrize("key", ["", "api_key = '${ABSENT}'\n"], ids=["by default", "written"])
@pytest.mark.parametrize("route", SCRIPTED)
def test_scripted_needs_no_key(file: Path, route: str, key: str) -> None:
    line, environ, overrides = SCRIPTED[route]
    file.write_text(f"[model]\n{key}{line}\n")
    settings = load(file, environ={"TELEGRAM_BOT_TOKEN": "1:TEST", **environ}, overrides=overrides)
    assert (settings.model.provider, settings.model.api_key) == ("scripted", Secret(""))


def test_a_local_model_needs_no_key(file: Path) -> None:
    file.write_text("[model]\nprovider = 'local'\napi_key = '${ABSENT}'\n")
    settings = load(file, environ={"TELEGRAM_BOT_TOKEN": "1:TEST"})
    assert (settings.model.provider, settings.model.api_key) == ("local", Secret(""))


@pytest.mark.parametrize("route", SCRIPTED)
def test_a_model_that_is_the_only_one_of_its_provider_needs_no_name(file: Path, route: str) -> None:
    line, environ, overrides = SCRIPTED[route]
    environ = {"TELEGRAM_BOT_TOKEN": "1:TEST", **environ}
    file.write_text(f"[model]\n{line}\n")
    assert load(file, environ=environ, overrides=overrides).model.name == "scripted"
    file.write_text(f"[model]\nname = 'actor'\n{line}\n")
    assert load(file, environ=environ, overrides=overrides).model.name == "actor"
    file.write_text("[model]\nprovider = 'local'\n")
    assert load(file, environ=environ, overrides={"model.provider": "local"}).model.name == "local"


@pytest.mark.parametrize("provider", ["openai-chat", "openai-responses"])
def test_a_key_that_nobody_wrote_is_the_companys(file: Path, provider: str) -> None:
    file.touch()
    assert load(file, environ=ENVIRON, overrides={"model.provider": provider}).model.api_key == Secret("openai")
    assert load(file, environ=ENVIRON).model.api_key == Secret("key")


@pytest.mark.parametrize("key", ["", "api_key = ''\n"], ids=["left out", "empty"])
def test_another_server_gets_no_key_that_was_not_written_for_it(file: Path, key: str) -> None:
    file.write_text(f"[model]\nbase_url = 'http://127.0.0.1:8080/v1/'\n{key}")
    assert load(file, environ=ENVIRON).model == ModelSettings(base_url="http://127.0.0.1:8080/v1")
    file.touch()
    assert load(file, environ=ENVIRON, overrides={"model.base_url": "http://a"}).model.api_key == Secret("")


# The classes


DIRECT: list[Any] = [
    lambda: TelegramSettings(Secret("no token")),
    lambda: TelegramSettings(Secret("1:TEST"), api_base=""),
    lambda: AccessSettings((0,)),
    lambda: ModelSettings(max_tokens=0),
    lambda: ModelSettings(idle_timeout=float("nan")),
    lambda: ModelSettings(max_rounds=0),
    lambda: ModelSettings(base_url="https://a..b"),
    lambda: StreamingSettings(edit_interval=0.0),
    lambda: ToolSettings(enabled=("shell",)),
    lambda: ToolSettings(approval_timeout=0.0),
    lambda: LimitSettings(queue_per_chat=0),
]


@pytest.mark.parametrize("make", DIRECT, ids=range(len(DIRECT)))
def test_the_classes_hold_their_own_ranges(make: Any) -> None:
    with pytest.raises(ValueError):
        make()


def test_settings_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        DEFAULTS.limits.max_turns = 1  # type: ignore[misc]  # the point of the test


def test_importing_settings_imports_no_sdk() -> None:
    """The SDKs take seconds, and ``--help`` needs none."""
    heavy = "{'openai', 'anthropic', 'httpx', 'httpx2', 'trio'}"
    program = (
        f"import sys, triolet.config; sys.exit(repr({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_mistake_is_a_config_error_with_its_place(file: Path) -> None:
    file.write_text("[limits]\nmax_turns = 0\n")
    with pytest.raises(ConfigError) as caught:
        load(file, environ=ENVIRON)
    assert (caught.value.path, caught.value.key) == (file, "limits.max_turns")
