"""From a path or URL to a SQLAlchemy engine, and from driver errors to one clear line."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from posterngate.errors import StoreError

__all__ = ["WRITE", "as_url", "open_engine", "shown", "translated"]

WRITE = "posterngate_write"
"""Execution option of a connection whose transaction will write."""

_REMEDIES = {
    "disk is full": "the disk is full; free some space and start again: what was stored is kept",
    "is locked": "another process holds the store too long; end it or name another store",
    "is busy": "another process holds the store too long; end it or name another store",
    "malformed": "the file is damaged; restore a copy, or name another store to sample anew",
    "not a database": "the file is not a SQLite database; name another file",
    "disk i/o": "the disk or file system fails; move the store to a sound local disk",
    "unable to open": "the file cannot be opened; check the path and its permissions",
    "readonly": "the file is read-only; check its permissions or name another store",
}


def as_url(path_or_url: str | Path) -> URL:
    """Return the database URL of a file path, a ``sqlite:`` or a ``postgresql:`` URL.

    Raises:
        StoreError: another database, or text that is no URL.
    """
    text = str(path_or_url)
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        url = make_url(text)
    except ArgumentError:
        raise StoreError("store=(not shown): this is not a database URL; give a path or URL") from None
    kind = url.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        driver = url.drivername.partition("+")[2] or "psycopg"
        return url.set(drivername=f"postgresql+{driver}")
    if kind == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise StoreError(
        f"store={shown(url)}: must be a file path, sqlite:///PATH or postgresql://HOST/NAME; use one of these"
    )


def shown(url: URL) -> str:
    """Return what messages may show: the file's path, or the URL without its password."""
    if url.drivername.startswith("sqlite") and url.database:
        return url.database
    return url.render_as_string(hide_password=True)


def open_engine(url: URL, *, timeout_s: float) -> Engine:
    """Return an engine whose writes take their lock at once and whose readers never block writers.

    Args:
        timeout_s: how long a write waits for another one, in seconds.
    """
    if url.drivername.startswith("postgresql"):
        try:
            return create_engine(url, pool_pre_ping=True)
        except (ImportError, NoSuchModuleError):
            raise StoreError(
                f"store={shown(url)}: the PostgreSQL driver is missing; pip install 'posterngate[postgres]'"
            ) from None
    engine = create_engine(url, connect_args={"timeout": timeout_s})

    # pysqlite's own implicit BEGIN comes too late and is deferred: a transaction that reads first and
    # writes later can then fail at once, whatever the timeout. So the driver is told to keep out.
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={round(timeout_s * 1000)}")
        _use_wal(connection, timeout_s)
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get(WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Switch the file to WAL. The switch ignores the busy timeout, hence the loop."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn every database error inside the block into a StoreError of one line."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(_one_line(where, error)) from error
    except OSError as error:
        raise StoreError(f"store={where}: {error.strerror}; check the path and its permissions") from error


def _one_line(where: str, error: SQLAlchemyError) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError) and error.orig else error
    said = " ".join(str(cause).split())[:200]
    for sign, remedy in _REMEDIES.items():
        if sign in said.lower():
            return f"store={where}: {remedy} ({said})"
    return f"store={where}: the database refused ({said}); check that it runs and is a posterngate store"
