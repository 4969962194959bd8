"""Rows in and out of the database: plain dicts, no records. One call is one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Select, Table, Text, bindparam, cast, column, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from posterngate.errors import StoreError
from posterngate.store.engine import WRITE, as_url, open_engine, shown, translated
from posterngate.store.migrations import STEPS, migrate, schema_version
from posterngate.store.tables import TABLES

__all__ = ["Database"]

_CHUNK = 5_000
_OWN_FOLDER = ".posterngate"


class Database:
    """An open store file or server. Safe to share between threads, not across a fork."""

    def __init__(self, path_or_url: str | Path, *, create: bool, timeout_s: float) -> None:
        url = as_url(path_or_url)
        self.where = shown(url)
        self._file = Path(url.database or "") if url.drivername.startswith("sqlite") else None
        self._prepare_file(create)
        self._engine = open_engine(url, timeout_s=timeout_s)
        try:
            self._bring_up_to_date()
        except BaseException:
            self._engine.dispose()
            raise

    def _prepare_file(self, create: bool) -> None:
        if self._file is None:
            return
        if not create and not self._file.is_file():
            raise StoreError(
                f"store={self.where}: there is no such file; run the gate first, or check the path"
            )
        folder = self._file.parent
        with translated(self.where):
            own = folder.name == _OWN_FOLDER and not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            if own:  # raw answers: `git add` shall not take them along unasked
                (folder / ".gitignore").write_text("*\n", encoding="utf-8")

    def _bring_up_to_date(self) -> None:
        with self._reading() as connection:
            current = schema_version(connection) == len(STEPS)
        if not current:
            with self._writing() as connection:
                migrate(connection, self.where)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(self.where), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with translated(self.where), self._engine.execution_options(**{WRITE: True}).begin() as connection:
            yield connection

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows; a row whose key exists already is left as its first writer wrote it."""
        if rows:
            target = TABLES[table]
            # One order for all writers, or two of them could wait for each other on PostgreSQL.
            keys = [key.name for key in target.primary_key if key.name in rows[0]]
            ordered = sorted(rows, key=lambda row: [row[key] for key in keys])
            with self._writing() as connection:
                connection.execute(self._insert_new(target), [dict(row) for row in ordered])

    def _insert_new(self, table: Table) -> Any:
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        return insert(table).on_conflict_do_nothing()

    def by_ids(self, table: str, ids: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows with these keys, in the column order of the table and no order of their own."""
        target = TABLES[table]
        query = select(target).where(next(iter(target.primary_key)).in_(self._listed()))
        for start in range(0, len(ids), _CHUNK):
            wanted = json.dumps(list(ids[start : start + _CHUNK]))
            with self._reading() as connection:
                # All rows at once: a read transaction left open would keep the WAL from shrinking.
                found = connection.execute(query, {"ids": wanted}).all()
            yield from (tuple(row) for row in found)

    def _listed(self) -> Select[tuple[str]]:
        """Select the ids of one JSON list: one parameter, however many ids."""
        if self._engine.dialect.name == "postgresql":
            parameter = cast(bindparam("ids", type_=Text), postgresql.JSONB)
            listed = func.jsonb_array_elements_text(parameter).table_valued(column("value", Text))
        else:
            listed = func.json_each(bindparam("ids", type_=Text)).table_valued(column("value", Text))
        return select(listed.c.value)

    def where_equal(self, table: str, order: Sequence[str], **equal: str) -> list[dict[str, Any]]:
        """Return the rows whose columns equal these values, sorted by the named columns."""
        target = TABLES[table]
        query = select(target).order_by(*(target.c[name] for name in order))
        for name, value in equal.items():
            query = query.where(target.c[name] == value)
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def update_one(self, table: str, key: str, values: Mapping[str, Any]) -> bool:
        """Set columns of the row with this key; False if there is none."""
        target = TABLES[table]
        change = update(target).where(next(iter(target.primary_key)) == key).values(**values)
        with self._writing() as connection:
            return connection.execute(change).rowcount == 1

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a named lock that all users of this store share; it ends with its process at the latest."""
        digest = hashlib.sha256(name.encode()).digest()
        if self._file is None:
            with self._server_lock(int.from_bytes(digest[:8], "big", signed=True)):
                yield
            return
        folder = self._file.with_name(self._file.name + ".locks")
        with translated(self.where):
            folder.mkdir(exist_ok=True)
        with FileLock(folder / f"{digest[0]:02x}.lock"):  # few files for many names; two names may share one
            yield

    @contextmanager
    def _server_lock(self, key: int) -> Iterator[None]:
        with translated(self.where):
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            with translated(self.where):
                connection.execute(select(func.pg_advisory_lock(key)))
            yield
            with translated(self.where):
                connection.execute(select(func.pg_advisory_unlock(key)))

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()
