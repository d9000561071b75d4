"""THE HOUSE RULES: settings, frozen, read once at the start.

A setting is a key in a section, ``[section] key`` in the file: a field of one of the classes in `settings`. What
exists is what they declare; everything else is refused, with the nearest name. Whatever a key is set to, it is
set in one of these places, and the first that has it counts::

    command line      load(..., overrides={"section.key": value})
    environment       TRIOLET_<SECTION>_<KEY>
    file              triolet.toml, or the one that the command line names
    default           in the class

1. ``${NAME}`` within a text, wherever it was written, reads the environment; ``$${`` stands for ``${``. Relative
   paths start at the file's folder.
2. A mistake is one line: the file, the key, the value as it was written, what to do.
3. Secrets are opened by `Secret.reveal` alone: no ``repr``, error or log shows one.
4. A model's key goes to the server that it was written for; one that nobody wrote, to its provider's own address alone.

Of two kinds of tables the file may hold any number: ``[[model.fallback]]``, in order, and ``[mcp.NAME]``, by name. They
are the file's alone: environment and command line have no names for their keys.

To add a setting, add a field to its section's class, with its default, a line on what it is for, and a validator if
not every value of its type is one; write it down in the test of the defaults. File, environment, command line and
`documented_defaults` know it then. A type that no other key has needs a reader in `values`, a range that no other has
a check in `checks`. A key comes with the feature that reads it, never before: until then it is unknown, and refused.
"""

from triolet.config.checks import PSEUDO_USERS
from triolet.config.documented import documented_defaults
from triolet.config.reading import DEFAULT_FILE, PREFIX, load
from triolet.config.secret import Secret
from triolet.config.settings import (
    AccessSettings,
    DeliverySettings,
    FallbackSettings,
    GroupSettings,
    LimitSettings,
    McpSettings,
    ModelSettings,
    RestartSettings,
    Settings,
    ShutdownSettings,
    StoreSettings,
    StreamingSettings,
    TelegramSettings,
    ToolSettings,
)

__all__ = [
    "DEFAULT_FILE",
    "PREFIX",
    "PSEUDO_USERS",
    "AccessSettings",
    "DeliverySettings",
    "FallbackSettings",
    "GroupSettings",
    "LimitSettings",
    "McpSettings",
    "ModelSettings",
    "RestartSettings",
    "Secret",
    "Settings",
    "ShutdownSettings",
    "StoreSettings",
    "StreamingSettings",
    "TelegramSettings",
    "ToolSettings",
    "documented_defaults",
    "load",
]
