"""The store: every sample, judgment and verdict, appended at once and found again by content.

A call is a transaction. A process killed at any moment loses at most the call in flight, and a call
that returned is there for every other process. Keys are content hashes and the first writer wins,
so that writing something twice, from anywhere, changes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from posterngate.errors import StoreError
from posterngate.records import ChoicePair, ChoiceScore, Judgment, Probe, Sample
from posterngate.store import rows
from posterngate.store.runs import Population, RunInfo, RunRecord

if TYPE_CHECKING:
    from posterngate.store.database import Database

__all__ = ["Store"]

_FINAL = ("FAIL", "INVALID")
_KINDS = ("sample", "judgment", "score")


class Store:
    """Open with `Store.open`; use as a context manager or call `close`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path_or_url: str | Path, *, create: bool = True, timeout_s: float = 60.0) -> Self:
        """Open a store, bringing an older one up to date.

        Args:
            path_or_url: a SQLite file (its folder is made), ``sqlite:///PATH`` or ``postgresql://...``.
            create: False refuses a file that does not exist (for readers).
            timeout_s: how long a write waits for other writers, in seconds.

        Raises:
            StoreError: the store cannot be opened, is damaged, newer than this program, or not a store.
        """
        # SQLAlchemy takes a tenth of a second to import: only those who open a store pay for it.
        from posterngate.store.database import Database

        return cls(Database(path_or_url, create=create, timeout_s=timeout_s))

    @property
    def where(self) -> str:
        """The path, or the URL without its password."""
        return self._database.where

    def close(self) -> None:
        """Close all connections; whatever was added is stored already."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a named lock that all users of this store share, on whatever machine.

        Not to be nested: two names may be one lock.
        """
        return self._database.lock(name)

    # Samples, judgments, scores and facts: content-addressed, shared by all runs.

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Append samples; an id that is there already keeps its first answer."""
        self._database.insert("samples", [rows.sample_row(sample) for sample in samples])

    def samples(self, ids: Iterable[str]) -> dict[str, Sample]:
        """Return the stored samples among `ids`, by id."""
        found = map(rows.sample_from_row, self._database.by_ids("samples", list(ids)))
        return {sample.sample_id: sample for sample in found}

    def add_judgments(self, judgments: Sequence[Judgment]) -> None:
        """Append judgments; the first one of an id stays."""
        self._database.insert("judgments", [rows.judgment_row(judgment) for judgment in judgments])

    def judgments(self, ids: Iterable[str]) -> dict[str, Judgment]:
        """Return the stored judgments among `ids`, by id."""
        found = map(rows.judgment_from_row, self._database.by_ids("judgments", list(ids)))
        return {judgment.judgment_id: judgment for judgment in found}

    def add_choice_scores(self, scores: Sequence[ChoiceScore]) -> None:
        """Append scores of forced-choice pairs; the first one of an id stays."""
        self._database.insert("choice_scores", [rows.choice_score_row(score) for score in scores])

    def choice_scores(self, ids: Iterable[str]) -> dict[str, ChoiceScore]:
        """Return the stored scores among `ids`, by id."""
        found = map(rows.choice_score_from_row, self._database.by_ids("choice_scores", list(ids)))
        return {score.score_id: score for score in found}

    def put_fact(self, key: str, value: Any) -> None:
        """Keep a measured JSON value under a key that names its content; the first value stays."""
        self._database.insert("facts", [{"fact_key": key, "value": json.dumps(value)}])

    def fact(self, key: str) -> Any | None:
        """Return the value kept under `key`, None if there is none."""
        return self.facts([key]).get(key)

    def facts(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values among `keys`, by key."""
        return {key: json.loads(value) for key, value in self._database.by_ids("facts", list(keys))}

    def add_probes(self, probes: Iterable[Probe | ChoicePair]) -> None:
        """Keep what was asked, for reports. Of a hidden probe only its hash and that it is hidden."""
        kept = [
            {"fact_key": f"probe:{probe.hash}", "value": json.dumps(_question(probe))} for probe in probes
        ]
        self._database.insert("facts", list({row["fact_key"]: row for row in kept}.values()))

    def probes(self, hashes: Iterable[str]) -> dict[str, Any]:
        """Return what is kept of each probe, by its hash: id, set, hidden, messages (none if hidden)."""
        found = self.facts(f"probe:{value}" for value in hashes)
        return {key.removeprefix("probe:"): value for key, value in found.items()}

    # Runs.

    def start_run(self, info: RunInfo) -> str:
        """Record the start of a run and return its id; a second runner may join with the same id.

        Raises:
            StoreError: the id is taken by a run of another candidate, judge, profile or thresholds.
        """
        info = dataclasses.replace(info, run_id=info.run_id or uuid.uuid4().hex[:12])
        self._database.insert("runs", [rows.run_row(info)])
        kept = self.run(info.run_id).info
        if kept.identity != info.identity:
            raise StoreError(
                f"run={info.run_id!r}: the store has this run for candidate {kept.candidate!r} with other "
                f"digests, thresholds, judge, profile or seed; take another run id"
            )
        return info.run_id

    def finish_run(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """Record how a run ended, and when. A later end replaces an earlier one."""
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        values = {"outcome": str(outcome), "summary": json.dumps(dict(summary)), "finished": finished}
        if not self._database.update_one("runs", run_id, values):
            raise self._no_run(run_id)

    def note_run(self, run_id: str, summary: Mapping[str, Any]) -> None:
        """Keep what is known so far of a run that goes on."""
        if not self._database.update_one("runs", run_id, {"summary": json.dumps(dict(summary))}):
            raise self._no_run(run_id)

    def runs(self) -> list[RunRecord]:
        """Return all runs, the oldest first."""
        found = self._database.where_equal("runs", ["started", "run_id"])
        return [rows.run_from_row(row) for row in found]

    def run(self, run_id: str) -> RunRecord:
        """Return one run.

        Raises:
            StoreError: there is no run with this id.
        """
        found = self.find_run(run_id)
        if found is None:
            raise self._no_run(run_id)
        return found

    def find_run(self, run_id: str) -> RunRecord | None:
        """Return one run, None if there is none with this id."""
        found = self._database.where_equal("runs", ["run_id"], run_id=run_id)
        return rows.run_from_row(found[0]) if found else None

    def _no_run(self, run_id: str) -> StoreError:
        return StoreError(
            f"run={run_id!r}: {self.where} holds no such run; see `posterngate history` for all"
        )

    def add_verdict(self, run_id: str, verdict: Mapping[str, Any]) -> None:
        """Append a verdict, given as `Verdict.as_dict()`. Nothing that was written is ever overwritten."""
        name = f"{verdict['rule']}-{verdict['trigger']}" if verdict["trigger"] else str(verdict["rule"])
        row = {"run_id": run_id, "population": name, "body": json.dumps(dict(verdict))}
        self._database.insert("verdicts", [row])

    def verdicts(self, run_id: str) -> list[dict[str, Any]]:
        """Return one verdict of each population: the last one, but a FAIL or INVALID stays what it is."""
        latest: dict[str, dict[str, Any]] = {}
        for row in self._database.where_equal("verdicts", ["seq"], run_id=run_id):
            earlier = latest.get(row["population"])
            if earlier is None or earlier["outcome"] not in _FINAL:
                latest[row["population"]] = json.loads(row["body"])
        return list(latest.values())

    def add_population(
        self,
        run_id: str,
        population: str,
        sample_ids: Sequence[str] = (),
        judgment_ids: Sequence[str] = (),
        score_ids: Sequence[str] = (),
    ) -> None:
        """Link a population of a run to what it rests on; further calls add to it."""
        linked = zip(_KINDS, (sample_ids, judgment_ids, score_ids), strict=True)
        self._database.insert(
            "members",
            [
                {"run_id": run_id, "population": population, "kind": kind, "ids": json.dumps(list(ids))}
                for kind, ids in linked
                if ids
            ],
        )

    def populations(self, run_id: str) -> dict[str, Population]:
        """Return the linked populations of a run, by name, with each id once and in the order linked."""
        linked: dict[str, dict[str, dict[str, None]]] = {}
        for row in self._database.where_equal("members", ["seq"], run_id=run_id):
            kinds = linked.setdefault(row["population"], {kind: {} for kind in _KINDS})
            kinds[row["kind"]] |= dict.fromkeys(json.loads(row["ids"]))
        return {
            name: Population(name, *(tuple(kinds[kind]) for kind in _KINDS))
            for name, kinds in sorted(linked.items())
        }


def _question(probe: Probe | ChoicePair) -> dict[str, Any]:
    if probe.hidden:
        return {"id": probe.hash[:12], "set": probe.set_id, "hidden": True, "messages": []}
    messages = [[message.role, message.content] for message in probe.messages]
    return {"id": probe.id, "set": probe.set_id, "hidden": False, "messages": messages}
