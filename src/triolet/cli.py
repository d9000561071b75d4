"""THE FRONT DOOR: commands, exit codes, and one clear line for everything that goes wrong.

What a command needs is imported when it runs, so that ``--help`` and mistakes are answered at once.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from triolet import __version__
from triolet.errors import ConfigError, ExitCode, StartError, StoreError

if TYPE_CHECKING:
    from triolet.config import Settings
    from triolet.core.ports import Tool
    from triolet.observe.log import Level
    from triolet.observe.turns import Observer

PROVIDERS = "anthropic, openai-responses, openai-chat, local or scripted"

Config = Annotated[Path | None, Parameter(help="The configuration file; triolet.toml if there is one.")]
ProviderName = Annotated[str | None, Parameter(help=f"Instead of model.provider: {PROVIDERS}.")]
Model = Annotated[str | None, Parameter(help="Instead of model.name.")]
BaseUrl = Annotated[str | None, Parameter(help="Instead of model.base_url, e.g. http://127.0.0.1:8080/v1.")]
Verbose = Annotated[bool, Parameter(negative="", help="Log what is ignored, too.")]

app = cyclopts.App(name="triolet", version=__version__, help="A Telegram bot that streams its model's answers.")


@app.command
def run(
    config: Config = None,
    *,
    provider: ProviderName = None,
    model: Model = None,
    base_url: BaseUrl = None,
    verbose: Verbose = False,
) -> None:
    """Serve the bot until SIGTERM or Ctrl-C."""
    _serve(_load(config, _model_overrides(provider, model, base_url)), "debug" if verbose else "info")


@app.command
def demo(
    *,
    say: Annotated[list[str] | None, Parameter(negative="", help="Send this, print the transcript, leave.")] = None,
    provider: ProviderName = "scripted",
    model: Model = None,
    base_url: BaseUrl = None,
) -> None:
    """Chat with the bot on an emulated Telegram, in this terminal: no token, no key, no network."""
    import signal  # noqa: PLC0415  # see above

    from triolet.app.bench import open_providers, warm_up  # noqa: PLC0415  # see above
    from triolet.app.demo import person_at, problem_with, run_demo, scripted_person  # noqa: PLC0415  # see above
    from triolet.transports.terminal import Terminal  # noqa: PLC0415  # see above

    for text in say or []:
        if problem := problem_with(text):
            raise ConfigError(f"--say: {problem}")
    overrides = _model_overrides(provider, model, base_url) | {"telegram.token": "42:demo"}
    settings = _load(Path(os.devnull), overrides)
    _configure_logging(settings, "error")  # the conversation tells the rest
    terminal = Terminal()

    async def play() -> None:
        async with open_providers(settings.model) as opened:
            terminal.write(f"Provider: {settings.model.provider}\n")
            await warm_up(opened)
            person = scripted_person(say, terminal) if say else person_at(terminal)
            await run_demo(settings, opened, person)

    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # the terminal wants to be put back
    with terminal.foreground():
        try:
            _run_trio(play)
        except KeyboardInterrupt:
            if say:
                raise
            terminal.write("\n")  # a person may leave like that


@app.command
def chat(
    config: Config = None,
    *,
    provider: ProviderName = None,
    model: Model = None,
    base_url: BaseUrl = None,
) -> None:
    """Talk to the model in this terminal, with the bot's own conversation engine."""
    from triolet.app.bench import open_providers, warm_up  # noqa: PLC0415  # see above
    from triolet.app.chat import run_chat  # noqa: PLC0415  # see above
    from triolet.transports.terminal import Terminal  # noqa: PLC0415  # see above

    settings = _load(config, {"telegram.token": "0:none"} | _model_overrides(provider, model, base_url))
    _configure_logging(settings, "error")  # the conversation tells the rest
    terminal = Terminal()

    async def talk() -> None:
        async with open_providers(settings.model) as opened:
            await warm_up(opened)
            await run_chat(settings, opened, terminal)

    with terminal.foreground():
        _run_trio(talk)


@app.command
def tools(
    config: Config = None,
    *,
    approve: Annotated[str | None, Parameter(help="Take this MCP server's tools as they are now.")] = None,
) -> None:
    """List what the model may call; servers of tools are asked, and what is new or has changed is shown."""
    from triolet.app import toolshed  # noqa: PLC0415  # see above
    from triolet.store import ThreadExecutor  # noqa: PLC0415  # see above

    settings = _load(config, {})
    _configure_logging(settings, "warning")

    async def tell() -> None:
        executor = ThreadExecutor()
        lines = toolshed.approve(settings, approve, executor) if approve else toolshed.list_tools(settings, executor)
        _tell(*await lines)

    _run_trio(tell)


@app.command
def emulator(
    *,
    port: Annotated[int, Parameter(help="On 127.0.0.1; 0 takes a free one.")] = 8081,
    token: Annotated[str, Parameter(help="The one token it accepts.")] = "42:emulator",
    user: Annotated[int, Parameter(help="The id of a person with a private chat.")] = 1001,
) -> None:
    """Serve a Bot API emulator, with control routes to speak, stop, break and look."""
    import time  # noqa: PLC0415  # see above

    import trio  # noqa: PLC0415  # see above

    from triolet.emulator import EmulatedTelegram, ImpossibleAct, serve  # noqa: PLC0415  # see above

    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: a port is 1 to 65535, or 0 for a free one")

    async def emulate() -> None:
        telegram = EmulatedTelegram(token=token, epoch=int(time.time() - trio.current_time()))
        try:
            telegram.add_private_chat(user, "You")
        except ImpossibleAct as error:
            raise ConfigError(f"--user {user}: {error}") from None
        async with trio.open_nursery() as nursery:
            base = await nursery.start(serve, telegram, port)
            print(f"Bot API emulator on {base}, control on {base}/control/health, user {user}", flush=True)

    try:
        _run_trio(emulate)
    except OSError as error:
        raise ConfigError(f"cannot listen on port {port}: {error.strerror}") from None


@app.command
def doctor(
    config: Config = None,
    *,
    offline: Annotated[bool, Parameter(negative="", help="Without a call to anybody.")] = False,
) -> ExitCode:
    """Tell how configuration, database, models, tools and Telegram are, a line each; !! marks what is wrong."""
    from triolet.app.doctor import Finding, examine  # noqa: PLC0415  # see above
    from triolet.store import ThreadExecutor  # noqa: PLC0415  # see above

    with contextlib.suppress(ConfigError):  # which the findings will tell
        _configure_logging(_load(config, {}), "error")
    findings: list[Finding] = []

    async def look() -> None:
        findings.extend(await examine(config, os.environ, executor=ThreadExecutor(), offline=offline))

    _run_trio(look)
    _tell(*map(str, findings))
    return ExitCode.SYSTEM if any(finding.mark == "!!" for finding in findings) else ExitCode.DONE


db = cyclopts.App(name="db", help="Check the database, copy it, put a copy back.")
app.command(db)


@db.command(name="check")
def check_database(config: Config = None) -> None:
    """Look for damages; a bot may run meanwhile."""
    from triolet.store.inspection import check  # noqa: PLC0415  # see above

    path = _database_path(config)
    problems = check(path)
    if len(problems) > 1:
        _tell(*problems)
    if problems:
        raise StoreError(f"{path}: {problems[0] if len(problems) == 1 else f'{len(problems)} problems'}")
    _tell(f"{path} is sound.")


@db.command
def backup(
    file: Annotated[Path, Parameter(help="The copy; a file that is there already is kept.")],
    *,
    config: Config = None,
    overwrite: Annotated[bool, Parameter(negative="", help="Take the place of a file that is there.")] = False,
) -> None:
    """Copy the database as it is at this moment; a bot may run meanwhile."""
    from triolet.store.copies import back_up  # noqa: PLC0415  # see above

    path = _database_path(config)
    size = back_up(path, file, overwrite=overwrite)
    _tell(f"{path} is copied to {file}, {size / 1e6:.1f} MB.")


@db.command
def restore(
    file: Annotated[Path, Parameter(help="A copy, of this Triolet or an older one.")],
    *,
    config: Config = None,
) -> None:
    """Put a copy in the place of the database, whose files are moved aside; the bot has to be stopped."""
    from triolet.store import copies  # noqa: PLC0415  # see above

    path = _database_path(config)
    done = copies.restore(path, file)
    aside = f"; what was there is {done.aside.name} now" if done.aside else ""
    _tell(
        f"{path} is restored from {file}{aside}.",
        f"Out of date, so dropped: waiting messages {done.updates}, unfinished answers {done.turns}, "
        f"undelivered letters {done.letters}.",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the process's exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return _exit_code(lambda: app(given, exit_on_error=False, result_action="return_value"))


def serve(
    config: Path | None = None, *, tools: Sequence[Tool] = (), observers: Mapping[str, Observer] | None = None
) -> int:
    """`triolet run` for programs with tools and observers of their own; returns the process's exit code.

    ``config`` is the configuration file: triolet.toml, if there is one. ``observers`` see `observe.turns`; without any,
    one logs how long answers take.
    """
    options = {} if observers is None else {"observers": observers}
    return _exit_code(lambda: _serve(_load(config, {}), "info", tools=tools, **options))


def _serve(settings: Settings, level: Level, **options: Any) -> None:
    from triolet.app.service import run_service  # noqa: PLC0415  # see above

    _configure_logging(settings, level)
    _run_trio(partial(run_service, settings, **options))


def _exit_code(command: Callable[[], object]) -> int:
    """That of the command; whatever goes wrong is told in one line."""
    try:
        result = command()
    except cyclopts.CycloptsError:
        return ExitCode.USAGE  # cyclopts has said what is wrong
    except ConfigError as error:
        return _complain(error, ExitCode.USAGE)
    except StartError as error:
        return _complain(error, error.exit_code)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what it holds back cannot be written either
        return ExitCode.DONE if isinstance(error, BrokenPipeError) else _complain(error, ExitCode.SYSTEM)
    return result if isinstance(result, ExitCode) else ExitCode.DONE


def _complain(error: Exception, code: ExitCode) -> ExitCode:
    print(f"triolet: {error}", file=sys.stderr)
    return code


def _tell(*lines: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names of files, and what people wrote
    print("\n".join(lines), flush=True)


def _run_trio(function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
    """`trio.run`, with a lone error out of its group: the door speaks of what happened, not of nurseries."""
    import trio  # noqa: PLC0415  # see above

    try:
        trio.run(function, *arguments)
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        for kind in (ConfigError, StartError, KeyboardInterrupt, OSError):
            for leaf in leaves:
                if isinstance(leaf, kind):
                    raise leaf from None
        raise


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]


def _load(config: Path | None, overrides: dict[str, object]) -> Settings:
    from triolet.config import load  # noqa: PLC0415  # see above

    return load(config, environ=os.environ, overrides=overrides)


def _database_path(config: Path | None) -> Path:
    """Where the database is; neither token nor key has to be there for that."""
    path = _load(config, {"telegram.token": "0:none", "model.provider": "scripted"}).store.path
    if str(path) == ":memory:":
        raise StoreError("[store] path is :memory:, so there is no file")
    return path


def _model_overrides(provider: str | None, model: str | None, base_url: str | None) -> dict[str, object]:
    given = {"model.provider": provider, "model.name": model, "model.base_url": base_url}
    return {key: value for key, value in given.items() if value is not None}


def _configure_logging(settings: Settings, level: Level) -> None:
    from stamina.instrumentation import set_on_retry_hooks  # noqa: PLC0415  # see above

    from triolet.observe import log  # noqa: PLC0415  # see above

    set_on_retry_hooks(())  # what is asked again is logged where it is known why
    secrets = [secret.reveal() for secret in settings.secrets()]
    log.configure(secrets=secrets, level=level)
