"""Which tools of a listing are offered, as what, and which are pinned."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.tools.mcp_catalog import (
    LONGEST_DESCRIPTION,
    LONGEST_SCHEMA,
    LONGEST_SHOWN,
    MOST_LINES,
    MOST_PINS,
    MOST_TOOLS,
    Listed,
    overshadowed,
    public_name,
    review,
    what_changed,
)

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}


def listed(name: str = "look", description: str = "Look.", **schema: Any) -> Listed:
    return Listed(name, description, SCHEMA | schema)


# Names


@given(st.text(), st.text())
def test_every_provider_takes_the_names(server: str, tool: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", public_name(server, tool))


@pytest.mark.parametrize(
    ("server", "tool", "name"),
    [
        ("files", "read", "files__read"),
        ("my.files", "read/all", "my_files__read_all"),
        ("s", "ä b", "s____b"),
        ("s", "x" * 100, "s__" + "x" * 61),
    ],
)
def test_a_name_tells_the_server_and_the_tool(server: str, tool: str, name: str) -> None:
    assert public_name(server, tool) == name


@pytest.mark.parametrize(
    ("servers", "shadows"),
    [
        (["a", "b"], {}),
        (["a", "ab", "a_b"], {}),
        (["a", "a__b"], {"a__b": "a"}),
        (["a__b", "a"], {"a": "a__b"}),
        (["a.b", "a_b"], {"a_b": "a.b"}),
        (["a", "a_"], {"a_": "a"}),
    ],
)
def test_a_server_whose_tools_could_take_the_names_of_anothers_is_known(
    servers: list[str], shadows: dict[str, str]
) -> None:
    assert overshadowed(servers) == shadows


@given(st.lists(st.text("ab_", min_size=1, max_size=5), unique=True), st.lists(st.text("ab_", max_size=4)))
def test_no_two_servers_that_are_kept_share_a_name(servers: list[str], tools: list[str]) -> None:
    kept = [server for server in servers if server not in overshadowed(servers)]
    names = [{public_name(server, tool) for tool in tools} for server in kept]
    assert sum(map(len, names)) == len(set().union(*names))


# What is offered


@pytest.mark.parametrize(
    ("allow", "offered", "missing"),
    [
        (("*",), ["one", "two"], ()),
        (("two",), ["two"], ()),
        (("two", "three"), ["two"], ("three",)),
        (("*", "two"), ["two"], ()),
        ((), [], ()),
    ],
)
def test_only_allowed_tools_are_offered(allow: tuple[str, ...], offered: list[str], missing: tuple[str, ...]) -> None:
    found = review("s", [listed("one"), listed("two")], allow=allow, pinned={})
    assert ([tool.name for tool in found.offered], found.missing, found.refused) == (offered, missing, {})


def test_a_tool_is_pinned_once() -> None:
    tools = [listed("one"), listed("two")]
    found = review("s", tools, allow=["*"], pinned={"one": tools[0].digest})
    assert (found.offered, found.fresh) == (tuple(tools), (tools[1],))


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (listed(description="Look, and tell me."), "its description"),
        (listed(required=["a"]), "its parameters"),
        (listed("look", "Other.", required=["a"]), "its description and its parameters"),
    ],
)
def test_a_tool_that_is_not_what_was_approved_is_refused(now: Listed, changed: str) -> None:
    found = review("s", [now], allow=["*"], pinned={"look": listed().digest})
    assert (found.offered, found.fresh) == ((), ())
    advice = "`triolet tools` shows it, `triolet tools --approve s` takes it"
    assert (found.refused, found.changed) == ({"look": f"{changed} changed; {advice}"}, {"look": now})


def test_a_pin_is_of_a_name() -> None:
    assert listed("look").digest != listed("see").digest
    assert what_changed(listed("look").digest, listed("see").digest) == "its name"


def test_a_digest_knows_no_order_of_keys() -> None:
    turned = Listed("look", "Look.", dict(reversed(SCHEMA.items())))
    assert turned.digest == listed().digest


def test_what_comes_out_as_the_same_name_is_offered_once() -> None:
    found = review("s", [listed("x.y"), listed("x_y"), listed("x.y", "Other.")], allow=["*"], pinned={})
    assert [tool.name for tool in found.offered] == ["x.y"]
    assert found.refused == dict.fromkeys(("x_y", "x.y"), "s__x_y is the name of another tool")


def test_a_refusal_can_be_shown_on_a_terminal() -> None:
    found = review("s", [listed("\x1b[2J\n", type="array")], allow=["*"], pinned={})
    assert list(found.refused) == ["?[2J?"]


# What a person is shown


def test_what_a_server_says_does_nothing_to_a_terminal() -> None:
    tool = listed(description="Look.\r\nAnd\x1b[2J \u202egnihton\U000e0041\x7f\ud800", title="\x9b")
    *described, schema = tool.shown()
    assert described == ["Look.", r"And\x1b[2J \u202egnihton\U000e0041\x7f\ud800"]
    assert schema.startswith('parameters: {"type": "object", ')
    assert schema.endswith(r'"title": "\x9b"}')
    assert listed(description="").shown()[0] == "(no description)"


def test_as_much_is_shown_as_the_model_gets_and_how_much_more_there_is() -> None:
    shown = listed(description="x" * 5000, title="y" * 5000).shown()
    assert shown[0] == "x" * (LONGEST_DESCRIPTION - 1) + "…"
    left = len(json.dumps(SCHEMA | {"title": "y" * 5000})) - LONGEST_SHOWN
    assert shown[1].endswith(f"yy… and {left:,} characters more")


def test_what_has_changed_is_shown_line_by_line() -> None:
    before = listed(description="Look.\nSay it.", required=["a"])
    now = listed(description="Look.\nSay\x1b it.", title="@@ +++", required=["a"])
    assert now.shown_since(before.pin) == ["-Say it.", r"+Say\x1b it.", '+ "title": "@@ +++",']
    assert now.shown_since(before.digest) == now.shown(), "a pin of before words were kept"


def test_what_the_model_is_not_told_is_no_change_to_show() -> None:
    before, now = listed(description="x" * 5000), listed(description="x" * 5001)
    assert now.shown_since(before.pin) == ["(nothing that a model would be told)"]


def test_a_long_change_is_cut_and_says_so() -> None:
    now = listed(properties={f"p{number}": {} for number in range(300)})
    *lines, last = now.shown_since(listed().pin)
    assert len(lines) == MOST_LINES
    assert re.fullmatch(r"… and \d+ lines more", last)


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_a_pin_keeps_what_the_model_is_told(name: str, description: str, schema: dict[str, str]) -> None:
    tool = Listed(name, description, schema)
    assert tool.pin.isascii()
    assert what_changed(tool.pin, tool.digest) == ""
    assert Listed.pinned(name, tool.pin) == attrs.evolve(tool, description=tool.spec("").description)
    found = review("s", [listed()], allow=["*"], pinned={"look": listed().pin})
    assert (len(found.offered), found.refused) == (1, {})


# Bounds


@pytest.mark.parametrize(
    "tool",
    [
        listed(""),
        listed("x" * 1000),
        listed(type="array"),
        attrs.evolve(listed(), schema={}),
        listed(properties={f"p{n}": {} for n in range(LONGEST_SCHEMA // 6)}),
    ],
)
def test_a_tool_that_no_model_could_be_told_of_is_refused(tool: Listed) -> None:
    found = review("s", [tool], allow=["*"], pinned={})
    assert (found.offered, found.fresh, len(found.refused)) == ((), (), 1)


def test_a_long_description_is_cut_and_pinned_as_a_whole() -> None:
    long, longer = listed(description="x" * 5000), listed(description="x" * 5001)
    spec = long.spec("s")
    assert (spec.name, len(spec.description), spec.description[-2:]) == ("s__look", LONGEST_DESCRIPTION, "x…")
    assert (spec.parameters, long.digest == longer.digest) == (SCHEMA, False)
    assert listed(description="x" * LONGEST_DESCRIPTION).spec("s").description == "x" * LONGEST_DESCRIPTION


def test_a_server_has_so_many_tools() -> None:
    tools = [listed(f"tool{n}") for n in range(MOST_TOOLS + 2)]
    found = review("s", tools, allow=["*"], pinned={})
    assert (len(found.offered), len(found.fresh), len(found.refused)) == (MOST_TOOLS, MOST_TOOLS, 2)


def test_a_server_that_invents_names_fills_no_disk() -> None:
    pinned = {f"old{n}": "" for n in range(MOST_PINS - 1)}
    found = review("s", [listed("new"), listed("newer")], allow=["*"], pinned=pinned)
    assert ([tool.name for tool in found.fresh], list(found.refused)) == (["new"], ["newer"])
