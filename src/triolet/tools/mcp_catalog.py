"""What of a server's listing the model gets to know: pure decisions about names, sizes and pins.

A server's words reach the model with the weight of an instruction, and it may change them whenever it likes. So the
operator names the tools (``allow``), and each is pinned as it was at its first listing: one that is not the same any
more is disabled until a person has looked at it. A server's own hints about what a tool does are not believed.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from triolet.config.secret import Secret
from triolet.core.ports import ToolSpec

LONGEST_NAME = 64
"""Of a tool, as the model knows it: the limit of OpenAI and of Anthropic."""

LONGEST_DESCRIPTION = 1024
"""Characters: OpenAI refuses the whole request for a longer one. What is pinned is the whole text."""

LONGEST_SCHEMA = 16_384
"""Characters of JSON. A schema cannot be cut, so a tool with a longer one is refused."""

LONGEST_SHOWN = 4096
"""Characters of a schema that a person is shown."""

MOST_LINES = 200
"""Of a change that a person is shown."""

MOST_TOOLS = 128
"""Of one server: what OpenAI takes in one request."""

MOST_PINS = 1024
"""Of one server: one that invents new names at each listing must not fill the disk."""


class ServerSettings(Protocol):
    """A server as the operator wrote it down; `config.McpSettings`."""

    @property
    def name(self) -> str: ...
    @property
    def command(self) -> tuple[str, ...]:
        """The program and its arguments, or none for a server over HTTP."""
        ...

    @property
    def url(self) -> str: ...
    @property
    def token(self) -> Secret: ...
    @property
    def allow(self) -> tuple[str, ...]:
        """The tools that the model may call; ``*`` alone: all."""
        ...

    @property
    def trusted(self) -> tuple[str, ...]:
        """Those of them that run without asking a person."""
        ...

    @property
    def env(self) -> tuple[str, ...]:
        """Variables of the bot's environment that the program gets."""
        ...


@attrs.frozen
class Listed:
    """A tool as its server describes it."""

    name: str
    description: str
    schema: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of all that the model would see, then of its parts, to tell what has changed."""
        return f"{_sha256(self.name, self.description, self.schema)}.{_sha256(self.description)[:8]}{self._schema[:8]}"

    @property
    def pin(self) -> str:
        """What is kept of it: the digest, by which it is known, and what the model is told, to be shown later."""
        return f"{self.digest} {json.dumps([self.spec('').description, self.schema])}"

    @classmethod
    def pinned(cls, name: str, pin: str) -> Listed | None:
        """The tool as it was then, with no more than the model was told of it; older pins do not say that."""
        try:
            description, schema = json.loads(pin.partition(" ")[2])
            return cls(name, description, schema)
        except ValueError:
            return None

    @property
    def _schema(self) -> str:
        return _sha256(self.schema)

    @property
    def flaw(self) -> str:
        """Why no model could be told of it; empty if one can."""
        if not 0 < len(self.name) <= 4 * LONGEST_NAME:
            return "its name is empty or too long"
        if self.schema.get("type") != "object":
            return "its parameters are no JSON schema of type object"
        if len(json.dumps(self.schema)) > LONGEST_SCHEMA:
            return f"the schema of its parameters has more than {LONGEST_SCHEMA:,} characters"
        return ""

    def spec(self, server: str) -> ToolSpec:
        """As the model gets to know it."""
        text = self.description
        cut = text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 1]}…"
        return ToolSpec(public_name(server, self.name), cut, self.schema)

    def shown(self) -> list[str]:
        """What the model would get to know, in lines for any terminal: what hides there is shown as an escape."""
        schema = json.dumps(self.schema, ensure_ascii=False)
        left = len(schema) - LONGEST_SHOWN
        more = f"… and {left:,} characters more" if left > 0 else ""
        described = self.spec("").description.splitlines() or ["(no description)"]
        return [_escaped(line) for line in (*described, f"parameters: {schema[:LONGEST_SHOWN]}{more}")]

    def shown_since(self, pin: str) -> list[str]:
        """What the model was told and is no more, after a minus, and what it would be told now, after a plus.

        All that it would be told now, if the pin does not say what it was.
        """
        before = Listed.pinned(self.name, pin)
        if before is None:
            return self.shown()
        changes = list(difflib.unified_diff(_lines(before), _lines(self), lineterm="", n=0))[2:]
        lines = [_escaped(line) for line in changes if not line.startswith("@@")]
        more = [f"… and {len(lines) - MOST_LINES:,} lines more"] if len(lines) > MOST_LINES else []
        return [*lines[:MOST_LINES], *more] or ["(nothing that a model would be told)"]


def _lines(tool: Listed) -> list[str]:
    schema = json.dumps(tool.schema, indent=1, sort_keys=True, ensure_ascii=False)
    return [*tool.spec("").description.splitlines(), *schema.splitlines()]


def _sha256(*values: Any) -> str:
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def what_changed(pinned: str, digest: str) -> str:
    """Which parts of a tool differ from those of its pin; empty if none does."""
    known = pinned.partition(" ")[0]
    if known == digest:
        return ""
    old, new = known.rpartition(".")[2], digest.rpartition(".")[2]
    parts = ["its description"] * (old[:8] != new[:8]) + ["its parameters"] * (old[8:] != new[8:])
    return " and ".join(parts) or "its name"


def prefix_of(server: str) -> str:
    """What the names of all tools of the server begin with."""
    return f"{_plain(server)}__"


def public_name(server: str, tool: str) -> str:
    return f"{prefix_of(server)}{_plain(tool)}"[:LONGEST_NAME]


def _plain(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _printable(name: str) -> str:
    """For a log, which somebody may read at a terminal."""
    return re.sub(r"[^!-~]", "?", name[:LONGEST_NAME])


def overshadowed(servers: Iterable[str]) -> dict[str, str]:
    """The servers whose tools could take the names of another's, with that other: the first of them keeps its names.

    Told from the servers' names alone, so that it does not depend on who is there first.
    """
    kept: dict[str, str] = {}
    shadows: dict[str, str] = {}
    for server in servers:
        prefix = prefix_of(server)
        rival = next((name for other, name in kept.items() if prefix.startswith(other) or other.startswith(prefix)), "")
        if rival:
            shadows[server] = rival
        else:
            kept[prefix] = server
    return shadows


@attrs.frozen
class Review:
    """What becomes of a listing."""

    offered: tuple[Listed, ...]
    fresh: tuple[Listed, ...]
    """Those of the offered that were never seen, and are to be pinned."""
    refused: Mapping[str, str]
    """Names of allowed tools that are not offered, with the reason."""
    changed: Mapping[str, Listed]
    """Those of the refused that are not what was approved."""
    missing: tuple[str, ...]
    """Names that are allowed, and that no tool has."""


def review(server: str, listed: Sequence[Listed], *, allow: Sequence[str], pinned: Mapping[str, str]) -> Review:
    """Decide about each tool of a listing; ``pinned`` are the pins by name.

    Two tools whose names come out the same are never both offered: the first one is.
    """
    allowed = [tool for tool in listed if tuple(allow) == ("*",) or tool.name in allow]
    offered: dict[str, Listed] = {}
    fresh: list[Listed] = []
    refused: dict[str, str] = {}
    changed: dict[str, Listed] = {}
    for tool in allowed:
        public = public_name(server, tool.name)
        known = tool.name in pinned
        if problem := tool.flaw or _crowded(public, offered, known=known, pins=len(pinned) + len(fresh)):
            refused[_printable(tool.name)] = problem
        elif known and (change := what_changed(pinned[tool.name], tool.digest)):
            advice = f"`triolet tools` shows it, `triolet tools --approve {server}` takes it"
            refused[_printable(tool.name)] = f"{change} changed; {advice}"
            changed[_printable(tool.name)] = tool
        else:
            offered[public] = tool
            fresh += [] if known else [tool]
    missing = {*allow} - {"*"} - {tool.name for tool in listed}
    return Review(tuple(offered.values()), tuple(fresh), refused, changed, tuple(sorted(missing)))


def _crowded(public: str, offered: Mapping[str, Listed], *, known: bool, pins: int) -> str:
    """Why there is no room for a tool of that name; empty if there is."""
    if public in offered:
        return f"{public} is the name of another tool"
    if len(offered) >= MOST_TOOLS:
        return f"the server has more than {MOST_TOOLS} tools; allow fewer of them"
    if not known and pins >= MOST_PINS:
        return f"the server has shown more than {MOST_PINS} tools; allow some by their names"
    return ""
