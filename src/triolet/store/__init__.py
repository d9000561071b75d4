"""The cellar: what must survive a restart, in one SQLite file.

Rules of this room:

1. **One function per transaction.** An executor runs each to its end; no ``await`` lies inside one, so a
   cancellation falls before it or after it, never within.
2. **A return is a promise.** WAL with ``synchronous=FULL``: what a method returned from is on the disk. A
   method that raised, ``trio.Cancelled`` included, did nothing.
3. **Nothing is kept without a use.** A finished update keeps its id alone, a cleared conversation nothing but
   what it cost; the file is its owner's to read and nobody else's.
4. **Foreign text stays inside ASCII JSON.** A peer may send a lone surrogate, which SQLite cannot hold as
   UTF-8, or a NUL; escaped, both are ordinary text.

`sqlite` holds the transactions, `database` opens the file, `schema` its history, `parts` a message's JSON,
`executors` the ways to run a blocking job.
"""

from triolet.store.executors import ThreadExecutor, run_inline
from triolet.store.sqlite import SqliteStore, open_store

__all__ = ["SqliteStore", "ThreadExecutor", "open_store", "run_inline"]
