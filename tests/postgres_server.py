"""PostgreSQL servers for tests: one for a whole session, and one of its own for a test that kills it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from posterngate.errors import StoreError
from posterngate.store import Store

with suppress(ImportError):  # pytester forgets what a test imported; compiled modules can't be imported twice
    import psycopg  # noqa: F401

__all__ = ["Server", "own_postgres", "postgres"]


def _unprivileged() -> dict[str, int]:
    """Return Popen's user and group: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid}
    return pytest.skip("PostgreSQL cannot run as root and there is no user postgres or nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A PostgreSQL server with data of its own, on a port of its own; it can be killed and started again."""

    def __init__(self) -> None:
        pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'posterngate[postgres]'")
        initdb, program = shutil.which("initdb"), shutil.which("postgres")
        if not initdb or not program:
            pytest.skip("no PostgreSQL server here: initdb and postgres must be on PATH")
        self._program, self._identity = program, _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if self._identity:
            os.chown(self.folder, self._identity["user"], self._identity["group"])
        self._port = _free_port()
        self.url = f"postgresql://gate@127.0.0.1:{self._port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None
        self._make_data(initdb)

    def _make_data(self, initdb: str) -> None:
        made = subprocess.run(
            [initdb, "-D", str(self.folder / "data"), "-U", "gate", "--auth=trust", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            **self._identity,  # type: ignore[call-overload]
        )
        if made.returncode:
            shutil.rmtree(self.folder)
            pytest.skip(f"initdb failed here: {made.stderr.strip()[-200:]}")

    def start(self) -> None:
        """Start the server, in a process group of its own, and wait until it answers."""
        options = ["-D", str(self.folder / "data"), "-p", str(self._port), "-k", str(self.folder), "-F"]
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [self._program, *options, "-c", "listen_addresses=127.0.0.1"],
                stderr=log, stdout=log, cwd=self.folder, start_new_session=True, **self._identity,
            )  # type: ignore[call-overload]  # fmt: skip
        _ready(self._process, self.url, self.folder / "log")

    def kill(self) -> None:
        """SIGKILL to the server and all its processes at once, as if the machine had lost them."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)

    def close(self) -> None:
        """End the server and throw its data away."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # at once; SIGTERM would wait for every client
            self._process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of its own for all tests and yield its URL."""
    with closing(Server()) as server:
        server.start()
        yield server.url


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A running PostgreSQL that a test may kill."""
    with closing(Server()) as server:
        server.start()
        yield server


def _ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            pytest.skip(f"postgres did not start here: {log.read_text().strip()[-200:]}")
        try:
            Store.open(url).close()
        except StoreError:
            time.sleep(0.05)
        else:
            return
    pytest.skip("postgres did not answer within 10 s")
