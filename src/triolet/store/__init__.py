"""The cellar: what must survive a restart, in one SQLite file.

Rules of this room:

1. **Posted is promised.** What a synchronous method was given will be written, in order, as soon as the disk takes it;
   what is waited for is on the disk (WAL with ``synchronous=FULL``). An ``async`` method that raised StoreError did
   nothing.
2. **One function, one transaction.** No ``await`` lies inside one, so that a cancellation falls before it or after it,
   never within; `writer` puts what waits together into one commit.
3. **Nothing is kept without a use.** A finished update keeps its id alone, a cleared conversation nothing but what it
   cost, a message on the screen no text; the file is its owner's to read and nobody else's.
4. **Foreign text stays inside ASCII JSON.** A peer may send a lone surrogate, which SQLite cannot hold as UTF-8, or a
   NUL; escaped, both are ordinary text.

Begin with `schema`: what each table is for, and what a crash leaves in it. `inbox`, `history`, `turns`, `journal` and
`pins` are their SQL, `parts` the JSON in them. `sqlite` has the methods, `writer` the queue behind them, `executors`
the ways to run a blocking job; `database` opens the file, and `lock` keeps others from it. `inspection` and `copies`
are an operator's.
"""

from triolet.store.executors import ThreadExecutor, run_inline
from triolet.store.sqlite import SqliteStore, open_store

__all__ = ["SqliteStore", "ThreadExecutor", "open_store", "run_inline"]
