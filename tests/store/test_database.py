"""What goes wrong with a file, and what several processes do to it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from posterngate.errors import StoreError
from posterngate.store import Store
from posterngate.store.migrations import STEPS
from posterngate.store.tables import METADATA, PREFIX

from .conftest import make_run, make_sample

WRITER = """
import sys
from posterngate.records import Sample
from posterngate.store import Store
path, worker, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Store.open(path) as store:
    for number in range(count):
        store.samples([f"{worker}-{number}"])
        own = Sample(f"{worker}-{number}", "c", "p", "h", "off", number, 1, "text")
        shared = Sample(f"shared-{number}", "c", "p", "h", "off", number, 1, f"by {worker}")
        store.add_samples([own, shared])
        print(number, flush=True)
"""


def start_writer(path: Path, worker: int, count: int) -> subprocess.Popen[str]:
    """Start a process that appends `count` pairs of samples and prints each number once it is stored."""
    command = [sys.executable, "-c", WRITER, str(path), str(worker), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_eight_processes_lose_nothing(path: Path) -> None:
    """Eight writers that open a new store at once and write to it: every sample is there once."""
    count = 25
    writers = [start_writer(path, worker, count) for worker in range(8)]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert errors == [""] * 8
    with Store.open(path) as store:
        own = [f"{worker}-{number}" for worker in range(8) for number in range(count)]
        shared = [f"shared-{number}" for number in range(count)]
        assert len(store.samples(own)) == 8 * count
        assert len(store.samples(shared)) == count


def test_a_killed_process_loses_nothing_that_was_returned(path: Path) -> None:
    """After SIGKILL in mid-write, every call that had returned is in the store, which still works."""
    writer = start_writer(path, 0, 100_000)
    assert writer.stdout is not None
    for _ in range(20):
        last = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    last = max([last, *map(int, writer.stdout.read().split("\n")[:-1])])
    writer.wait(timeout=30)
    writer.stdout.close()
    assert writer.stderr is not None
    writer.stderr.close()
    with Store.open(path) as store:
        assert len(store.samples([f"0-{number}" for number in range(last + 1)])) == last + 1
        store.add_samples([make_sample(1)])
        assert store.samples([make_sample(1).sample_id])


def test_the_migrated_schema_is_the_declared_one(store: Store, path: Path) -> None:
    """What the migrations build has the tables, columns and order that the code names."""
    built = inspect(create_engine(f"sqlite:///{path}"))
    declared = {table.name: [column.name for column in table.columns] for table in METADATA.sorted_tables}
    assert {
        name: [c["name"] for c in built.get_columns(name)] for name in built.get_table_names()
    } == declared


def test_a_failed_migration_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration and its record are one transaction: half a schema never stays behind."""

    def broken(connection: object) -> None:
        connection.exec_driver_sql("CREATE TABLE half (a)")  # type: ignore[attr-defined]
        connection.exec_driver_sql("CREATE nonsense")  # type: ignore[attr-defined]

    Store.open(path).close()
    with monkeypatch.context() as patch:
        steps = (*STEPS, broken)
        patch.setattr("posterngate.store.migrations.STEPS", steps)
        patch.setattr("posterngate.store.database.STEPS", steps)
        with pytest.raises(StoreError, match="syntax error"):
            Store.open(path)
    with sqlite3.connect(path) as plain:
        names = {name for (name,) in plain.execute("SELECT name FROM sqlite_master")}
        version = plain.execute(f"SELECT max(version) FROM {PREFIX}migrations").fetchone()
    plain.close()
    assert "half" not in names
    assert version == (len(STEPS),)


def test_a_newer_schema_is_refused(path: Path) -> None:
    """A store of a later version is not read by guesswork."""
    Store.open(path).close()
    with sqlite3.connect(path) as plain:
        plain.execute(f"INSERT INTO {PREFIX}migrations VALUES (99, 'later')")
    plain.close()
    with pytest.raises(StoreError, match=r"schema 99 is newer than \d+.*upgrade posterngate"):
        Store.open(path)


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    """A SQLite file with other tables gets none of ours."""
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE customers (a)")
    plain.close()
    with pytest.raises(StoreError, match="not a posterngate store"):
        Store.open(path)
    with sqlite3.connect(path) as plain:
        assert plain.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]
    plain.close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Any other file is named as such and not overwritten."""
    path.write_bytes(b"hello, this is a text of more than a hundred bytes. " * 20)
    with pytest.raises(StoreError, match=r"store=.*not a SQLite database; name another file"):
        Store.open(path)
    assert path.read_bytes().startswith(b"hello")


def test_a_damaged_file_is_one_clear_line(path: Path) -> None:
    """Pages overwritten with rubbish are reported as damage, with the remedy, on one line."""
    with Store.open(path) as store:
        store.add_samples([make_sample(number, "x" * 3000) for number in range(200)])
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(path.stat().st_size - 8192))
    with pytest.raises(StoreError, match="damaged") as caught, Store.open(path) as store:
        store.samples([make_sample(number).sample_id for number in range(200)])
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_clear_line(path: Path) -> None:
    """When no page can be had, the call fails as a whole and what was stored before is there."""
    with Store.open(path) as store:
        store.add_samples([make_sample(1)])
        engine = store._database._engine
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreError, match=r"disk is full; free some space") as caught:
            store.add_samples([make_sample(number, "x" * 9000) for number in range(2, 9)])
        assert "\n" not in str(caught.value)
        assert list(store.samples(make_sample(n).sample_id for n in range(9))) == [make_sample(1).sample_id]


def test_a_locked_store_is_one_clear_line(path: Path) -> None:
    """A writer that never ends is reported after the timeout; readers go on."""
    with Store.open(path, timeout_s=0.1) as store:
        store.add_samples([make_sample(1)])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert store.samples([make_sample(1).sample_id])
        with pytest.raises(StoreError, match="another process holds the store too long"):
            store.add_samples([make_sample(2)])
        other.close()


def test_a_reader_makes_no_store(path: Path) -> None:
    """A mistyped path in a report command is an error, not a new empty file."""
    with pytest.raises(StoreError, match=r"store=.*there is no such file"):
        Store.open(path, create=False)
    assert not path.exists()


def test_the_folder_is_made(tmp_path: Path) -> None:
    """The first run needs no folder prepared."""
    with Store.open(tmp_path / "a" / "b" / "store.sqlite") as store:
        assert store.start_run(make_run()) == "run1"


def test_git_does_not_take_the_answers_along(tmp_path: Path) -> None:
    """The folder of the default store keeps itself out of a repository; a folder that was there is left alone."""
    Store.open(tmp_path / ".posterngate/store.sqlite").close()
    assert (tmp_path / ".posterngate/.gitignore").read_text() == "*\n"
    (tmp_path / "there/.posterngate").mkdir(parents=True)
    Store.open(tmp_path / "there/.posterngate/store.sqlite").close()
    assert not (tmp_path / "there/.posterngate/.gitignore").exists()


def test_a_folder_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    """A path below a file, or one that is a folder, is a StoreError."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="check the path"):
        Store.open(tmp_path / "file" / "store.sqlite")
    with pytest.raises(StoreError, match="check the path"):
        Store.open(tmp_path)


@pytest.mark.parametrize("url", ["mysql://h/db", "sqlite://", "://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    """Only a file and PostgreSQL are stores."""
    with pytest.raises(StoreError, match="store="):
        Store.open(url)


def test_a_password_never_reaches_a_message() -> None:
    """An unreachable or unsupported server is named without its password."""
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql://gate:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in str(caught.value)
