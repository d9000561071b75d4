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

To add a setting, add a field to its section's class, with its default, a line on what it is for, and a validator if
not every value of its type is one; write it down in the test of the defaults. File, environment, command line and
`documented_defaults` know it then. A type that no other key has needs a reader in `values`. A key comes with the
feature that reads it, never before: until then it is unknown, and refused.
"""

from triolet.config.documented import documented_defaults
from triolet.config.reading import DEFAULT_FILE, PREFIX, load
from triolet.config.secret import Secret
from triolet.config.settings import (
    PSEUDO_USERS,
    AccessSettings,
    GroupSettings,
    LimitSettings,
    ModelSettings,
    Settings,
    StoreSettings,
    StreamingSettings,
    TelegramSettings,
)

__all__ = [
    "DEFAULT_FILE",
    "PREFIX",
    "PSEUDO_USERS",
    "AccessSettings",
    "GroupSettings",
    "LimitSettings",
    "ModelSettings",
    "Secret",
    "Settings",
    "StoreSettings",
    "StreamingSettings",
    "TelegramSettings",
    "documented_defaults",
    "load",
]
