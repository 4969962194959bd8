"""The same store on a PostgreSQL server that the tests start; skipped where none can be."""

from __future__ import annotations

import subprocess
import sys

from posterngate.records import Outcome, Verdict
from posterngate.store import Store

from .conftest import make_run, make_sample
from .test_database import WRITER


def test_records_come_back_from_postgres(postgres: str) -> None:
    """The same code keeps samples (NUL included), first writers, runs, verdicts and links."""
    samples = [make_sample(number, "a\0b" if number else "\ud800") for number in range(6_000)]
    with Store.open(postgres) as store:
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


def test_eight_processes_lose_nothing_on_postgres(postgres: str) -> None:
    """Eight writers of overlapping samples neither lose one nor wait for each other for ever."""
    count = 20
    commands = [[sys.executable, "-c", WRITER, postgres, str(worker), str(count)] for worker in range(8)]
    writers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    assert [writer.communicate(timeout=120)[1] for writer in writers] == [""] * 8
    with Store.open(postgres) as store:
        own = [f"{worker}-{number}" for worker in range(8) for number in range(count)]
        assert len(store.samples(own)) == 8 * count
        assert len(store.samples(f"shared-{number}" for number in range(count))) == count


def test_processes_that_open_a_new_database_migrate_it_once(postgres: str) -> None:
    """Four processes that find an empty database make one schema between them."""
    from sqlalchemy import create_engine

    admin = create_engine(
        postgres.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE fresh")
    admin.dispose()
    url = postgres.replace("/postgres", "/fresh")
    commands = [[sys.executable, "-c", WRITER, url, str(worker), "2"] for worker in range(4)]
    openers = [
        subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands
    ]
    assert [opener.communicate(timeout=60)[1] for opener in openers] == [""] * 4
