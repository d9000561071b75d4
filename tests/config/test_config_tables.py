"""Tables of which the file may hold any number: further models, and servers of tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from triolet.config import FallbackSettings, McpSettings, ModelSettings, Secret, Settings, documented_defaults, load
from triolet.errors import ConfigError

ENVIRON = {"TELEGRAM_BOT_TOKEN": "1:TEST", "ANTHROPIC_API_KEY": "key", "OTHER_KEY": "other"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "triolet.toml"


def read(file: Path, content: str, environ: dict[str, str] = ENVIRON) -> Settings:
    file.write_text(content, encoding="utf-8")
    return load(file, environ=environ)


def mistake(file: Path, content: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(file, content)
    text = str(caught.value)
    assert text.isprintable(), "one line"
    assert "SECRET" not in text
    return text.removeprefix(f"{file}: ")


def test_the_examples_in_the_documented_defaults_work(file: Path) -> None:
    lines = [line.removeprefix("# ") for line in documented_defaults().splitlines()]
    settings = read(file, "\n".join(lines), {**ENVIRON, "OPENAI_API_KEY": "open", "SEARCH_TOKEN": "search"})
    assert settings.model.fallback == (
        FallbackSettings("gpt-5.4-mini", "openai-responses", "https://eu.api.openai.com/v1", Secret("open")),
    )
    assert settings.mcp == (
        McpSettings(
            "files",
            command=("files-server", "/srv/shared"),
            env=("LANG",),
            allow=("list", "read", "write"),
            trusted=("list", "read"),
        ),
        McpSettings("search", url="https://search.example/mcp", token=Secret("search"), allow=("*",)),
    )


# Further models

FIRST = """\
[model]
provider = 'openai-chat'
name = 'first'
base_url = 'http://first.test/v1'
api_key = 'first-key'
max_tokens = 77
"""
ROUTES: dict[str, tuple[str, ModelSettings]] = {
    "same server": ("", ModelSettings("openai-chat", "b", "http://first.test/v1", Secret("first-key"))),
    "same server, own key": (
        "api_key = '${OTHER_KEY}'",
        ModelSettings("openai-chat", "b", "http://first.test/v1", Secret("other")),
    ),
    "another server": (
        "base_url = 'http://b.test/v1/'",
        ModelSettings("openai-chat", "b", "http://b.test/v1", Secret("")),
    ),
    "another server, own key": (
        "base_url = 'http://b.test/v1'\napi_key = 'b-key'",
        ModelSettings("openai-chat", "b", "http://b.test/v1", Secret("b-key")),
    ),
    "the provider's own address": ("base_url = ''\napi_key = 'b'", ModelSettings("openai-chat", "b", "", Secret("b"))),
    "another provider": ("provider = 'anthropic'\napi_key = 'b'", ModelSettings("anthropic", "b", "", Secret("b"))),
    "a provider without keys": ("provider = 'local'", ModelSettings("local", "b", "", Secret(""))),
}


@pytest.mark.parametrize("route", ROUTES)
def test_a_fallback_gets_the_first_models_key_at_the_same_server_alone(file: Path, route: str) -> None:
    keys, second = ROUTES[route]
    settings = read(file, f"{FIRST}[[model.fallback]]\nname = 'b'\n{keys}\n").model
    first, found = settings.models()
    assert first == ModelSettings("openai-chat", "first", "http://first.test/v1", Secret("first-key"), max_tokens=77)
    assert (found.provider, found.name, found.base_url) == (second.provider, second.name, second.base_url)
    assert found.api_key == second.api_key
    assert found.max_tokens == 77, "all else is [model]'s"


def test_fallbacks_are_in_order_and_have_none_themselves(file: Path) -> None:
    models = read(file, FIRST + "".join(f"[[model.fallback]]\nname = '{name}'\n" for name in "abc")).model.models()
    assert [model.name for model in models] == ["first", "a", "b", "c"]
    assert not any(model.fallback for model in models)


def test_a_model_alone_is_its_models() -> None:
    assert ModelSettings().models() == (ModelSettings(),)


def test_every_secret_is_known(file: Path) -> None:
    content = f"{FIRST}[[model.fallback]]\nname = 'b'\nbase_url = 'http://b'\napi_key = 'b-key'\n"
    content += "[mcp.a]\nurl = 'http://a'\ntoken = 'mcp-token'\n[mcp.b]\ncommand = ['b']\n"
    secrets = read(file, content).secrets()
    assert [secret.reveal() for secret in secrets] == ["1:TEST", "first-key", "b-key", "mcp-token"]


IN_FALLBACKS = {
    "[model]\nfallback = ['b']": (
        'model.fallback.1: "b" is refused: write a section, [[model.fallback]], and its keys below it'
    ),
    "[model.fallback]\nname = 'b'": (
        'model.fallback: {"name": "b"} is refused: write tables, [[model.fallback]], and the keys below each'
    ),
    "[model.fallback]\napi_key = 'SECRET'": (
        "model.fallback: the value is refused: write tables, [[model.fallback]], and the keys below each"
    ),
    "[[model.fallback]]": "model.fallback.1.name: it is missing",
    "[[model.fallback]]\nname = 'b'\n[[model.fallback]]\nname = ''": (
        'model.fallback.2.name: "" is refused: write a name'
    ),
    "[[model.fallback]]\nname = 'b'\nbase_ur = 'SECRET'": (
        "model.fallback.1.base_ur: no such key; did you mean base_url?"
    ),
    "[[model.fallback]]\nname = 'b'\nmax_tokens = 3": "model.fallback.1.max_tokens: no such key",
    "[[model.fallback]]\nname = 'b'\nprovider = 'lokal'": (
        'model.fallback.1.provider: "lokal" is refused: '
        "write anthropic or openai-responses or openai-chat or local or scripted; did you mean local?"
    ),
    "[[model.fallback]]\nname = 'b'\nprovider = 'local'\nbase_url = 'b'": (
        'model.fallback.1.base_url: "b" is refused: write a URL such as https://host or http://127.0.0.1:8081'
    ),
    "[[model.fallback]]\nname = 'b'\napi_key = 'SECRET é'": (
        "model.fallback.1.api_key: the value is refused: "
        "a key holds no space, line end or letter outside ASCII; copy it again"
    ),
    "[[model.fallback]]\nname = 'b'\napi_key = '${NOPE}'": (
        "model.fallback.1.api_key: the environment variable NOPE is not set; set it, or write the value here"
    ),
    "[[model.fallback]]\nname = 'b'\n[[model.fallback]]\nname = 'c'\nprovider = 'openai-chat'": (
        "model.fallback.2.api_key: the value is refused: it is empty, and OpenAI's own API needs one"
    ),
    "[[model.fallback]]\nname = 'b'\nprovider = 'anthropic'": (
        "model.fallback.1.api_key: the value is refused: it is empty, and Anthropic's own API needs one"
    ),
    "[[model]]\napi_key = 'SECRET'": ("model: the value is refused: write a section, [model], and its keys below it"),
}


@pytest.mark.parametrize(("content", "line"), IN_FALLBACKS.items(), ids=range(len(IN_FALLBACKS)))
def test_a_mistake_in_a_fallback(file: Path, content: str, line: str) -> None:
    assert mistake(file, content) == line


# Servers of tools

NAME = "name the table with 1 to 20 of a-z, 0-9, _ and -"
IN_SERVERS = {
    "mcp = 3": "mcp: 3 is refused: write tables, [mcp.NAME], and the keys below each",
    "[mcp]\ncommand = ['SECRET']": (
        "mcp.command: the value is refused: write a section, [mcp.NAME], and its keys below it"
    ),
    "[mpc.a]": "mpc: no such section; did you mean mcp?",
    "[mcp.a]": "mcp.a: write either a command or a url",
    "[mcp.a]\ncommand = ['a']\nurl = 'http://a'": "mcp.a: write either a command or a url",
    "[mcp.A]\ncommand = ['SECRET']": f"mcp.A: {NAME}",
    "[mcp.'']\ncommand = ['a']": f"mcp.: {NAME}",
    "[mcp.'a.b']\ncommand = ['a']": f"mcp.a.b: {NAME}",
    "[mcp.'${OTHER_KEY}']\ncommand = ['a']": f"mcp.${{OTHER_KEY}}: {NAME}",
    f"[mcp.{'a' * 21}]\ncommand = ['a']": f"mcp.{'a' * 21}: {NAME}",
    "[mcp.a]\nname = 'b'\ncommand = ['a']": "mcp.a.name: no such key",
    "[mcp.a]\ncomand = ['SECRET']\nurl = 'http://a'": "mcp.a.comand: no such key; did you mean command?",
    "[mcp.a]\ncommand = 'a --key SECRET'": (
        'mcp.a.command: the value is refused: write a list of texts, such as ["a", "b"]'
    ),
    "[mcp.a]\ncommand = ['a', '']": (
        "mcp.a.command: the value is refused: entry 2 is empty; write a program and its arguments, each in quotes"
    ),
    "[mcp.a]\ncommand = ['a', '--key=${OTHER_KEY}']": (
        "mcp.a.command: the value is refused: entry 2: no variable is read here; pass it by its name in env"
    ),
    "[mcp.a]\ncommand = ['a']\nenv = ['KEY=SECRET']": (
        "mcp.a.env: the value is refused: entry 1: write the name of a variable, whose value the environment has"
    ),
    "[mcp.a]\nurl = 'http://a'\nenv = ['KEY']": "mcp.a: env is for a command; give a url its secret as token",
    "[mcp.a]\ncommand = ['a']\ntoken = 'SECRET'": ("mcp.a: a token is for a url; give a command its secrets by env"),
    "[mcp.a]\nurl = 'http://a/?key=SECRET'": (
        "mcp.a.url: the value is refused: write the URL without user, password, query and fragment"
    ),
    "[mcp.a]\nurl = 'a'": 'mcp.a.url: "a" is refused: write a URL such as https://host or http://127.0.0.1:8081',
    "[mcp.a]\nurl = 'http://a'\ntoken = 'SECRET '": (
        "mcp.a.token: the value is refused: a key holds no space, line end or letter outside ASCII; copy it again"
    ),
    "[mcp.a]\nurl = 'http://a'\nallow = ['b', ' ']": (
        'mcp.a.allow: ["b", " "] is refused: entry 2 is empty; write a tool\'s name, or * for all'
    ),
    "[mcp.a]\nurl = 'http://a'\nallow = ['b']\ntrusted = ['b', 'c']": (
        "mcp.a: trusted has a tool that allow has not; write it in both, or take it out"
    ),
    "[mcp.a]\nurl = 'http://a'\nallow = ['b']\ntrusted = ['*']": (
        "mcp.a: trusted has a tool that allow has not; write it in both, or take it out"
    ),
}


@pytest.mark.parametrize(("content", "line"), IN_SERVERS.items(), ids=range(len(IN_SERVERS)))
def test_a_mistake_in_a_server(file: Path, content: str, line: str) -> None:
    assert mistake(file, content) == line


@pytest.mark.parametrize("trusted", [["b"], ["*"], []])
def test_all_tools_may_be_allowed(file: Path, trusted: list[str]) -> None:
    [server] = read(file, f"[mcp.a]\nurl = 'http://a/mcp/'\nallow = ['*']\ntrusted = {trusted}").mcp
    assert (server.url, server.allow, server.trusted) == ("http://a/mcp/", ("*",), tuple(trusted))


@pytest.mark.parametrize("variable", ["TRIOLET_MODEL_FALLBACK", "TRIOLET_MCP", "TRIOLET_MCP_A_URL"])
def test_no_variable_sets_a_table(file: Path, variable: str) -> None:
    file.touch()
    with pytest.raises(ConfigError, match=f"^{variable}: no setting has this variable"):
        load(file, environ={**ENVIRON, variable: "x"})


@pytest.mark.parametrize("key", ["model.fallback", "mcp", "mcp.a.url"])
def test_no_option_sets_a_table(file: Path, key: str) -> None:
    file.touch()
    with pytest.raises(ConfigError, match=f"^{key}: no setting has this name"):
        load(file, environ=ENVIRON, overrides={key: "x"})
