"""Copies of the database: what is wrong with a file, a copy made beside a writer, and one put back, killed anywhere."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rows import insert
from unprivileged import unprivileged_folder

from triolet.errors import ExitCode, StartError, StoreError
from triolet.store.copies import Restored, back_up, restore
from triolet.store.database import open_database
from triolet.store.inspection import check, inspect
from triolet.store.lock import hold_lock, restore_marker
from triolet.store.schema import APPLICATION_ID, MIGRATIONS


def make(path: Path, *statements: str, updates: int = 0) -> Path:
    """A database of ours with that many updates that wait."""
    with closing(open_database(str(path))) as connection:
        for number in range(updates):
            connection.execute("INSERT INTO inbox(update_id, received_at, body) VALUES (?, 1.0, '{}')", (number,))
        for statement in statements:
            connection.execute(statement)
    return path


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def values(path: Path, query: str) -> list[object]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return [value for (value,) in connection.execute(query)]


def unfinished_work(path: Path) -> None:
    """Something of everything that a restart would take up."""
    with closing(open_database(str(path))) as connection:
        for number, offered in enumerate((0, 1, 2)):
            insert(connection, "inbox", update_id=number, body="{}", offered=offered)
        insert(connection, "inbox", update_id=9)
        insert(connection, "turn", number=1, chat_id=5)
        insert(connection, "tool_call", turn=1, call_id="a", state="running")
        for number, state in enumerate(("pending", "sending", "uncertain", "dead"), start=10):
            content = '{"text": "Good\\nmorning"}'
            insert(connection, "outbox", number=number, state=state, content=content, reason="blocked")
        insert(connection, "outbox", number=14, state="sent", reason="")
        for kind in ("continue", "resend", "answer"):
            insert(connection, "button", nonce=kind, kind=kind)
        insert(connection, "history", role="user", ending="complete")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "triolet.db", updates=3)


# What is wrong


def test_sound_database_has_no_problem_and_stays_as_it_is(path: Path) -> None:
    content = path.read_bytes()
    assert check(path) == []
    assert path.read_bytes() == content


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_older_schemas_are_sound_and_can_be_read(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.db"
    run_sql(path, *(statement for step in MIGRATIONS[:version] for statement in step), f"PRAGMA user_version={version}")
    run_sql(path, "INSERT INTO inbox(update_id, received_at, body) VALUES (1, 1.0, '{}')")
    assert check(path) == []
    assert (inspect(path).schema, inspect(path).waiting) == (version, 1)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def torn(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 3)


def lose_turn(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        insert(connection, "tool_call", turn=7, state="done")


def instead(path: Path, make_it: Callable[[Path], object]) -> None:
    path.unlink()
    make_it(path)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "there is no such file"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "short": (lambda path: path.write_bytes(b"x"), "it is no database"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 100), "it is no database"),
    "truncated": (truncated, "it is damaged"),
    "torn": (torn, "it is damaged"),
    "folder": (lambda path: instead(path, Path.mkdir), "it is a folder"),
    "pipe": (lambda path: instead(path, os.mkfifo), "it is not a file"),
    "loop": (lambda path: instead(path, lambda path: path.symlink_to(path)), "Too many levels of symbolic links"),
    "foreign": (lambda path: run_sql(path, "PRAGMA application_id = 1"), "it belongs to another program"),
    "newer": (lambda path: run_sql(path, "PRAGMA user_version = 99"), "it has schema 99, made by a newer Triolet"),
    "below 0": (
        lambda path: run_sql(path, "PRAGMA user_version = -7"),
        "it says that it has schema -7, which there never was",
    ),
    "no table": (lambda path: run_sql(path, "DROP TABLE pin"), "its table pin is missing"),
    "no column": (lambda path: run_sql(path, "ALTER TABLE turn DROP COLUMN live"), "its table turn lacks live"),
    "trigger": (
        lambda path: run_sql(path, "CREATE TRIGGER t AFTER UPDATE ON inbox BEGIN DELETE FROM history; END"),
        "it has a trigger that is not Triolet's: t",
    ),
    "orphan": (
        lose_turn,
        "1 of its tool_call rows belong to no turn",
    ),
    "interrupted": (lambda path: restore_marker(path).touch(), "`triolet db restore` was interrupted"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_spoiled_file_is_a_line_or_a_few(path: Path, kind: str) -> None:
    spoil, hint = SPOILED[kind]
    spoil(path)
    problems = check(path)
    assert hint in problems[0]
    assert all(line.isprintable() for line in problems)
    if kind not in {"truncated", "torn"}:
        assert len(problems) == 1


@pytest.mark.parametrize("kind", SPOILED)
def test_spoiled_file_is_neither_copied_nor_put_back(tmp_path: Path, path: Path, kind: str) -> None:
    spoil, hint = SPOILED[kind]
    spoil(path)
    with pytest.raises(StoreError) as caught:
        back_up(path, tmp_path / "copy")
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "good").mkdir()
    good = make(tmp_path / "good" / "triolet.db")
    content = good.read_bytes()
    with pytest.raises(StoreError) as caught:
        restore(good, path)
    assert hint in str(caught.value)
    assert good.read_bytes() == content
    assert not [file for file in tmp_path.rglob("*") if ".part" in file.name or file.name == "copy"]


def test_what_is_left_of_a_crash_is_read_with_the_rest(path: Path) -> None:
    """What was promised last is in the -wal; without it the copy would be older than it says."""
    script = "import os, sys; from triolet.store.database import open_database\n"
    script += "open_database(sys.argv[1]).execute('DELETE FROM inbox'); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert Path(f"{path}-wal").stat().st_size
    assert check(path) == []
    assert inspect(path).waiting == 0
    back_up(path, path.with_name("copy"))
    assert inspect(path.with_name("copy")).waiting == 0


# Permissions


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A database in a folder of a user whom permissions bind: root is not."""
    with unprivileged_folder() as folder:
        yield make(folder / "triolet.db")


@pytest.mark.parametrize(
    ("where", "mode", "problem"),
    [
        ("triolet.db", 0, "it cannot be opened; let this user read it and write its folder"),
        (".", 0o500, "it cannot be opened; let this user read it and write its folder"),
        (".", 0, "Permission denied"),
    ],
)
def test_what_may_not_be_read_is_a_line(unprivileged: Path, where: str, mode: int, problem: str) -> None:
    (unprivileged.parent / where).chmod(mode)
    assert check(unprivileged) == [problem]
    with pytest.raises(StoreError):
        inspect(unprivileged)
    with pytest.raises(StartError) as caught:
        restore(unprivileged, unprivileged.with_name("copy"))
    assert caught.value.exit_code == ExitCode.DATABASE


def test_copy_is_read_where_nobody_may_write(unprivileged: Path) -> None:
    """On a medium for reading, say: a copy of ours needs no file beside it."""
    copy = unprivileged.with_name("copy")
    back_up(unprivileged, copy)
    unprivileged.parent.chmod(0o500)
    assert check(copy) == []
    with pytest.raises(StoreError, match=r"cannot be copied to .*: Permission denied"):
        back_up(copy, unprivileged.with_name("another"))


# What is in it


def test_contents_are_what_an_operator_asks_about(path: Path) -> None:
    unfinished_work(make(path, "DELETE FROM inbox"))
    found = inspect(path)
    assert (found.waiting, found.offered, found.turns, found.on_their_way, found.undelivered) == (2, 1, 1, 2, 2)
    assert [(each.number, each.state, each.reason, each.beginning) for each in found.newest] == [
        (13, "dead", "blocked", "Good morning"),
        (12, "uncertain", "blocked", "Good morning"),
    ]


@pytest.mark.parametrize(
    ("content", "beginning"),
    [
        (None, ""),
        ("no JSON", ""),
        ("[1]", ""),
        ('{"text": 5}', ""),
        ('{"html": "<p>Hi</p>", "source": "Hi"}', "Hi"),
        ('{"text": "\\ud83d \\u001b[31m\\u202e"}', "[31m"),
        ('{"text": "' + "x" * 9000 + '"}', "x" * 39 + "…"),
    ],
)
def test_beginning_of_a_letter_is_fit_for_any_terminal(path: Path, content: str | None, beginning: str) -> None:
    with closing(open_database(str(path))) as connection:
        insert(connection, "outbox", number=1, state="dead", content=content, changed_at=1e300)
    [letter] = inspect(path).newest
    assert letter.beginning == beginning


# Copies


WRITER = """
import sys
from triolet.store.database import open_database, transaction

connection = open_database(sys.argv[1])
connection.execute("INSERT INTO history VALUES (1, 5, 0, 'user', hex(zeroblob(5000000)), 'complete', 1.0)")
print(flush=True)
for number in range(1_000_000):
    with transaction(connection):  # the two always agree
        connection.execute("INSERT INTO inbox(update_id, received_at, body) VALUES (?, 1.0, ?)", (number, "x" * 3000))
        connection.execute("INSERT INTO preference VALUES (?, 0, 'a', 'b')", (number,))
"""


def test_copy_beside_a_writer_is_of_one_moment(tmp_path: Path) -> None:
    """It takes several steps, and the writer writes between them."""
    path = tmp_path / "triolet.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            counts = []
            for number in range(4):
                back_up(path, tmp_path / f"copy{number}")
                [updates] = values(tmp_path / f"copy{number}", "SELECT count(*) FROM inbox")
                assert values(tmp_path / f"copy{number}", "SELECT count(*) FROM preference") == [updates]
                counts.append(updates)
        finally:
            writer.kill()
    assert counts[0] != counts[-1], "the writer must have been at work"


def test_copy_is_one_private_file(path: Path) -> None:
    copy = path.with_name("copy")
    before = os.umask(0)
    try:
        size = back_up(path, copy)
    finally:
        os.umask(before)
    assert (size, stat.S_IMODE(copy.stat().st_mode)) == (copy.stat().st_size, 0o600)
    assert values(copy, "SELECT update_id FROM inbox") == [0, 1, 2]
    assert [file.name for file in path.parent.iterdir() if "copy" in file.name or "part" in file.name] == ["copy"]


def test_copy_takes_the_place_of_another_only_if_told(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_text("precious", encoding="utf-8")
    with pytest.raises(StoreError, match="is there already; name another file, or --overwrite"):
        back_up(path, copy)
    assert copy.read_text(encoding="utf-8") == "precious"
    back_up(path, copy, overwrite=True)
    assert check(copy) == []


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("triolet.db", "is the database itself"),
        ("link.db", "is the database itself"),
        ("triolet.db-wal", "a part of it"),
        ("triolet.db-lock", "a part of it"),
        (".", "is a folder"),
        ("pipe", "is there already; name another file"),
        ("dangling", "is there already; name another file"),
        ("absent/copy", "No such file or directory"),
        ("triolet.db/copy", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_place_for_a_copy_is_refused(path: Path, target: str, hint: str) -> None:
    path.with_name("link.db").symlink_to(path)
    path.with_name("dangling").symlink_to("nowhere")
    os.mkfifo(path.with_name("pipe"))
    content = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        back_up(path, path.parent / target, overwrite=True)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("call", ["back_up('triolet.db', 'new')", "restore('triolet.db', 'copy')"])
def test_full_disk_is_one_line_and_changes_nothing(path: Path, call: str) -> None:
    """A limit on the size of files is as good as a full disk."""
    back_up(path, path.with_name("copy"))
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
    script += "from triolet.errors import StoreError\nfrom triolet.store.copies import back_up, restore\n"
    script += f"try:\n {call}\nexcept StoreError as error:\n print(error)"
    done = subprocess.run([sys.executable, "-c", script], cwd=path.parent, capture_output=True, check=True)
    [line] = done.stdout.decode().splitlines()
    assert "cannot be" in line
    after = {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-lock")}
    assert {name: after.get(name) for name in before} == before
    assert not any("part" in name or "before-restore" in name for name in after)


# Put back


def test_restore_puts_the_copy_in_place_and_the_other_aside(path: Path) -> None:
    copy = path.with_name("copy")
    back_up(path, copy)
    make(path, "DELETE FROM inbox")
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").write_text(suffix, encoding="utf-8")
    done = restore(path, copy)
    assert done.aside is not None
    assert done.aside.name.startswith("triolet.db.before-restore-20")
    assert values(path, "SELECT update_id FROM inbox") == [0, 1, 2]
    for suffix in ("-wal", "-shm", "-journal"):
        assert Path(f"{done.aside}{suffix}").read_text(encoding="utf-8") == suffix
        Path(f"{done.aside}{suffix}").unlink()
    assert values(done.aside, "SELECT update_id FROM inbox") == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = restore(path, copy)
    assert again.aside != done.aside
    assert done.aside.exists()


def test_restore_takes_up_nothing_that_was_under_way(path: Path) -> None:
    unfinished_work(make(path, "DELETE FROM inbox"))
    copy = path.with_name("copy")
    back_up(path, copy)
    done = restore(path, copy)
    assert (done.updates, done.turns, done.letters) == (3, 1, 4)
    found = inspect(path)
    assert (found.waiting, found.offered, found.turns, found.on_their_way, found.undelivered) == (0, 0, 0, 0, 0)
    assert values(path, "SELECT kind FROM button") == ["continue"]
    assert values(path, "SELECT update_id FROM inbox ORDER BY seq") == [0, 1, 2, 9], "known, if they come again"
    assert values(path, "SELECT count(*) FROM history") == [1]
    assert b"morning" not in path.read_bytes(), "overwritten, not merely unlisted"
    assert values(copy, "SELECT count(*) FROM turn") == [1], "the copy stays as it is"
    assert check(path) == []


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_older_copy_is_restored_and_migrated_by_the_next_start(tmp_path: Path, version: int) -> None:
    copy, path = tmp_path / "old.db", tmp_path / "triolet.db"
    run_sql(copy, *(statement for step in MIGRATIONS[:version] for statement in step), f"PRAGMA user_version={version}")
    run_sql(copy, "INSERT INTO inbox(update_id, received_at, body) VALUES (1, 1.0, '{}')")
    assert restore(path, copy) == Restored(None, 1, 0, 0)
    open_database(str(path)).close()
    assert values(path, "PRAGMA user_version") == [len(MIGRATIONS)]
    assert values(path, "PRAGMA application_id") == [APPLICATION_ID]


def test_damaged_database_is_moved_aside_as_it_is(path: Path) -> None:
    copy = path.with_name("copy")
    back_up(path, copy)
    path.write_bytes(b"rubbish")
    done = restore(path, copy)
    assert done.aside is not None
    assert done.aside.read_bytes() == b"rubbish"
    assert check(path) == []


def test_restore_killed_at_its_very_end_is_not_taken_for_an_unfinished_one(path: Path) -> None:
    back_up(path, path.with_name("copy"))
    make(path, "DELETE FROM inbox")
    first = restore(path, path.with_name("copy")).aside
    assert first is not None
    restore_marker(path).write_text(first.name, encoding="utf-8")
    second = restore(path, path.with_name("copy")).aside
    assert second not in {None, first}
    assert values(first, "SELECT update_id FROM inbox") == []


@pytest.mark.parametrize(
    "notes", [b"", b"\xff", b"../elsewhere", b"copy", b"triolet.db.before-restore-/../../x", b"a\0b"]
)
def test_notes_that_make_no_sense_are_not_followed(path: Path, notes: bytes) -> None:
    back_up(path, path.with_name("copy"))
    restore_marker(path).write_bytes(notes)
    done = restore(path, path.with_name("copy"))
    assert done.aside is not None
    assert done.aside.name.startswith("triolet.db.before-restore-20")
    assert check(path) == []


def test_restore_is_refused_while_a_bot_runs(path: Path) -> None:
    back_up(path, path.with_name("copy"))
    with hold_lock(path), pytest.raises(StartError) as caught:
        restore(path, path.with_name("copy"))
    assert caught.value.exit_code == ExitCode.CONFLICT


@pytest.mark.parametrize("source", ["triolet.db", "link.db", "hard.db"])
def test_database_is_no_copy_of_itself(path: Path, source: str) -> None:
    path.with_name("link.db").symlink_to(path)
    path.with_name("hard.db").hardlink_to(path)
    with pytest.raises(StoreError, match="is the database itself"):
        restore(path, path.with_name(source))


def test_restore_through_a_link_keeps_the_link(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    back_up(link, path.with_name("copy"))
    make(path, "DELETE FROM inbox")
    restore(link, path.with_name("copy"))
    assert link.is_symlink()
    assert values(path, "SELECT count(*) FROM inbox") == [3]


@pytest.mark.skipif(os.geteuid() != 0, reason="only an administrator gives files away")
def test_what_an_administrator_restores_stays_the_bots(path: Path) -> None:
    back_up(path, path.with_name("copy"))
    os.chown(path, 65534, 65534)
    restore(path, path.with_name("copy"))
    assert path.stat().st_uid == 65534


KILLED = """
import itertools, os, shutil, signal, sys
from pathlib import Path
from triolet.store.copies import restore

def strike(folder, at):
    '''Restore, and die before the step of that number; a step is whatever Python asks of the system.'''
    left = at

    def count(event, arguments):
        nonlocal left
        if event.startswith(("os.", "open", "sqlite3", "tempfile", "fcntl")):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    restore(folder / "triolet.db", folder / "copy")
    os._exit(0)

base = Path(sys.argv[1])
for at in itertools.count(1):
    shutil.copytree(base / "model", base / str(at))
    child = os.fork()
    if not child:
        strike(base / str(at), at)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        break
print(at)
"""


def sets(folder: Path) -> dict[str, set[object]]:
    """Every database that is there under a name for keeps, and the updates in it, its -wal included."""
    found = {}
    for file in sorted(folder.glob("triolet.db*")):
        if not file.name.endswith(("-wal", "-shm", "-journal", "-lock", "-restoring")):
            apart = folder / "apart"
            apart.mkdir()
            for suffix in ("", "-wal"):
                if Path(f"{file}{suffix}").exists():
                    shutil.copy(f"{file}{suffix}", apart / f"a.db{suffix}")
            found[file.name] = set(values(apart / "a.db", "SELECT update_id FROM inbox"))
            shutil.rmtree(apart)
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A folder for each step at which a restore was killed, and their number.

    What was there ends in a -wal, as after a crash: updates 0 to 4, of which the file alone knows 0 to 2.
    """
    base = tmp_path_factory.mktemp("killed")
    (base / "model").mkdir()
    path = make(base / "model" / "triolet.db", updates=2)
    back_up(path, path.with_name("copy"))
    crash = "import os, sys; from triolet.store.database import open_database\n"
    crash += "c = open_database(sys.argv[1])\n"
    crash += "c.execute(\"INSERT INTO inbox(update_id, received_at, body) VALUES (4, 1.0, '{}')\"); os._exit(0)"
    subprocess.run([sys.executable, "-c", crash, str(path)], check=True)
    assert sets(base / "model")["triolet.db"] == {0, 1, 4}
    done = subprocess.run([sys.executable, "-c", KILLED, str(base)], capture_output=True, check=True)
    return base, int(done.stdout)


def test_restore_killed_anywhere_loses_nothing(killed: tuple[Path, int]) -> None:
    base, count = killed
    kept_out = 0
    for at in range(1, count + 1):
        folder = base / str(at)
        try:
            with hold_lock(folder / "triolet.db"):
                pass
        except StoreError as error:
            assert "run it again" in str(error)  # noqa: PT017  # it may, and may not
            kept_out += 1
        else:
            found = sets(folder)
            assert found["triolet.db"] in ({0, 1, 4}, {0, 1}), at
            assert {0, 1, 4} in found.values(), at
        restore(folder / "triolet.db", folder / "copy")
        found = sets(folder)
        assert found["triolet.db"] == {0, 1}, at
        assert {0, 1, 4} in found.values(), at
        assert check(folder / "triolet.db") == []
    assert (count > 30, kept_out > 5) == (True, True), (count, kept_out)


def test_ctrl_c_leaves_nothing_half_made(path: Path) -> None:
    """Struck while it copies: between two of its steps, as it would be heard."""
    back_up(path, path.with_name("copy"))
    script = "import os, signal, sys; from triolet.store.copies import restore\n"
    script += "def strike(event, arguments):\n"
    script += f" if event == 'sqlite3.connect': os.kill(os.getpid(), {int(signal.SIGINT)})\n"
    script += "sys.addaudithook(strike)\nrestore('triolet.db', 'copy')"
    done = subprocess.run([sys.executable, "-c", script], cwd=path.parent, capture_output=True, check=False)
    assert b"KeyboardInterrupt" in done.stderr
    database = {"triolet.db", "triolet.db-wal", "triolet.db-shm"}
    assert {file.name for file in path.parent.iterdir()} <= {*database, "triolet.db-lock", "copy"}
