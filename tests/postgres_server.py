"""A PostgreSQL server for tests: started once for a session, on a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posterngate.errors import StoreError
from posterngate.store import Store

__all__ = ["postgres"]


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of its own and yield its URL."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'posterngate[postgres]'")
    initdb, program = shutil.which("initdb"), shutil.which("postgres")
    if not initdb or not program:
        pytest.skip("no PostgreSQL server here: initdb and postgres must be on PATH")
    identity = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    data, port = folder / "data", _free_port()
    made = subprocess.run(
        [initdb, "-D", str(data), "-U", "gate", "--auth=trust", "--no-sync"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        **identity,  # type: ignore[call-overload]
    )
    if made.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"initdb failed here: {made.stderr.strip()[-200:]}")
    options = ["-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder), "-F"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, *options], stderr=log, stdout=log, cwd=folder, **identity)  # type: ignore[call-overload]
    try:
        yield _ready(process, f"postgresql://gate@127.0.0.1:{port}/postgres", folder / "log")
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _ready(process: subprocess.Popen[bytes], url: str, log: Path) -> str:
    for _ in range(200):
        if process.poll() is not None:
            pytest.skip(f"postgres did not start here: {log.read_text().strip()[-200:]}")
        try:
            Store.open(url).close()
        except StoreError:
            time.sleep(0.05)
        else:
            return url
    return pytest.skip("postgres did not answer within 10 s")
