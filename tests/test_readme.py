"""Every command, default and code in README is the program's."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from triolet.cli import app
from triolet.config import documented_defaults, load
from triolet.errors import ExitCode

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")


def blocks(language: str) -> list[str]:
    """The fenced blocks of that language, without the indentation of the list that they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
    return ["".join(line.removeprefix(indent) for line in text.splitlines(keepends=True)) for indent, text in found]


def table(heading: str) -> dict[str, str]:
    """The first two columns of the table whose head begins so."""
    rows = README.split(f"| {heading}", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    return {row[0]: row[1] for row in cells}


def test_documented_defaults_are_the_programs() -> None:
    assert documented_defaults().strip() in [block.strip() for block in blocks("toml")]


@pytest.mark.case("G1")
def test_documented_defaults_read_as_the_defaults(tmp_path: Path) -> None:
    environ = {"TELEGRAM_BOT_TOKEN": "1:TEST", "ANTHROPIC_API_KEY": "key"}
    (tmp_path / "empty.toml").touch()
    (tmp_path / "full.toml").write_text(documented_defaults(), encoding="utf-8")
    full = load(tmp_path / "full.toml", environ=environ)
    assert full == load(tmp_path / "empty.toml", environ=environ)
    assert full.streaming.enabled


def test_first_configuration_works(tmp_path: Path) -> None:
    [first] = [block for block in blocks("toml") if "your numeric user id" in block]
    (tmp_path / "triolet.toml").write_text(first, encoding="utf-8")
    environ = {"TELEGRAM_BOT_TOKEN": "1:TEST", "ANTHROPIC_API_KEY": "key"}
    assert load(tmp_path / "triolet.toml", environ=environ).access.allow == (1001,)


@pytest.mark.parametrize("block", blocks("toml"))
def test_configurations_work(tmp_path: Path, block: str) -> None:
    (tmp_path / "triolet.toml").write_text(block, encoding="utf-8")
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", documented_defaults() + block), "key")
    load(tmp_path / "triolet.toml", environ=environ | {"TELEGRAM_BOT_TOKEN": "1:TEST"})


def test_functions_of_one_s_own_are_tools() -> None:
    [program] = blocks("python")
    names: dict[str, Any] = {"__name__": "program"}
    exec(compile(program, "README.md", "exec"), names)  # noqa: S102  # our own text
    assert names["temperature"].spec.parameters["properties"]["room"]["description"] == "Such as kitchen."
    assert (names["temperature"].has_effects, names["open_window"].has_effects) == (False, True)


def test_commands_are_the_programs() -> None:
    documented = {re.findall(r"triolet (\w+)", command)[0] for command in table("command")}
    assert documented == {name for name in app if not name.startswith("-")}


@pytest.mark.parametrize("command", ["run", "demo", "chat", "tools", "emulator"])
def test_documented_options_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    [row] = [row for row in table("command") if f"triolet {command}" in row]
    common = ["--provider", "--model", "--base-url"] if command not in {"tools", "emulator"} else []
    app([command, "--help"], result_action="return_value")
    text = capsys.readouterr().out
    for option in [*re.findall(r"--[a-z-]+", row), *common]:
        assert option in text, option


def test_exit_codes_are_the_programs() -> None:
    assert {int(code) for code in table("exit code")} == {code.value for code in ExitCode}


def test_tox_environments_exist() -> None:
    named = {env for envs in re.findall(r"tox run (?:-q )?-e ([\w,-]+)", README) for env in envs.split(",")}
    assert {"demo", "tests", "lint", "types", "types-downstream"} <= named
    assert named <= {section.removeprefix("testenv:") for section in TOX.sections()}


def test_ci_does_what_readme_tells_a_newcomer() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    demo = next(block for block in blocks("sh") if "--say" in block)
    for environment in ("demo", "tests", "lint", "types", "types-downstream"):
        assert re.search(rf"tox run.* -e \S*\b{environment}\b", script), environment
    assert demo.split(" -- ")[1].strip() in script


def test_every_dependency_is_argued_for() -> None:
    declared = {re.split(r"[<>=\[ ]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert {name.strip("`") for name in table("package")} == declared


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", README):
        assert (ROOT / target).exists(), target
