"""Each mistake and its one line: where, which key, what was seen, what to do; never a secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from triolet.config import load
from triolet.errors import ConfigError

ENVIRON = {"TELEGRAM_BOT_TOKEN": "1:TEST", "ANTHROPIC_API_KEY": "key", "OPENAI_API_KEY": "key"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "triolet.toml"


def mistake(file: Path, environ: dict[str, str] = ENVIRON, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, environ=environ, overrides=overrides or {})
    text = str(caught.value)
    assert text.isprintable(), "one line"
    assert caught.value.__cause__ is None
    return text


PROVIDERS = "anthropic or openai-responses or openai-chat or local or scripted"

IN_THE_FILE = {
    # names
    "[modle]\nname = 'x'": "modle: no such section; did you mean model?",
    "[plugins]": "plugins: no such section",
    "[telegram]\ntokn = '1:SECRET'": "telegram.tokn: no such key; did you mean token?",
    "token = '1:SECRET'": "token: no such section; did you mean telegram.token?",
    "[model]\ncursor = '_'": "model.cursor: no such key; did you mean streaming.cursor?",
    "[model]\nqqq = 1": "model.qqq: no such key",
    "[streaming]\nformat = 'html'": 'streaming.format: "html" is refused: write entities or rich or plain',
    "[streaming]\nnotify = 'never'": 'streaming.notify: "never" is refused: write final or first',
    "[streaming]\ncursor = '12345678901234567'": (
        'streaming.cursor: "12345678901234567" is refused: write 16 characters or fewer'
    ),
    "[streaming]\nbuffer_threshold = 40": "streaming.buffer_threshold: no such key",
    "[model]\nprovider = '${'": (
        'model.provider: "${" is refused: '
        "${ begins the name of a variable, as in ${NAME}; write $${ for the two characters"
    ),
    "[model]\nprovider = '${NOPE}'": (
        "model.provider: the environment variable NOPE is not set; set it, or write the value here"
    ),
    "[model]\nname.first = 'x'": 'model.name: {"first": "x"} is refused: write a text, in quotes',
    '[model]\n"a\\nb" = 1': "model.a\\nb: no such key",
    # sections
    "model = 3": "model: 3 is refused: write a section, [model], and its keys below it",
    "[[limits]]\nmax_turns = 3": (
        'limits: [{"max_turns": 3}] is refused: write a section, [limits], and its keys below it'
    ),
    # types
    "[model]\nmax_tokens = '5'": 'model.max_tokens: "5" is refused: write a whole number, without quotes',
    "[model]\nmax_tokens = 5.0": "model.max_tokens: 5.0 is refused: write a whole number, without quotes",
    "[model]\nmax_tokens = true": "model.max_tokens: true is refused: write a whole number, without quotes",
    "[model]\nidle_timeout = true": "model.idle_timeout: true is refused: write a number, without quotes",
    "[model]\nidle_timeout = '60'": 'model.idle_timeout: "60" is refused: write a number, without quotes',
    "[model]\nname = 5": "model.name: 5 is refused: write a text, in quotes",
    "[streaming]\nenabled = 1": "streaming.enabled: 1 is refused: write true or false, without quotes",
    "[streaming]\nenabled = 'no'": 'streaming.enabled: "no" is refused: write true or false, without quotes',
    "[streaming]\ncursor = 2026-11-01": ('streaming.cursor: "2026-11-01" is refused: write a text, in quotes'),
    "[store]\npath = []": "store.path: [] is refused: write a file's name, in quotes",
    # choices
    "[streaming]\ntransport = 'drat'": (
        'streaming.transport: "drat" is refused: write auto or draft or edit; did you mean draft?'
    ),
    "[groups]\nrespond = ['all']": 'groups.respond: ["all"] is refused: write mention or all; did you mean all?',
    "[model]\nprovider = 'openai'": (
        f'model.provider: "openai" is refused: write {PROVIDERS}; did you mean openai-chat?'
    ),
    # ranges
    "[model]\nmax_tokens = 0": "model.max_tokens: 0 is refused: write a whole number, 1 or more",
    "[model]\ncontext_tokens = 999": "model.context_tokens: 999 is refused: write a whole number, 1000 or more",
    "[model]\nconnect_timeout = 0": "model.connect_timeout: 0 is refused: write a number of seconds above 0",
    "[model]\nidle_timeout = -1.5": "model.idle_timeout: -1.5 is refused: write a number of seconds above 0",
    "[model]\ntotal_timeout = inf": "model.total_timeout: Infinity is refused: write a number of seconds above 0",
    "[model]\nfirst_byte_timeout = nan": (
        "model.first_byte_timeout: NaN is refused: write a number of seconds above 0"
    ),
    "[streaming]\nedit_interval = 0.0": "streaming.edit_interval: 0.0 is refused: write a number of seconds above 0",
    "[streaming]\ndraft_interval = 0": "streaming.draft_interval: 0 is refused: write a number of seconds above 0",
    "[model]\nmax_rounds = 0": "model.max_rounds: 0 is refused: write a whole number, 1 or more",
    "[tools]\ntimeout = 0": "tools.timeout: 0 is refused: write a number of seconds above 0",
    "[tools]\napproval_timeout = -1": "tools.approval_timeout: -1 is refused: write a number of seconds above 0",
    "[tools]\nmax_output = 0": "tools.max_output: 0 is refused: write a whole number, 1 or more",
    "[tools]\nmax_calls = 0": "tools.max_calls: 0 is refused: write a whole number, 1 or more",
    "[tools]\nenabled = ['time', 'fetsch']": (
        'tools.enabled: ["time", "fetsch"] is refused: '
        "entry 2: write some of time, calculator, fetch; did you mean fetch?"
    ),
    "[limits]\nmax_turns = 0": "limits.max_turns: 0 is refused: write a whole number, 1 or more",
    "[limits]\nqueue_per_chat = 0": "limits.queue_per_chat: 0 is refused: write a whole number, 1 or more",
    "[model]\nname = ' '": 'model.name: " " is refused: write a name',
    "[store]\npath = ''": 'store.path: "" is refused: write a file\'s name',
    '[store]\npath = "a\\u0000b"': (
        'store.path: "a\\u0000b" is refused: write text, without NUL and without bytes that are not UTF-8'
    ),
    # people
    "[access]\nallow = ['@name']": (
        'access.allow: ["@name"] is refused: entry 1 is no number; '
        "write the user's id without quotes (names change hands)"
    ),
    "[access]\nallow = [1001, '1002']": (
        'access.allow: [1001, "1002"] is refused: entry 2 is no number; '
        "write the user's id without quotes (names change hands)"
    ),
    "[access]\nallow = [true]": (
        "access.allow: [true] is refused: entry 1 is no number; write the user's id without quotes (names change hands)"
    ),
    "[access]\nallow = 1001": ("access.allow: 1001 is refused: write a list of numeric user ids, such as [1001, 1002]"),
    "[access]\nallow = [0]": (
        "access.allow: [0] is refused: 0 is no user; allow holds people, and the ids of groups are below 0"
    ),
    "[access]\nallow = [1001, -100123]": (
        "access.allow: [1001, -100123] is refused: -100123 is no user; "
        "allow holds people, and the ids of groups are below 0"
    ),
    **{
        f"[access]\nallow = [{pseudo}]": (
            f"access.allow: [{pseudo}] is refused: {pseudo} speaks for channels or anonymous administrators, "
            "so for anybody"
        )
        for pseudo in (777000, 1087968824, 136817688)
    },
    # hidden tags
    "[streaming]\nhide_tags = 'think'": (
        'streaming.hide_tags: "think" is refused: write a list of texts, such as ["a", "b"]'
    ),
    "[streaming]\nhide_tags = ['a', 1]": (
        'streaming.hide_tags: ["a", 1] is refused: not all of its entries are texts; write each in quotes'
    ),
    "[streaming]\nhide_tags = ['a', '<b>']": (
        'streaming.hide_tags: ["a", "<b>"] is refused: entry 2: '
        "write a tag's name without < > / and spaces, or what begins and ends the text: [A]...[/A]"
    ),
    "[streaming]\nhide_tags = ['a b...c']": (
        'streaming.hide_tags: ["a b...c"] is refused: entry 1: write a pair as open...close, without spaces, ` and ~'
    ),
    # addresses
    **{
        f"[telegram]\napi_base = '{url}'": (
            f'telegram.api_base: "{url}" is refused: write a URL such as https://host or http://127.0.0.1:8081'
        )
        for url in (
            "",
            "ftp://host",
            "host",
            "https://",
            "http://xn--/v1",
            "http://h:0",
            "http://h:99999",
            "http://[::1",
            "http://a b",
        )
    },
    **{
        f"[model]\nbase_url = 'https://{rest}'": (
            "model.base_url: the value is refused: write the URL without user, password, query and fragment"
        )
        for rest in ("SECRET@host/v1", "user:SECRET@host/v1", "host/v1?key=SECRET")
    },
    # variables
    "[telegram]\ntoken = '${NOPE}'": (
        "telegram.token: the environment variable NOPE is not set; set it, or write the value here"
    ),
    **{
        f"[model]\nname = '{text}'": (
            f'model.name: "{text}" is refused: '
            "${ begins the name of a variable, as in ${NAME}; write $${ for the two characters"
        )
        for text in ("${", "${}", "${NAME", "a ${b-c}")
    },
    # what may be a secret
    "[telegram]\ntoken = 'SECRET'": (
        "telegram.token: the value is refused: a bot's token looks like 123456:ABC-DEF; get yours from @BotFather"
    ),
    "[telegram]\ntoken = '1:SECRET '": (
        "telegram.token: the value is refused: a bot's token looks like 123456:ABC-DEF; get yours from @BotFather"
    ),
    "[telegram]\ntoken = 12345": "telegram.token: the value is refused: write a text, in quotes",
    "[model]\napi_key = 'SECRET é'": (
        "model.api_key: the value is refused: a key holds no space, line end or letter outside ASCII; copy it again"
    ),
    "[model]\napi_key = ''": ("model.api_key: the value is refused: it is empty, and Anthropic's own API needs one"),
    "[model]\nprovider = '12345:SECRET-that-is-long-enough'": (
        f"model.provider: the value is refused: write {PROVIDERS}"
    ),
    "[streaming]\ntransport = 'sk-SECRET'": ("streaming.transport: the value is refused: write auto or draft or edit"),
    f"[groups]\nrespond = '{'x' * 100}'": f'groups.respond: "{"x" * 59}… is refused: write mention or all',
    # several
    "[limits]\nmax_turns = 0\nqueue_per_chat = 0": (
        "limits.max_turns: 0 is refused: write a whole number, 1 or more (and 1 more mistake)"
    ),
    "[store]\npath = ''\n[limits]\nmax_turns = 0\nmax = 1\n[nothing]": (
        "limits.max: no such key (and 3 more mistakes)"
    ),
}


@pytest.mark.parametrize(("content", "line"), IN_THE_FILE.items(), ids=range(len(IN_THE_FILE)))
def test_a_mistake_in_the_file(file: Path, content: str, line: str) -> None:
    file.write_text(content, encoding="utf-8")
    text = mistake(file)
    assert text == f"{file}: {line}"
    assert "SECRET" not in text


def test_a_variables_value_is_not_shown(file: Path) -> None:
    file.write_text("[model]\nprovider = '${OPENAI_API_KEY}'\n")
    text = mistake(file, {**ENVIRON, "OPENAI_API_KEY": "SECRET"})
    assert text == f'{file}: model.provider: "${{OPENAI_API_KEY}}" is refused: write {PROVIDERS}'


IN_THE_ENVIRONMENT = {
    ("TRIOLET_MODEL_MAX_TOKENS", "many"): (
        'model.max_tokens: "many" is refused: write a whole number, without quotes (set by TRIOLET_MODEL_MAX_TOKENS)'
    ),
    ("TRIOLET_MODEL_MAX_TOKENS", "0"): (
        "model.max_tokens: 0 is refused: write a whole number, 1 or more (set by TRIOLET_MODEL_MAX_TOKENS)"
    ),
    ("TRIOLET_MODEL_MAX_TOKENS", "true"): (
        "model.max_tokens: true is refused: write a whole number, without quotes (set by TRIOLET_MODEL_MAX_TOKENS)"
    ),
    ("TRIOLET_STREAMING_ENABLED", "yes"): (
        'streaming.enabled: "yes" is refused: write true or false, without quotes (set by TRIOLET_STREAMING_ENABLED)'
    ),
    ("TRIOLET_ACCESS_ALLOW", "@name"): (
        'access.allow: "@name" is refused: write a list of numeric user ids, such as [1001, 1002] '
        "(set by TRIOLET_ACCESS_ALLOW)"
    ),
    ("TRIOLET_ACCESS_ALLOW", '["1001"]'): (
        'access.allow: ["1001"] is refused: entry 1 is no number; '
        "write the user's id without quotes (names change hands) (set by TRIOLET_ACCESS_ALLOW)"
    ),
    ("TRIOLET_MODEL_NAME", "a\udcff"): (
        'model.name: "a\\udcff" is refused: write text, without NUL and without bytes that are not UTF-8 '
        "(set by TRIOLET_MODEL_NAME)"
    ),
    ("TRIOLET_TELEGRAM_TOKEN", "SECRET"): (
        "telegram.token: the value is refused: a bot's token looks like 123456:ABC-DEF; get yours from @BotFather "
        "(set by TRIOLET_TELEGRAM_TOKEN)"
    ),
    ("TRIOLET_TOOLS_ENABLED", "time, shell"): (
        'tools.enabled: ["time", "shell"] is refused: entry 2: write some of time, calculator, fetch '
        "(set by TRIOLET_TOOLS_ENABLED)"
    ),
    ("TRIOLET_MODEL_NAME", "${NOPE}"): (
        "model.name: the environment variable NOPE is not set; set it, or write the value here "
        "(set by TRIOLET_MODEL_NAME)"
    ),
    ("TRIOLET_MODEL_MAX_TOKEN", "SECRET"): (
        "TRIOLET_MODEL_MAX_TOKEN: no setting has this variable; did you mean TRIOLET_MODEL_MAX_TOKENS?"
    ),
    ("TRIOLET_CONFIG", "SECRET"): "TRIOLET_CONFIG: no setting has this variable",
}


@pytest.mark.parametrize(("variable", "line"), IN_THE_ENVIRONMENT.items(), ids=range(len(IN_THE_ENVIRONMENT)))
def test_a_mistake_in_the_environment(file: Path, variable: tuple[str, str], line: str) -> None:
    """It does not name the file: the mistake is not there."""
    file.touch()
    assert mistake(file, {**ENVIRON, variable[0]: variable[1]}) == line


ON_THE_COMMAND_LINE: dict[tuple[str, Any], str] = {
    (
        "limits.max_turns",
        0,
    ): "limits.max_turns: 0 is refused: write a whole number, 1 or more (set by the command line)",
    ("limits.max_turn", 1): "limits.max_turn: no setting has this name; did you mean limits.max_turns?",
    ("model", 3): "model: no setting has this name",
}


@pytest.mark.parametrize(("override", "line"), ON_THE_COMMAND_LINE.items(), ids=range(3))
def test_a_mistake_on_the_command_line(file: Path, override: tuple[str, Any], line: str) -> None:
    file.touch()
    assert mistake(file, overrides={override[0]: override[1]}) == line


def test_a_token_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(None, environ={"ANTHROPIC_API_KEY": "key"})
    assert str(caught.value) == (
        "telegram.token: the environment variable TELEGRAM_BOT_TOKEN is not set; set it, or write the value here"
    )


def test_an_override_of_a_section_that_is_none(file: Path) -> None:
    file.write_text("model = 3")
    line = "model: 3 is refused: write a section, [model], and its keys below it"
    assert mistake(file, {**ENVIRON, "TRIOLET_MODEL_NAME": "x"}) == f"{file}: {line}"


# The file itself

NOT_TOML = {
    b"[x": "is not TOML: line 1, column 3: Expected ']' at the end of a table declaration",
    b"[model]\nname = \n": "is not TOML: line 2, column 8: Invalid value",
    b"a = 1\nb = [": "is not TOML: line 2, column 6: Invalid value",
    b"b = [": "is not TOML: line 1, column 6: Invalid value",
    b"[model]\nname = 'caf\xe9'": "line 2 is not UTF-8; save the file in that encoding",
    "[model]\n".encode("utf-16"): "line 1 is not UTF-8; save the file in that encoding",
}


@pytest.mark.parametrize(("content", "line"), NOT_TOML.items(), ids=range(len(NOT_TOML)))
def test_a_file_that_is_not_toml(file: Path, content: bytes, line: str) -> None:
    file.write_bytes(content)
    assert mistake(file) == f"{file}: {line}"


@pytest.mark.parametrize("content", ["a = " + "9" * 5000, "a = " + "[" * 5000])
def test_a_file_that_overstrains_the_parser(file: Path, content: str) -> None:
    file.write_text(content)
    assert mistake(file).startswith(f"{file}: is not TOML: ")


def test_a_file_that_is_not_there(file: Path) -> None:
    assert mistake(file) == f"{file}: there is no such file"


def test_a_folder_for_a_file(tmp_path: Path) -> None:
    assert mistake(tmp_path) == f"{tmp_path}: this is a folder; name the file in it"


def test_a_file_that_cannot_be_read(file: Path) -> None:
    """A name that no file can have, since permissions do not bind a root user."""
    file = file.with_name("x" * 300)
    assert mistake(file) == f"{file}: cannot be read: File name too long"


toml_values = st.recursive(
    st.text() | st.integers() | st.floats() | st.booleans(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["telegram.token", "model.name", "access.allow", "streaming.enabled", "model.idle_timeout"]),
        toml_values,
    )
)
@example({"model.idle_timeout": 10**400})
def test_any_value_is_taken_or_refused_in_one_line(file: Path, overrides: dict[str, Any]) -> None:
    file.touch()
    try:
        load(file, environ=ENVIRON, overrides=overrides)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  # either way is right


def test_no_file_is_no_file_s_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The null device stands for none, even where there is one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "triolet.toml").write_text("[nonsense]", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\Atelegram.token: the environment variable"):
        load(Path(os.devnull), environ={"ANTHROPIC_API_KEY": "key"})
