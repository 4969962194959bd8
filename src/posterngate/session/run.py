"""The controlling side of a run: endpoints, broker, verdicts as they come in, and the outcome."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterngate.endpoints.broker import Broker
from posterngate.endpoints.contract import Served
from posterngate.endpoints.pool import EndpointPool
from posterngate.errors import IntegrityError, PosterngateError, UsageError
from posterngate.judges import JUDGES
from posterngate.records import Outcome, Verdict
from posterngate.session.accounts import account
from posterngate.session.attempts import earlier_attempts
from posterngate.session.budget import Prices, Spending
from posterngate.session.config import GateConfig
from posterngate.session.estimate import Cost, asks_elsewhere, estimate_cost
from posterngate.session.exclusion import excluded_rules
from posterngate.session.instrument import describe_judge
from posterngate.session.items import items_of
from posterngate.session.library import Library
from posterngate.session.measuring import Measuring
from posterngate.session.policy import policy_of, without_controls
from posterngate.session.provenance import described, instruments
from posterngate.session.reproduce import command_of
from posterngate.session.resolve import Candidates
from posterngate.session.shards import Share, all_verdicts, await_end, join_run
from posterngate.session.tuning import train_tuned
from posterngate.session.waiving import apply_waivers
from posterngate.session.workload import seconds_worked
from posterngate.spec.fleet import Fleet, load_fleet
from posterngate.spec.thresholds import Manifest
from posterngate.spec.waivers import FILE_NAME as WAIVERS
from posterngate.spec.waivers import Waiver, load_waivers
from posterngate.store import RunInfo, Store

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["Run"]

_SHOWN_ANSWERS = 5
"""Worst answers of each population in the HTML page; the JSON report, which CI keeps, holds none."""
_DISTRIBUTIONS = ("posterngate", "pytest", "torch", "transformers", "peft", "openai", "numpy", "scipy")


class Run:
    """One gate run, from validated options to a recorded outcome.

    Made first, so that workers can be told where the broker is; `prepare` reads and checks, writing
    nothing and starting no model; `begin` starts the models and records the run; `finish` compares planned
    with accounted, verifies the endpoints again and records the outcome.
    """

    def __init__(self, config: GateConfig) -> None:
        self.config = config
        self._shard = config.part
        self._fleet = load_fleet(Path(config.fleet)) if config.fleet else Fleet()
        self._live: Any = None
        self._pool = EndpointPool(progress=self._on_progress, fleet=self._fleet)
        self._broker = Broker(self._pool.serve, progress=self._on_progress)
        self._broker.register("verify", self._verify_call)
        self._items: dict[str, Any] = {}
        self._reading = threading.Lock()
        self._broker.register("items", self._items_call)
        self._store: Store | None = None
        self._run_id = ""
        self._excluded: dict[str, str] = {}
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._broken_tests: list[str] = []
        self.manifest: Manifest
        self._candidates: Candidates
        self._library: Library
        self._spending: Spending
        self._measuring: Measuring | None = None
        self._waivers: tuple[Waiver, ...] = ()

    def prepare(self, controls: bool = True) -> None:
        """Read and check everything that can be checked without starting a model.

        Args:
            controls: False leaves the control organisms unstarted, for work that is no whole gate run: its
                other rules stay unmeasured too, so that it can only end FAIL or INCOMPLETE.

        Raises:
            UsageError: an option, a file or a model folder breaks its rule.
        """
        config = self.config
        self.manifest = policy_of(config) if controls else without_controls(policy_of(config))
        self._candidates = Candidates.resolve(config, self.manifest)
        self._library = Library(config)
        self._library.check(self.manifest)
        self._waivers = load_waivers(Path(config.thresholds).with_name(WAIVERS))
        if config.judge is not None:
            JUDGES.load(config.judge.partition(":")[0])
        self._spending = Spending(self._shard.budget(self.manifest.budget))
        self._broker.register("spend", self._spending.call)

    def estimate(self) -> Cost | None:
        """Return what the whole run takes at most, None if it asks no model elsewhere.

        Stored answers, which cost nothing again, are not deducted.
        """
        own, baseline = self._candidates.candidate, self._candidates.baseline
        if not asks_elsewhere([own, baseline], self.config.judge):
            return None
        specs = {"candidate": own, "baseline": None if baseline == own else baseline}
        prices = Prices(self._fleet, self.manifest.budget)
        return estimate_cost(self.manifest, self._library, specs, self.config.judge, prices)

    def worker_input(self) -> dict[str, Any]:
        """Return what a measuring process needs: plain values only."""
        return {
            "config": self.config.as_dict(),
            "address": self._broker.address,
            "token": self._broker.token,
        }

    def begin(self, populations: list[str], argv: list[str]) -> None:
        """Train what is to be trained, start every endpoint, then open the store and record the start.

        Args:
            populations: the items that were collected.
            argv: the command line, for the record.

        Raises:
            UsageError: a model is not what its spec says; nothing was written.
            EndpointError: a model could not be started; TrainError: a recipe could not be trained.
        """
        _remove_reports(self.config.report_dir)
        self._live = _open_live(populations)
        self._candidates = self._candidates.needed_by(self.manifest, populations)
        for tuned in self._candidates.tuned:
            train_tuned(tuned, self._on_progress)
        self._pool.announce(self._candidates.all_specs)
        served = {spec: self._pool.serve(spec) for spec in self._candidates.all_specs}
        self._excluded = excluded_rules(self.manifest, served[self._candidates.candidate])
        info = self._info(served, argv)
        self._store = Store.open(self.config.store)
        self._run_id = join_run(self._store, info, self._shard)
        about = {
            "run_id": self._run_id,
            "excluded": self._excluded,
            "candidates": self._candidates.as_dict(),
        }
        self._broker.register("run", lambda _: about)
        self._measuring = Measuring(self.open_bench)
        self._broker.register("measure", self._measuring.call)

    def open_bench(self) -> Bench:
        """Join this begun run once more, for one population at a time; the caller closes it."""
        from posterngate.session.bench import Bench

        return Bench(self.config, self.manifest, self._library, self._fleet, self._broker.inside)

    def _info(self, served: Mapping[str, Served], argv: list[str]) -> RunInfo:
        candidate = served[self._candidates.candidate]
        baseline = served.get(self._candidates.baseline or "")
        judge = describe_judge(self.config, self._serve_judge_model)
        return RunInfo(
            run_id="",
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
            candidate=self.config.candidate,
            candidate_digest=candidate.digest,
            baseline=self._candidates.baseline or "",
            baseline_digest=baseline.digest if baseline else "",
            judge=self.config.judge or "",
            judge_hash=str(judge.get("digest", "")),
            profile=self.config.profile,
            thresholds_hash=self.manifest.hash,
            manifest_seed=self.manifest.manifest_seed,
            versions=_versions(),
            argv=tuple(argv),
            commit=_commit(Path(self.config.root)),
            details={
                "judge": judge,
                "resolved": self._candidates.candidate,
                "endpoints": {spec: described(s) for spec, s in served.items()},
                **instruments(self.manifest, self._library, self._candidates.organisms, served),
                "command": command_of(self.config, argv),
                "training_data": _digest_of(self.config.training_data),
                "excluded": [
                    {"rule": name, "reason": reason}
                    for name, reason in {**self._excluded, **self.manifest.left_out}.items()
                ],
            },
        )

    def _serve_judge_model(self, spec: str) -> Served:
        """Serve a judge's model; a candidate that answers as its own judge would clear itself."""
        served = self._pool.serve(spec)
        candidate = self._pool.serve(self._candidates.candidate)
        asks_it = (self.config.judge or "").partition(":")[0] != "embedded"
        if asks_it and (served.base_url, served.model) == (candidate.base_url, candidate.model):
            raise UsageError(
                f"gate_judge={self.config.judge}: the candidate is its own judge; name another model"
            )
        return served

    def add_report(self, nodeid: str, verdict: dict[str, Any] | None, failed: bool) -> None:
        """Take one phase's report: its verdict if it carries one, and whether it failed."""
        if verdict is not None:
            name = f"{verdict['rule']}-{verdict['trigger']}" if verdict["trigger"] else verdict["rule"]
            if failed and verdict["outcome"] == Outcome.PASS.value:
                verdict = {**verdict, "outcome": Outcome.INVALID.value, "evidence": "the test itself failed"}
            self._verdicts[name] = verdict
            if self._store is not None:
                self._store.add_verdict(self._run_id, verdict)
        elif failed:
            self._broken_tests.append(nodeid)

    def finish(self) -> dict[str, Any]:
        """Verify, account, decide, record; return the run's document (verdict PASS only if all is well)."""
        from posterngate.report.document import run_document

        assert self._store is not None, "finish comes after begin"
        work = seconds_worked(self._pool.served())
        problems = self._endpoint_problems()
        share = Share(self._broken_tests, problems, self._spending.as_dict())
        self._close_run(self._store, share, work)
        document = run_document(self._store, self._run_id)
        if self.config.report_dir:
            with_answers = run_document(self._store, self._run_id, answers=_SHOWN_ANSWERS)
            _write_reports({"json": document, "html": with_answers}, Path(self.config.report_dir))
        self._close_live()
        return document

    def _close_run(self, store: Store, share: Share, work: Mapping[str, float]) -> None:
        """Decide over all items and record the outcome; with several runners, the last one does."""
        if not self._shard.is_whole:
            shares = share.hand_in(store, self._run_id, self._shard)
            if shares is None:
                await_end(store, self._run_id, self.config.shard_wait)
                return
            share = Share.together(shares)
        verdicts = self._own_verdicts() if self._shard.is_whole else all_verdicts(store, self._run_id)
        accounts = account(self.manifest, verdicts, share.broken_tests, share.problems, tuple(self._excluded))
        for verdict in accounts.upgraded:
            store.add_verdict(self._run_id, verdict.as_dict())
        spent = dict(share.spent)
        notes = [*accounts.summary["notes"], *earlier_attempts(store, self._run_id)]
        summary = {
            **accounts.summary,
            "notes": notes,
            "spent": spent,
            "seconds": spent["seconds"],
            "work": dict(work),
            "waivers": self._waivers_beside(store, [*verdicts, *accounts.upgraded]),
        }
        store.finish_run(self._run_id, accounts.outcome.value, summary)

    def _own_verdicts(self) -> list[Verdict]:
        return [Verdict.from_dict(values) for values in self._verdicts.values()]

    def _waivers_beside(self, store: Store, verdicts: list[Verdict]) -> list[dict[str, Any]]:
        """Hold the waivers against the verdicts, of which a later one of a population stands."""
        info, final = store.run(self._run_id).info, {verdict.population: verdict for verdict in verdicts}
        return apply_waivers(self._waivers, final.values(), info, datetime.now(UTC).date())

    def _endpoint_problems(self) -> list[str]:
        """Compare every endpoint with what it was at the start."""
        problems = []
        rehashed: dict[Path, str] = {}
        for spec in self._candidates.all_specs:
            try:
                self._pool.verify(spec, rehashed)
            except PosterngateError as error:
                problems.append(str(error))
        return problems

    def _items_call(self, _: dict[str, Any]) -> dict[str, Any]:
        """Answer the workers' question what is to be collected; the policy is read once for all of them."""
        with self._reading:
            self._items = self._items or items_of(self.config)
        return self._items

    def _verify_call(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a worker's question whether an endpoint still is what it was."""
        try:
            self._pool.verify(str(body["spec"]))
        except IntegrityError as error:
            return {"problem": str(error)}
        return {"problem": ""}

    def _close_live(self) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)
            self._live = None

    def _on_progress(self, event: dict[str, Any]) -> None:
        if self._live is not None:
            self._live.update(event)

    def close(self) -> None:
        """Stop the broker and every endpoint, close the store; does nothing the second time."""
        self._close_live()
        if self._measuring is not None:
            self._measuring.close()
        self._broker.stop()
        self._pool.stop()
        if self._store is not None:
            self._store.close()
            self._store = None


def _digest_of(path: str | None) -> str:
    """Return the sha256 (hex) of the training file that cues came from; "" where none was given."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""


def _open_live(populations: list[str]) -> Any:
    from posterngate.report.live import LiveProgress

    return LiveProgress(sys.__stderr__ or sys.stderr, populations=len(populations)).__enter__()


def _versions() -> dict[str, str]:
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit(root: Path) -> str:
    """Return the commit of the user's repository, with a + if it has changes; "" outside of one."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _remove_reports(folder: str | None) -> None:
    """Take an earlier run's reports away: if this one is killed, its PASS must not stand there still."""
    for name in ("json", "html") if folder else ():
        (Path(str(folder)) / f"report.{name}").unlink(missing_ok=True)


def _write_reports(documents: Mapping[str, dict[str, Any]], folder: Path) -> None:
    """Write report.json and report.html, each whole or not at all."""
    from posterngate.report import FORMATS

    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        half = folder / f".report.{name}.part"
        half.write_text(FORMATS.load(name)(document), encoding="utf-8")
        half.replace(folder / f"report.{name}")
