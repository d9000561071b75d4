"""Everything a newcomer can get wrong: one clear line on standard error, no traceback, a documented exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from processes import PROGRAM, clean_environment, run_to_end, start, start_emulator

GOOD = """\
[telegram]
token = "42:emulator"
api_base = "http://127.0.0.1:9"
[access]
allow = [1001]
[model]
provider = "scripted"
"""

MISTAKES = {
    "unknown section": (GOOD + "[sterming]\n", 2, "did you mean"),
    "unknown key": (GOOD.replace("provider", "provder"), 2, "did you mean"),
    "wrong type": (GOOD.replace("[1001]", '["@ada"]'), 2, "access.allow"),
    "bad TOML": (GOOD + "[streaming\n", 2, "line"),
    "no token": (GOOD.replace('token = "42:emulator"', ""), 2, "TELEGRAM_BOT_TOKEN"),
    "no key": (GOOD.replace('"scripted"', '"openai-chat"'), 2, "OPENAI_API_KEY"),
    "unreachable": (GOOD, 4, "http://127.0.0.1:9"),
    "no folder for the database": (GOOD + '[store]\npath = "nowhere/triolet.db"\n', 6, "nowhere"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_mistake_is_one_line_and_its_code(tmp_path: Path, mistake: str) -> None:
    text, code, hint = MISTAKES[mistake]
    config = tmp_path / "triolet.toml"
    config.write_text(text, encoding="utf-8")
    status, output, errors = await run_to_end("run", cwd=tmp_path)
    assert (status, output) == (code, "")
    [line] = errors.splitlines()
    assert line.startswith("triolet: ")
    assert hint in line


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "--config", "missing.toml"], "missing.toml"),
        (["run", "--config", "."], "."),
        (["chat", "--provider", "skripted"], "scripted"),
        (["demo", "--provider", "openai-chat"], "OPENAI_API_KEY"),
    ],
)
async def test_wrong_argument_is_one_line(tmp_path: Path, arguments: list[str], hint: str) -> None:
    status, _, errors = await run_to_end(*arguments, cwd=tmp_path)
    assert status == 2
    [line] = errors.splitlines()
    assert hint in line


@pytest.mark.parametrize("arguments", [["dance"], ["run", "--dance"], ["emulator", "--port", "many"]])
async def test_wrong_usage_exits_with_2_and_no_traceback(tmp_path: Path, arguments: list[str]) -> None:
    status, output, errors = await run_to_end(*arguments, cwd=tmp_path)
    assert status == 2
    assert "Traceback" not in output + errors


async def test_refused_token_is_one_line(tmp_path: Path) -> None:
    async with start_emulator() as emulator:
        text = GOOD.replace("http://127.0.0.1:9", emulator.base)
        for token, code in (("77:" + "wrong" * 8, 3), ("77:x", 3)):
            (tmp_path / "triolet.toml").write_text(text.replace("42:emulator", token), encoding="utf-8")
            status, _, errors = await run_to_end("run", cwd=tmp_path)
            assert status == code
            [line] = errors.splitlines()
            assert "telegram.token" in line
            assert token not in line


async def test_second_poller_ends_the_first_with_one_line(tmp_path: Path) -> None:
    """Telegram gives the updates to the newest poller and tells the older one so."""
    async with start_emulator() as emulator:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            text = GOOD.replace("http://127.0.0.1:9", emulator.base)
            (tmp_path / name / "triolet.toml").write_text(text, encoding="utf-8")
        async with start("run", cwd=tmp_path / "one") as first:
            await first.wait_output("bot.ready")
            async with start("run", cwd=tmp_path / "two") as second:
                await second.wait_output("bot.ready")
                assert await first.wait_exit() == 5
                last = first.output.splitlines()[-1]
                assert last.startswith("triolet: ")
                assert "terminated by other getUpdates request" in last


async def test_port_in_use_is_one_line() -> None:
    async with start_emulator() as emulator:
        status, _, errors = await run_to_end("emulator", "--port", emulator.base.rsplit(":", 1)[1])
        assert status == 2
        [line] = errors.splitlines()
        assert "in use" in line


async def test_help_and_version_need_no_configuration(tmp_path: Path) -> None:
    env = clean_environment()
    for arguments in (["--help"], ["--version"], ["run", "--help"], ["demo", "--help"]):
        status, output, errors = await run_to_end(*arguments, env=env, cwd=tmp_path)
        assert (status, errors) == (0, "")
        assert output


@pytest.mark.parametrize("text", ["", "   ", "x" * 5000, "\udcff"])
async def test_message_that_telegram_would_not_take_is_refused(tmp_path: Path, text: str) -> None:
    status, output, errors = await run_to_end("demo", "--say", text, cwd=tmp_path)
    assert (status, output) == (2, "")
    [line] = errors.splitlines()
    assert line.startswith("triolet: --say: a message ")


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
async def test_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    status, output, errors = await run_to_end("emulator", f"--port={port}", cwd=tmp_path)
    assert (status, output) == (2, "")
    [line] = errors.splitlines()
    assert line.startswith(f"triolet: --port {port}: ")


@pytest.mark.parametrize("user", ["0", "-5"])
async def test_person_without_an_id_is_refused(tmp_path: Path, user: str) -> None:
    status, _, errors = await run_to_end("emulator", "--port", "0", "--user", user, cwd=tmp_path)
    assert status == 2
    [line] = errors.splitlines()
    assert line.startswith(f"triolet: --user {user}")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("demo --say hi <&-", 0),
        ("demo --say hi >&-", 0),
        ("demo --say hi 2>&-", 0),
        ("demo --say hi | head -c 1", 0),
        ("chat --provider scripted <&-", 0),
        ("chat --provider scripted </dev/null | true", 0),
        ("chat --provider scripted </dev/null >/dev/full", 1),
    ],
)
async def test_odd_channels_end_without_a_traceback(tmp_path: Path, command: str, status: int) -> None:
    """Channels that are closed, full, or not read to the end."""
    shell = f"{' '.join(PROGRAM)} {command}; echo status ${{PIPESTATUS[0]}} >&3"
    done = await trio.run_process(
        ["bash", "-c", f"exec 3>{tmp_path}/status; {shell}"],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert b"Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "status").read_text(encoding="utf-8") == f"status {status}\n"


async def test_encoding_that_knows_few_characters_gets_question_marks(tmp_path: Path) -> None:
    env = clean_environment(PYTHONIOENCODING="ascii")
    status, output, errors = await run_to_end("demo", "--say", "hi", cwd=tmp_path, env=env)
    assert (status, errors) == (0, "")
    assert "Thinking?" in output


async def test_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    """The reader of a bot's log may die; the bot serves on."""
    async with start_emulator() as emulator:
        text = GOOD.replace("http://127.0.0.1:9", emulator.base)
        (tmp_path / "triolet.toml").write_text(text, encoding="utf-8")
        async with start("run", cwd=tmp_path) as bot:
            await bot.wait_output("bot.ready")
            assert bot.process.stdout is not None
            await bot.process.stdout.aclose()
            await emulator.post("chat", user_id=6666, first_name="Mallory")
            await emulator.post("message", chat_id=6666, text="a stranger is logged")
            await emulator.post("message", chat_id=1001, text="Hello")
            assert len(await emulator.wait_messages(1)) == 1
