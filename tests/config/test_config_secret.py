"""A secret shows itself to `reveal` alone."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import cattrs
import pytest

from triolet.config import ModelSettings, Secret, Settings, TelegramSettings, load
from triolet.errors import ConfigError

TOKEN = "123:VERY-PRIVATE"
SETTINGS = Settings(TelegramSettings(Secret(TOKEN)), model=ModelSettings(api_key=Secret("VERY-PRIVATE")))

SHOWN: list[Callable[[Any], str]] = [
    repr,
    str,
    "{}".format,
    lambda value: f"{value!a}",
    lambda value: repr([value]),
    lambda value: str(vars(value)) if hasattr(value, "__dict__") else "",
    lambda value: json.dumps(value, default=str),
    lambda value: str(attrs.asdict(value)) if attrs.has(type(value)) else "",
    lambda value: str(cattrs.Converter().unstructure(value)),
]


@pytest.mark.parametrize("show", SHOWN, ids=range(len(SHOWN)))
@pytest.mark.parametrize("value", [Secret(TOKEN), SETTINGS.telegram, SETTINGS], ids=["secret", "section", "all"])
def test_nothing_shows_it(show: Callable[[Any], str], value: Any) -> None:
    assert "PRIVATE" not in show(value)


def test_reveal_gives_it() -> None:
    assert Secret(TOKEN).reveal() == TOKEN
    assert repr(Secret(TOKEN)) == "•••"


WRITERS: list[Callable[[Any], object]] = [pickle.dumps, copy.copy, copy.deepcopy, json.dumps]


@pytest.mark.parametrize("write", WRITERS)
def test_it_is_not_written_by_accident(write: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as caught:
        write(Secret(TOKEN))
    assert "PRIVATE" not in str(caught.value)


def test_it_equals_its_like_and_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("я") == Secret("я")


def test_an_empty_one_is_false() -> None:
    assert not Secret("")
    assert Secret("a")


def test_it_is_frozen() -> None:
    secret = Secret("a")
    with pytest.raises(AttributeError):
        secret._value = "b"
    with pytest.raises(AttributeError):
        secret.other = "b"
    assert secret.reveal() == "a"


def test_an_error_holds_no_secret_in_its_chain(tmp_path: Path) -> None:
    """Whatever prints the traceback, with the errors that led to it."""
    file = tmp_path / "triolet.toml"
    file.write_text("[telegram]\ntoken = 'PRIVATE token'\n[model]\napi_key = 'PRIVATE key'\n")
    with pytest.raises(ConfigError) as caught:
        load(file, environ={})
    assert caught.value.__context__ is None
    assert "PRIVATE" not in "".join(traceback.format_exception(caught.value))
