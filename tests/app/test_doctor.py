"""`triolet doctor`: each finding, in words and with its mark, and no secret among them."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from mcp_servers import open_watch
from model_lists import open_list_server
from rows import insert
from unprivileged import unprivileged_folder

from triolet.app.doctor import Finding, examine, look_at_space
from triolet.emulator import EmulatedTelegram, Fault, Refuse, Reset, ServerError, open_telegram_server
from triolet.store import open_store, run_inline
from triolet.store.database import open_database
from triolet.store.lock import hold_lock, restore_marker
from triolet.tools.mcp import approve_server

TOKEN = "42:emulatorCANARY"
KEY = "sk-CANARY"
ENVIRON = {"TELEGRAM_BOT_TOKEN": TOKEN, "OPENAI_API_KEY": KEY}
CONFIG = """\
[telegram]
token = "${TELEGRAM_BOT_TOKEN}"
api_base = "http://telegram"
[access]
allow = [1001, 1002]
[model]
provider = "openai-chat"
name = "test"
base_url = "http://model/v1"
api_key = "${OPENAI_API_KEY}"
"""


async def asked(
    folder: Path,
    text: str = CONFIG,
    *,
    fault: Fault | None = None,
    token: str = TOKEN,
    offline: bool = False,
    model: int = 200,
) -> list[str]:
    """The findings about a bot with that configuration; no secret is ever in them."""
    config = folder / "triolet.toml"
    config.write_text(text, encoding="utf-8")
    telegram = EmulatedTelegram(token=token)
    if fault:
        telegram.add_fault(fault)
    async with open_telegram_server(telegram) as server, open_list_server(model) as lists:

        async def connect(host: str, port: int) -> trio.abc.Stream:
            return await (lists if host == "model" else server).connect(host, port)

        findings = await examine(config, ENVIRON, executor=run_inline, connect=connect, offline=offline)
    lines = [str(finding) for finding in findings]
    assert "CANARY" not in "".join(lines)
    assert all(line.isprintable() for line in lines)
    return lines


def about(lines: list[str], subject: str) -> str:
    [line] = [line for line in lines if line[3:].startswith(f"{subject}: ")]
    return f"{line[:2]} {line[5 + len(subject) :]}"


async def test_all_is_well(tmp_path: Path) -> None:
    path = tmp_path / "triolet.db"
    open_database(str(path)).close()
    with hold_lock(path):
        lines = await asked(tmp_path)
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    assert [line for line in lines if not line.startswith("ok disk: ")] == [
        f"ok configuration: {tmp_path}/triolet.toml",
        "ok access: 2 people",
        f"ok database: {path}, {size}, schema 3, sound",
        "-- waiting: 0 messages",
        "-- being written: 0 answers",
        "-- on their way: 0 messages",
        "-- undelivered: 0 messages",
        f"ok bot: one runs, pid {os.getpid()}",
        "ok model: openai-chat test, with a key; its server is there, and lists its models",
        "ok Telegram: the token is that of @triolet_bot",
        "ok updates: 0 wait at Telegram",
    ]


async def test_only_looks(tmp_path: Path) -> None:
    lines = await asked(tmp_path)
    assert about(lines, "database") == f"-- {tmp_path}/triolet.db is not there yet; the first start makes it"
    assert about(lines, "bot") == "-- none runs with this database"
    assert [file.name for file in tmp_path.iterdir()] == ["triolet.toml"]


async def test_what_is_left_to_do_is_counted_and_the_newest_letters_are_told(tmp_path: Path) -> None:
    with closing(open_database(str(tmp_path / "triolet.db"))) as connection:
        for number, offered in enumerate((0, 1, 2)):
            insert(connection, "inbox", update_id=number, body="{}", offered=offered)
        insert(connection, "turn", number=1)
        text = json.dumps({"text": "Good\nmorning \x1b[31m"})
        for number in range(12):
            told = {"state": "dead" if number % 2 else "uncertain", "content": text, "reason": "kicked\n"}
            insert(connection, "outbox", number=number, chat_id=-5, changed_at=1.7e9 + number, **told)
        insert(connection, "outbox", number=50, state="pending")
        insert(connection, "outbox", number=51, chat_id=5, state="dead", reason="", changed_at=math.inf)
        lines = await asked(tmp_path)
    assert about(lines, "waiting") == "-- 2 messages, and 1 if somebody wants it"
    assert about(lines, "being written") == "-- 1 answer"
    assert about(lines, "on their way") == "-- 1 message"
    assert about(lines, "undelivered") == "-- 13 messages"
    letters = [line for line in lines if line.startswith("--   ")]
    assert len(letters) == 10
    assert letters[:3] == [
        "--   some time chat 5 dead: ",
        "--   2023-11-14 22:13:31Z chat -5 dead (kicked): Good morning [31m",
        "--   2023-11-14 22:13:30Z chat -5 uncertain (kicked): Good morning [31m",
    ]


# What is wrong


async def test_nobody_is_answered(tmp_path: Path) -> None:
    lines = await asked(tmp_path, CONFIG.replace("1001, 1002", ""))
    assert about(lines, "access") == "!! access.allow is empty, so nobody is answered"


@pytest.mark.parametrize("missing", ["TELEGRAM_BOT_TOKEN", "OPENAI_API_KEY"])
async def test_what_a_configuration_lacks_keeps_nobody_from_the_database(tmp_path: Path, missing: str) -> None:
    config = tmp_path / "triolet.toml"
    config.write_text(CONFIG, encoding="utf-8")
    open_database(str(tmp_path / "triolet.db")).close()
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    lines = [str(finding) for finding in await examine(config, environ, executor=run_inline)]
    assert missing in about(lines, "configuration")
    assert about(lines, "database").startswith(f"ok {tmp_path}/triolet.db")
    assert about(lines, "Telegram") == "-- not asked, for want of a token"


@pytest.mark.parametrize("text", ["[[[", "[store]\npaht = 'x'", "\0", "[store]\npath = 5"])
async def test_configuration_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    lines = await asked(tmp_path, text)
    assert about(lines, "configuration").startswith(f"!! {tmp_path}/triolet.toml: ")
    assert about(lines, "database") == "-- where it is, the configuration would say"


@pytest.mark.parametrize(
    ("store", "finding"),
    [
        (":memory:", "-- in memory, so a restart forgets everything"),
        ("absent/triolet.db", "!! {}/absent/triolet.db: there is no such file"),
        (".", "!! {}: it is a folder"),
        ("pipe", "!! {}/pipe: it is not a file"),
        ("loop", "!! {}/loop: Too many levels of symbolic links"),
        ("rubbish", "!! {}/rubbish: it is no database"),
        ("half", "!! {}/half: `triolet db restore` was interrupted; run it again"),
    ],
)
async def test_database_is_a_line_whatever_it_is(tmp_path: Path, store: str, finding: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "rubbish").write_bytes(b"\xff" * 5000)
    (tmp_path / "half").write_bytes(b"\xff" * 5000)
    restore_marker(tmp_path / "half").touch()
    lines = await asked(tmp_path, f'{CONFIG}[store]\npath = "{store}"\n')
    assert about(lines, "database") == finding.format(tmp_path)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user whom permissions bind: root is not."""
    with unprivileged_folder() as folder:
        yield folder


async def test_folder_where_no_database_can_be_made_is_told(unprivileged: Path) -> None:
    (unprivileged / "closed").mkdir(0o500)
    lines = await asked(unprivileged, f'{CONFIG}[store]\npath = "closed/triolet.db"\n')
    told = f"{unprivileged}/closed/triolet.db is not there yet, and this user may not write its folder"
    assert about(lines, "database") == f"!! {told}, {unprivileged}/closed"


async def test_sound_database_that_cannot_be_written_is_told(unprivileged: Path) -> None:
    path = unprivileged / "triolet.db"
    open_database(str(path)).close()
    path.chmod(0o444)
    lines = await asked(unprivileged)
    assert about(lines, "database").startswith(f"!! {path}, ")
    assert about(lines, "database").endswith(", sound, but this user may not write it")
    assert about(lines, "waiting") == "-- 0 messages"


async def test_lock_that_cannot_be_read_is_a_line(tmp_path: Path) -> None:
    open_database(str(tmp_path / "triolet.db")).close()
    (tmp_path / "triolet.db-lock").symlink_to("triolet.db-lock")
    assert "symbolic links" in about(await asked(tmp_path), "database")


@pytest.mark.parametrize(("scarce", "mark"), [(0, "ok"), (2**62, "!!")])
def test_disk_should_have_some_space(tmp_path: Path, scarce: int, mark: str) -> None:
    finding = look_at_space(tmp_path, scarce=scarce)
    assert finding.mark == mark
    assert re.fullmatch(r"disk: [\d,]+ MB are free", finding.text)


def test_disk_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    finding = look_at_space(tmp_path / "absent")
    assert finding == Finding("!!", f"disk: {tmp_path}/absent: No such file or directory")


# Telegram


def answer(result: object) -> ServerError:
    return ServerError(200, json.dumps({"ok": True, "result": result}))


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (Fault(action=Refuse(401, "Unauthorized"), method="getMe"), "!! getMe: 401 Unauthorized"),
        (Fault(action=ServerError(), method="getMe"), "!! getMe: HTTP 502, not a Bot API answer"),
        (Fault(action=Reset(carried_out=False), method="getMe"), "!! getMe: no answer"),
        (Fault(action=answer("me"), method="getMe"), "!! getMe: the result is no user"),
        (Fault(action=answer([]), method="getWebhookInfo"), "!! getWebhookInfo: the result is no object"),
        (Fault(action=Refuse(400, "no\n"), method="getWebhookInfo"), "!! getWebhookInfo: 400 no"),
    ],
)
async def test_telegram_refuses(tmp_path: Path, fault: Fault, finding: str) -> None:
    assert about(await asked(tmp_path, fault=fault), "Telegram").startswith(finding)


async def test_token_of_somebody_else_is_refused(tmp_path: Path) -> None:
    assert about(await asked(tmp_path, token="43:other"), "Telegram").startswith("!! getMe: 401")


async def test_webhook_takes_the_updates_away(tmp_path: Path) -> None:
    """Its URL is nobody's business: it often holds the token."""
    info = {"url": f"https://host/{TOKEN}", "pending_update_count": 3}
    lines = await asked(tmp_path, fault=Fault(action=answer(info), method="getWebhookInfo"))
    assert about(lines, "updates").startswith("!! a webhook is set")


@pytest.mark.parametrize(("count", "told"), [(3, "3"), (None, "an unknown number"), ("\x1b", "an unknown number")])
async def test_updates_that_wait_are_counted(tmp_path: Path, count: object, told: str) -> None:
    info = {"url": "", "pending_update_count": count}
    lines = await asked(tmp_path, fault=Fault(action=answer(info), method="getWebhookInfo"))
    assert about(lines, "updates") == f"ok {told} wait at Telegram"


async def test_offline_asks_nobody(tmp_path: Path) -> None:
    fault = Fault(action=Refuse(500, "asked"), times=None)
    lines = await asked(tmp_path, fault=fault, offline=True, model=500)
    assert about(lines, "Telegram") == "-- not asked, --offline"
    assert about(lines, "model") == "-- openai-chat test, with a key; not asked, --offline"


# Models


@pytest.mark.parametrize(
    ("status", "finding"),
    [
        (401, "!! openai-chat test: the provider refuses the API key (401): check model.api_key"),
        (503, "!! openai-chat test: the provider cannot answer now (503)"),
        (404, "ok openai-chat test, with a key; its server is there, and has no list of models (404)"),
    ],
)
async def test_model_s_server_is_asked(tmp_path: Path, status: int, finding: str) -> None:
    assert about(await asked(tmp_path, model=status), "model") == finding


async def test_model_without_a_key_is_told(tmp_path: Path) -> None:
    text = CONFIG.replace('api_key = "${OPENAI_API_KEY}"', "")
    assert about(await asked(tmp_path, text), "model").startswith("ok openai-chat test, without a key; ")


async def test_scripted_model_is_called_what_it_is(tmp_path: Path) -> None:
    text = CONFIG.partition("[model]")[0] + '[model]\nprovider = "scripted"\n'
    assert about(await asked(tmp_path, text), "model") == "ok scripted"


async def test_every_model_is_asked(tmp_path: Path) -> None:
    text = f'{CONFIG}[[model.fallback]]\nname = "two"\n[[model.fallback]]\nname = "three"\nprovider = "scripted"\n'
    models = [line for line in await asked(tmp_path, text, model=403) if " model: " in line]
    assert [line.partition(": ")[2].partition(":")[0] for line in models] == [
        "openai-chat test",
        "openai-chat two",
        "scripted three",
    ]
    assert [line[:2] for line in models] == ["!!", "!!", "ok"]


# Tools


async def test_tools_that_are_off_are_told(tmp_path: Path) -> None:
    async with open_watch() as watch, open_store(tmp_path / "triolet.db", executor=run_inline) as store:
        allow = ("echo", "hang", "gone")
        await approve_server(watch.stdio("one", allow=allow), store)
        command = json.dumps(watch.stdio("one", "odd", "swindler").command)
        text = f"{CONFIG}[mcp.one]\ncommand = {command}\nallow = {json.dumps(allow)}\n"
        off = "off: one__echo has changed, one__gone is not there; `triolet tools` tells more"
        assert about(await asked(tmp_path, text), "tools") == f"-- one: 1 in use; {off}"
        assert about(await asked(tmp_path, text, offline=True), "tools") == "-- one: not asked, --offline"
        assert dict(await store.pinned("one")).keys() == {"echo", "hang"}, "it only looks"


async def test_tools_are_well_without_a_database(tmp_path: Path) -> None:
    async with open_watch() as watch:
        command = json.dumps(watch.stdio("one").command)
        text = f'{CONFIG}[mcp.one]\ncommand = {command}\nallow = ["echo"]\n'
        assert about(await asked(tmp_path, text), "tools") == "ok one: 1 in use"
    assert [file.name for file in tmp_path.iterdir()] == ["triolet.toml"]


async def test_many_tools_that_are_off_are_counted(tmp_path: Path) -> None:
    async with open_watch() as watch:
        command = json.dumps(watch.stdio("one").command)
        allow = json.dumps([f"gone{number}" for number in range(10)])
        lines = await asked(tmp_path, f"{CONFIG}[mcp.one]\ncommand = {command}\nallow = {allow}\n")
    assert about(lines, "tools").endswith(", one__gone7 is not there and 2 more; `triolet tools` tells more")


async def test_server_of_tools_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    text = f'{CONFIG}[mcp.a]\ncommand = ["/nowhere/at/all"]\n[mcp.a__b]\ncommand = ["x"]\n'
    one, two = [line for line in await asked(tmp_path, text) if " tools: " in line]
    assert one.startswith("!! tools: a: ")
    assert "No such file" in one
    assert two == "!! tools: a__b: off, since its tools could be taken for a's; rename one"
