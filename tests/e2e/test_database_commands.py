"""`triolet db` and `triolet doctor` as processes: beside a running bot, without one, and with every kind of rubbish."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from processes import PROGRAM, clean_environment, run_to_end, start, start_emulator

from triolet.store.database import open_database
from triolet.store.inspection import check, inspect
from triolet.store.lock import hold_lock

CONFIG = """\
[telegram]
token = "42:emulator"
api_base = "{}"
[access]
allow = [1001]
[model]
provider = "scripted"
"""
NOWHERE = "http://127.0.0.1:9"


def configure(folder: Path, text: str = CONFIG.format(NOWHERE)) -> Path:
    (folder / "triolet.toml").write_text(text, encoding="utf-8")
    return folder / "triolet.db"


def make_database(folder: Path) -> Path:
    """As a bot leaves it."""
    path = configure(folder)
    open_database(str(path)).close()
    return path


async def test_beside_a_running_bot(tmp_path: Path) -> None:
    async with start_emulator() as emulator:
        path = configure(tmp_path, CONFIG.format(emulator.base))
        async with start("run", cwd=tmp_path) as bot:
            await bot.wait_output("bot.ready")
            await emulator.post("message", chat_id=1001, text="Hello")
            await emulator.wait_messages(1)
            status, output, errors = await run_to_end("doctor", cwd=tmp_path)
            assert (status, errors) == (0, "")
            assert "ok Telegram: the token is that of @" in output
            assert "sound" in output
            status, output, _ = await run_to_end("db", "check", cwd=tmp_path)
            assert (status, output) == (0, f"{path} is sound.\n")
            status, output, _ = await run_to_end("db", "backup", "copy", cwd=tmp_path)
            assert status == 0
            assert output.startswith(f"{path} is copied to copy, ")
            assert (await run_to_end("tools", cwd=tmp_path))[0] == 0
            await emulator.post("message", chat_id=1001, text="Still there?")
            await emulator.wait_messages(2)
    assert check(tmp_path / "copy") == []


async def test_copy_comes_back(tmp_path: Path) -> None:
    path = make_database(tmp_path)
    assert (await run_to_end("db", "backup", "copy", cwd=tmp_path))[0] == 0
    path.write_bytes(b"rubbish")
    status, output, errors = await run_to_end("db", "restore", "copy", cwd=tmp_path)
    assert (status, errors) == (0, "")
    first, second = output.splitlines()
    assert first.startswith(f"{path} is restored from copy; what was there is triolet.db.before-restore-20")
    assert second == "Out of date, so dropped: waiting messages 0, unfinished answers 0, undelivered letters 0."
    assert inspect(path).schema


async def test_restore_waits_for_no_bot(tmp_path: Path) -> None:
    path = make_database(tmp_path)
    assert (await run_to_end("db", "backup", "copy", cwd=tmp_path))[0] == 0
    with hold_lock(path):
        status, output, errors = await run_to_end("db", "restore", "copy", cwd=tmp_path)
        assert (status, output) == (5, "")
        assert errors == (
            f"triolet: {path}: another process, pid {os.getpid()}, serves with triolet.db: "
            "stop it first, or change [store] path\n"
        )


async def test_neither_token_nor_key_is_needed(tmp_path: Path) -> None:
    """A copy is made by night, by somebody who has no business with either."""
    make_database(tmp_path)
    (tmp_path / "triolet.toml").write_text("[access]\nallow = [1]\n", encoding="utf-8")
    for command in (["check"], ["backup", "copy"], ["restore", "copy"], ["check", "--config", "triolet.toml"]):
        status, _, errors = await run_to_end("db", *command, cwd=tmp_path)
        assert (status, errors) == (0, "")


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        ("db check", 6, "triolet.db: there is no such file"),
        ("db backup copy", 6, "triolet.db: there is no such file"),
        ("db restore absent", 6, "absent: there is no such file"),
        ("db restore .", 6, "it is a folder"),
        ("db restore pipe", 6, "it is not a file"),
        ("db restore loop", 6, "symbolic links"),
        ("db restore rubbish", 6, "it is no database"),
        ("db restore /dev/zero", 6, "it is not a file"),
        ("db restore triolet.toml", 6, "it is no database"),
        ("db check --config absent.toml", 2, "absent.toml"),
        ("db check --config .", 2, "this is a folder"),
    ],
)
async def test_rubbish_is_one_line(tmp_path: Path, command: str, code: int, hint: str) -> None:
    configure(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "rubbish").write_bytes(bytes(range(256)) * 400)
    status, output, errors = await run_to_end(*command.split(), cwd=tmp_path)
    assert (status, output) == (code, "")
    [line] = errors.splitlines()
    assert line.startswith("triolet: ")
    assert hint in line


async def test_memory_has_nothing_to_copy(tmp_path: Path) -> None:
    configure(tmp_path, CONFIG.format(NOWHERE) + '[store]\npath = ":memory:"\n')
    for command in (["check"], ["backup", "copy"], ["restore", "copy"]):
        status, output, errors = await run_to_end("db", *command, cwd=tmp_path)
        assert (status, output) == (6, "")
        assert errors == "triolet: [store] path is :memory:, so there is no file\n"


async def test_damage_is_told_in_detail(tmp_path: Path) -> None:
    path = make_database(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE pin")
        connection.execute("DROP TABLE preference")
    status, output, errors = await run_to_end("db", "check", cwd=tmp_path)
    assert (status, errors) == (6, f"triolet: {path}: 2 problems\n")
    assert output.splitlines() == ["its table pin is missing", "its table preference is missing"]
    status, output, errors = await run_to_end("doctor", "--offline", cwd=tmp_path)
    assert (status, errors) == (1, "")
    assert f"!! database: {path}: its table pin is missing\n" in output


async def test_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    configure(tmp_path)
    status, output, errors = await run_to_end("doctor", cwd=tmp_path)
    assert (status, errors) == (1, "")
    assert f"!! Telegram: cannot connect to {NOWHERE}" in output
    status, output, errors = await run_to_end("doctor", "--offline", cwd=tmp_path)
    assert (status, errors) == (0, "")
    assert [file.name for file in tmp_path.iterdir()] == ["triolet.toml"], "it only looks"


async def test_doctor_tells_its_findings_and_not_what_a_program_says_meanwhile(tmp_path: Path) -> None:
    server = '\n[mcp.one]\ncommand = ["sh", "-c", "echo moan >&2; exit 3"]\nallow = ["x"]\n'
    configure(tmp_path, CONFIG.format(NOWHERE) + server)
    status, output, errors = await run_to_end("doctor", cwd=tmp_path)
    assert (status, errors) == (1, "")
    assert "!! tools: one: it ended with exit code 3\n" in output
    assert {line[:3] for line in output.splitlines()} == {"ok ", "-- ", "!! "}


async def test_full_disk_is_one_line(tmp_path: Path) -> None:
    """A limit on the size of files is as good as a full disk."""
    make_database(tmp_path)
    limit = "ulimit -f 50; exec " + " ".join(PROGRAM)
    done = await trio.run_process(
        ["bash", "-c", f"{limit} db backup copy"],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert done.returncode == 6
    [line] = done.stderr.decode().splitlines()
    assert "cannot be copied to" in line
    assert not [file for file in tmp_path.iterdir() if "part" in file.name or "copy" in file.name]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("doctor --offline >&-", 0),
        ("doctor --offline <&- 2>&-", 0),
        ("doctor --offline >/dev/full", 1),
        ("db check >/dev/full", 1),
        ("db check | true", 0),
        ("db backup $'caf\\xe9' >/dev/null", 0),
        ("db backup $'caf\\xe9\\n\\e[31m'", 0),
        ("PYTHONIOENCODING", 0),
    ],
)
async def test_odd_channels_and_names_end_without_a_traceback(tmp_path: Path, command: str, status: int) -> None:
    make_database(tmp_path)
    env = clean_environment()
    if command == "PYTHONIOENCODING":
        env, command = clean_environment(PYTHONIOENCODING="ascii"), "db backup café"
    shell = f"{' '.join(PROGRAM)} {command}; echo status ${{PIPESTATUS[0]}} >&3"
    done = await trio.run_process(
        ["bash", "-c", f"exec 3>{tmp_path}/status; {shell}"],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=tmp_path,
        env=env,
    )
    assert b"Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "status").read_text(encoding="utf-8") == f"status {status}\n"
