"""`triolet demo` and `triolet chat` as a person meets them: in a pipe, and at a real terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
import trio
from processes import PATIENCE, PROGRAM, clean_environment, run_to_end

from triolet.app.help import HELP
from triolet.providers.scripted import GREETING, STORY

UNREACHABLE = ("--provider", "openai-chat", "--model", "m", "--base-url", "http://127.0.0.1:9/v1")
LINE = re.compile(r"^ *(\d+\.\d{3}) s  (\w+) +(.*)$", re.MULTILINE)


async def test_demo_prints_growing_frames_and_a_final_message_each(tmp_path: Path) -> None:
    status, output, errors = await run_to_end("demo", "--say", "Hello", "--say", "Tell me a story", cwd=tmp_path)
    assert (status, errors) == (0, "")
    assert output.startswith("Provider: scripted")
    rows = [(float(time), kind, text) for time, kind, text in LINE.findall(output)]
    assert [kind for _, kind, _ in rows if kind != "draft"] == ["you", "message", "you", "message"]
    hello = rows[: rows.index(next(row for row in rows if row[1] == "message")) + 1]
    assert all(earlier[0] <= later[0] for earlier, later in pairwise(hello))
    assert hello[1][2] == "Thinking…"
    assert len(hello) > 5
    assert hello[-1][2] == GREETING
    assert STORY.splitlines()[-1] in output
    assert list(tmp_path.iterdir()) == [], "the demo leaves nothing behind"


async def test_demo_that_gets_no_answer_says_so(tmp_path: Path) -> None:
    status, output, errors = await run_to_end("demo", *UNREACHABLE, "--say", "Hello", cwd=tmp_path)
    assert status == 7
    assert "⚠ broken off" in output
    [line] = errors.splitlines()
    assert line.startswith("triolet: the demo got no answer")


async def test_demo_reads_a_pipe(tmp_path: Path) -> None:
    status, output, errors = await run_to_end("demo", cwd=tmp_path, stdin=b"Hello\n/help\n")
    assert (status, errors) == (0, "")
    assert GREETING in output
    assert "/new   forget this conversation" in output


async def test_chat_answers_a_pipe_and_leaves_at_its_end(tmp_path: Path) -> None:
    status, output, errors = await run_to_end("chat", "--provider", "scripted", cwd=tmp_path, stdin=b"Hello\nagain\n")
    assert (status, errors) == (0, "")
    assert GREETING in output
    assert "You said: again" in output
    assert "message 2 of this conversation" in output


async def test_chat_answers_a_pipe_before_it_quits(tmp_path: Path) -> None:
    status, output, errors = await run_to_end("chat", "--provider", "scripted", cwd=tmp_path, stdin=b"Hello\n/quit\n")
    assert (status, errors) == (0, "")
    assert GREETING in output


async def test_chat_helps_to_leave(tmp_path: Path) -> None:
    status, output, errors = await run_to_end("chat", "--provider", "scripted", cwd=tmp_path, stdin=b"/help\n")
    assert (status, errors) == (0, "")
    assert HELP in output
    assert "\n/quit  leave\n" in output


async def test_chat_tells_a_failure_once(tmp_path: Path) -> None:
    status, output, errors = await run_to_end("chat", *UNREACHABLE, cwd=tmp_path, stdin=b"Hello\n")
    assert (status, errors) == (0, "")
    assert output.count("⚠ broken off") == 1


async def test_chat_survives_rubbish(tmp_path: Path) -> None:
    rubbish = bytes(range(256)) + b"\n\x1b]0;evil\x07\n\n" + b"\xff" * 5000 + b"\n/dance\n/stop\n/new\n/quit\n"
    status, output, errors = await run_to_end("chat", "--provider", "scripted", cwd=tmp_path, stdin=rubbish)
    assert (status, errors) == (0, "")
    assert "\x1b" not in output


@attrs.define(eq=False)
class Tty:
    """A terminal with a program in it; ``screen`` is all that was written to it."""

    process: trio.Process
    master: trio.lowlevel.FdStream
    screen: str = ""

    async def read_until(self, text: str, count: int = 1) -> None:
        with trio.fail_after(PATIENCE):
            while self.screen.count(text) < count:
                self.screen += (await self.master.receive_some()).decode(errors="replace")

    async def type(self, text: str) -> None:
        await self.master.send_all(text.encode())

    async def wait_exit(self) -> int:
        with trio.fail_after(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def open_tty(*arguments: str, folder: Path, is_child: bool = False) -> AsyncIterator[Tty]:
    """The program as the leader of a session at a terminal of its own, where Ctrl-C is a signal; or a child of that."""
    master, slave = os.openpty()
    process = await trio.lowlevel.open_process(
        [*(["sh", "-c", '"$@"; true', "sh"] if is_child else []), *PROGRAM, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=clean_environment(TERM="xterm"),
        preexec_fn=lambda: os.login_tty(slave),
    )
    os.close(slave)
    async with trio.lowlevel.FdStream(master) as stream:
        try:
            yield Tty(process, stream)
        finally:
            if process.poll() is None:
                process.kill()
            await process.wait()


async def test_chat_ctrl_c_stops_the_answer_and_then_leaves(tmp_path: Path) -> None:
    async with open_tty("chat", "--provider", "scripted", folder=tmp_path) as tty:
        await tty.read_until("› ")
        await tty.type("Tell me a story\n")
        await tty.read_until("musicians")
        await tty.type("\x03")
        await tty.read_until("⏹ stopped")
        assert STORY.splitlines()[-1] not in tty.screen
        await tty.type("Hello again\n")
        await tty.read_until("That was message 2")
        await tty.read_until("› ", 3)
        await tty.type("\x03")
        assert await tty.wait_exit() == 0


@pytest.mark.parametrize("stop", ["x", " ", "xx", "\x1b[B", "\x1bOP", "/stop\n"])
async def test_demo_key_or_command_stops_the_answer(tmp_path: Path, stop: str) -> None:
    async with open_tty("demo", folder=tmp_path) as tty:
        await tty.read_until("you › ")
        await tty.type("Tell me a story\n")
        await tty.read_until("musicians")
        await tty.type(stop)
        await tty.read_until("⏹ stopped")
        await tty.read_until("you › ", 2)
        assert STORY.splitlines()[-1] not in tty.screen
        await tty.type("Hello again\n")
        await tty.read_until("That was message 2")
        await tty.read_until("you › ", 3)
        await tty.type("/quit\n")
        assert await tty.wait_exit() == 0


@pytest.mark.parametrize("mode", ["edit", "off"])
@pytest.mark.parametrize("stop", ["\x1b[B", "/stop\n"])
async def test_demo_key_or_command_stops_an_answer_without_a_draft(tmp_path: Path, mode: str, stop: str) -> None:
    async with open_tty("demo", folder=tmp_path) as tty:
        await tty.read_until("you › ")
        await tty.type(f"/stream {mode}\n")
        await tty.read_until("you › ", 2)
        await tty.type("Tell me a story\n")
        await tty.read_until("musicians" if mode == "edit" else "typing…")
        await tty.type(stop)
        await tty.read_until("⏹ stopped")
        await tty.read_until("you › ", 3)
        assert STORY.splitlines()[-1] not in tty.screen
        assert "nothing to stop" not in tty.screen
        await tty.type("/quit\n")
        assert await tty.wait_exit() == 0


async def test_demo_shows_an_edited_answer_to_its_end(tmp_path: Path) -> None:
    async with open_tty("demo", folder=tmp_path) as tty:
        await tty.read_until("you › ")
        await tty.type("/stream edit\n")
        await tty.read_until("you › ", 2)
        await tty.type("Hello\n")
        await tty.read_until("you › ", 3)
        assert "what I said so far stays." in tty.screen.replace("\r\n", "")
        assert len(re.findall(r"(?<!\x1b\[J)bot › ", tty.screen)) == 2, "a message each, which grows in its place"
        await tty.type("And you?\n")
        await tty.read_until("That was message 2")


async def test_demo_asks_what_was_typed_ahead(tmp_path: Path) -> None:
    """Several lines in a paste, the last of them without its end."""
    async with open_tty("demo", folder=tmp_path) as tty:
        await tty.read_until("you › ")
        assert max(map(len, tty.screen.splitlines())) <= 80
        await tty.type("Hello\n/help\nAnd you")
        await tty.read_until("/help  this text")
        await tty.read_until("you › And you")
        assert "⏹ stopped" not in tty.screen
        await tty.type("?\n")
        await tty.read_until("You said: And you?")


@pytest.mark.parametrize("stopped", [False, True])
async def test_demo_gives_the_terminal_back(tmp_path: Path, *, stopped: bool) -> None:
    """As it was, when it is ended in the middle of an answer; and takes it again when it may go on."""
    async with open_tty("demo", folder=tmp_path) as tty:
        await tty.read_until("you › ")
        before = termios.tcgetattr(tty.master.fileno())
        await tty.type("Tell me a story\n")
        await tty.read_until("musicians")
        within = termios.tcgetattr(tty.master.fileno())
        assert within != before
        if stopped:
            tty.process.send_signal(signal.SIGSTOP)
            termios.tcsetattr(tty.master.fileno(), termios.TCSANOW, before)  # as a shell does
            tty.process.send_signal(signal.SIGCONT)
            with trio.fail_after(PATIENCE):
                while termios.tcgetattr(tty.master.fileno()) != within:
                    await trio.sleep(0.01)
            await tty.type("x")
            await tty.read_until("⏹ stopped")
            await tty.read_until("you › ", 2)
        else:
            tty.process.send_signal(signal.SIGTERM)
            assert await tty.wait_exit() == 0
            assert "Traceback" not in tty.screen
        assert termios.tcgetattr(tty.master.fileno()) == before


async def test_demo_is_not_stopped_where_nobody_could_let_it_go_on(tmp_path: Path) -> None:
    """It takes the foreground from a parent that is no shell, such as tox, and would never give it back."""
    async with open_tty("demo", folder=tmp_path, is_child=True) as tty:
        await tty.read_until("you › ")
        await tty.type("\x1a/help\n")
        await tty.read_until("/help  this text")


async def test_demo_ctrl_c_leaves(tmp_path: Path) -> None:
    async with open_tty("demo", folder=tmp_path) as tty:
        await tty.read_until("you › ")
        await tty.type("Tell me a story\n")
        await tty.read_until("musicians")
        await tty.type("\x03")
        assert await tty.wait_exit() == 0
        assert "Traceback" not in tty.screen
