"""The programs that are measured side by side, and how each is started: as a process of its own, as users start it.

Triolet is `triolet run` with a database in a file. The others are scripts in `racers/`; those that need packages of
their own have an environment in the user's cache, made once, with pinned versions.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs
import trustme
from lean_http import Loop
from lean_telegram import Bot, LeanTelegram
from talker import Dialect, Talker

RACERS: Final = Path(__file__).parent / "racers"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triolet-benchmarks"
OPENAI: Final = "openai==3.54.0"


@attrs.frozen
class Way:
    """How a program is to speak: to which kind of model, over what, and whether it edits messages or shows drafts."""

    dialect: Dialect = "openai-chat"
    edits: bool = False
    tls: bool = False


@attrs.frozen
class Program:
    """``script`` is a racer's; "" is Triolet. With ``pins`` it runs in an environment that holds these.

    ``python`` is the least version that those run on. One that ``waits`` shows its first text a second later, or so.
    """

    name: str
    script: str = ""
    pins: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 11)
    commits: bool = False
    waits: bool = False

    @property
    def token(self) -> str:
        return f"42:{re.sub(r'[^a-z]+', '-', self.name.lower())}"


TRIOLET: Final = Program("Triolet")
FLOOR: Final = Program("floor", "floor.py")
COMMITTING: Final = Program("floor + commit", "floor.py", commits=True)
RAW: Final = Program("raw sockets", "raw.py")

_PTB: Final = ("python-telegram-bot==22.8", OPENAI)
_AIOGRAM: Final = ("aiogram==3.31.0", OPENAI)
_TELEGRAMIFY: Final = ("telegramify-markdown==1.4.1", "httpx==0.28.1", OPENAI)
_TGKIT: Final = ("tgkit==0.1.0", "aiogram==3.31.0", OPENAI)

PEERS: Final[dict[Program, Way]] = {
    Program("python-telegram-bot, drafts", "ptb_bot.py", _PTB): Way(),
    Program("python-telegram-bot, edits", "ptb_bot.py", _PTB): Way(edits=True),
    Program("aiogram, drafts", "aiogram_bot.py", _AIOGRAM): Way(),
    Program("aiogram, edits", "aiogram_bot.py", _AIOGRAM): Way(edits=True),
    Program("telegramify DraftStream", "telegramify_bot.py", _TELEGRAMIFY, waits=True): Way(),
    Program("telegramify EditStream", "telegramify_bot.py", _TELEGRAMIFY, waits=True): Way(edits=True),
    Program("tgkit Turn", "tgkit_bot.py", _TGKIT, python=(3, 12)): Way(),
}


class NotInstalled(Exception):
    """The program's packages are not to be had; says why."""


class Town:
    """What all programs speak to: a Bot API and a model, in this process, each with and without TLS.

    The model's address is 127.1, which is 127.0.0.1 in other words: a client that keeps no connection to a model of
    its own machine is to be measured as with any other.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = Loop()
        self.telegram = LeanTelegram(self.loop)
        self.talker = Talker(self.loop)
        self.authority = folder / "authority.pem"
        self._tls = _certificate(self.authority)

    def serve(self, *, tls: bool) -> tuple[str, str]:
        """The addresses of a new Bot API and a new model."""
        scheme, context = ("https", self._tls) if tls else ("http", None)
        api = self.loop.serve(self.telegram.answer, context)
        model = self.loop.serve(self.talker.answer, context)
        return f"{scheme}://127.0.0.1:{api}", f"{scheme}://127.1:{model}"


def _certificate(authority: Path) -> ssl.SSLContext:
    made, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1", "127.1").configure_cert(context)
    made.cert_pem.write_to_path(str(authority))
    return context


@attrs.define(eq=False)
class Racer:
    """A program that runs; ``chats`` are those that its people write in, of which each has been used once."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    bot: Bot
    chats: range
    used: int = 0

    def draw_chat(self) -> int:
        self.used += 1
        return self.chats[self.used - 1]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


_MOST_CHATS: Final = 2000


def start(town: Town, program: Program, way: Way, number: int) -> Racer:
    """The program as a process; ``number`` is nobody else's in that town. Raises NotInstalled."""
    python = environment(program) if program.pins else Path(sys.executable)
    api, model = town.serve(tls=way.tls)
    token = f"{program.token}-{number}"
    chats = range(number * _MOST_CHATS + 1, (number + 1) * _MOST_CHATS + 1)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TRIOLET_")}
    if way.tls:
        variables["SSL_CERT_FILE"] = str(town.authority)
    database = str(town.folder / f"{number}.db")
    if program.script:
        told = {"api": api, "token": token, "model": model, "dialect": way.dialect, "edits": way.edits}
        told["database"] = database if program.commits else ""
        command = [str(python), str(RACERS / program.script), json.dumps(told)]
    else:
        variables |= settings(api, token, model, way, chats, database)
        command = [sys.executable, "-m", "triolet", "run"]
    log = town.folder / f"{number}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, cwd=town.folder, stdout=output, stderr=output)
    return Racer(program.name, process, log, town.telegram.bot(token), chats)


def settings(api: str, token: str, model: str, way: Way, chats: range, database: str) -> dict[str, str]:
    """Triolet's variables."""
    ours = {
        "TELEGRAM_TOKEN": token,
        "TELEGRAM_API_BASE": api,
        "ACCESS_ALLOW": json.dumps([*chats]),
        "GROUPS_RESPOND": "all",
        "MODEL_PROVIDER": way.dialect,
        "MODEL_NAME": "canned",
        "MODEL_BASE_URL": model if way.dialect == "anthropic" else f"{model}/v1",
        "STREAMING_TRANSPORT": "edit" if way.edits else "auto",
        "STORE_PATH": database,
    }
    return {f"TRIOLET_{name}": value for name, value in ours.items()}


def not_installed(programs: Iterable[Program]) -> dict[str, str]:
    """Why these of them cannot be started; installs what the others need."""
    missing = {}
    for program in programs:
        try:
            environment(program)
        except NotInstalled as problem:
            missing[program.name] = str(problem)
    return missing


def environment(program: Program) -> Path:
    """The Python that has the program's packages, installed now if they have not been before. Raises NotInstalled."""
    python = _find_python(program.python)
    mark = hashlib.sha256("\n".join([str(python), *program.pins]).encode()).hexdigest()[:12]
    folder = CACHE / f"{program.script.removesuffix('.py')}-{mark}"
    made = folder / "made"
    if not made.exists():
        print(f"installing {', '.join(program.pins)} …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([str(python), "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *program.pins])
        made.touch()
    return folder / "bin" / "python"


def _find_python(least: tuple[int, int]) -> Path:
    if sys.version_info[:2] >= least:
        return Path(sys.executable)
    for minor in range(least[1], least[1] + 4):
        found = shutil.which(f"python{least[0]}.{minor}")
        if found is not None and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
            return Path(found)
    raise NotInstalled(f"needs Python {least[0]}.{least[1]}, which is not in PATH")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise NotInstalled(lines[-1] if lines else f"{command[0]} failed")
