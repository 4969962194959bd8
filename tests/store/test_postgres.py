"""The same store on a PostgreSQL server that the test starts; skipped where none can be."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posterngate.errors import StoreError
from posterngate.records import Outcome, Verdict
from posterngate.store import Store

from .conftest import make_run, make_sample
from .test_database import WRITER


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


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a PostgreSQL of its own and yield its URL."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'posterngate[postgres]'")
    initdb, postgres = shutil.which("initdb"), shutil.which("postgres")
    if not initdb or not postgres:
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
        process = subprocess.Popen([postgres, *options], stderr=log, stdout=log, cwd=folder, **identity)  # type: ignore[call-overload]
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


def test_records_come_back_from_postgres(server: str) -> None:
    """The same code keeps samples (NUL included), first writers, runs, verdicts and links."""
    samples = [make_sample(number, "a\0b" if number else "\ud800") for number in range(6_000)]
    with Store.open(server) as store:
        store.add_samples(samples)
        store.add_samples([make_sample(1, "second")])
        ids = [sample.sample_id for sample in samples]
        assert store.samples([*ids, "missing"]) == dict(zip(ids, samples, strict=True))
        run_id = store.start_run(make_run())
        for outcome in (Outcome.INCONCLUSIVE, Outcome.PASS):
            store.add_verdict(run_id, Verdict("a.b", "", "c", outcome, "", "", "").as_dict())
        store.add_population(run_id, "a.b", ids[:3])
        store.finish_run(run_id, "PASS", {"planned": 3})
        assert [verdict["outcome"] for verdict in store.verdicts(run_id)] == ["PASS"]
        assert store.populations(run_id)["a.b"].sample_ids == tuple(ids[:3])
        assert store.run(run_id).outcome == "PASS"


def test_eight_processes_lose_nothing_on_postgres(server: str) -> None:
    """Eight writers of overlapping samples neither lose one nor wait for each other for ever."""
    count = 20
    commands = [[sys.executable, "-c", WRITER, server, str(worker), str(count)] for worker in range(8)]
    writers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    assert [writer.communicate(timeout=120)[1] for writer in writers] == [""] * 8
    with Store.open(server) as store:
        own = [f"{worker}-{number}" for worker in range(8) for number in range(count)]
        assert len(store.samples(own)) == 8 * count
        assert len(store.samples(f"shared-{number}" for number in range(count))) == count


def test_processes_that_open_a_new_database_migrate_it_once(server: str) -> None:
    """Four processes that find an empty database make one schema between them."""
    from sqlalchemy import create_engine

    admin = create_engine(server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE fresh")
    admin.dispose()
    url = server.replace("/postgres", "/fresh")
    commands = [[sys.executable, "-c", WRITER, url, str(worker), "2"] for worker in range(4)]
    openers = [
        subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands
    ]
    assert [opener.communicate(timeout=60)[1] for opener in openers] == [""] * 4
