"""The measuring side of a run: one for each population that is measured at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from posterngate.endpoints.broker_client import BrokerClient
from posterngate.endpoints.contract import Served
from posterngate.endpoints.spec import parse_spec
from posterngate.errors import EndpointError, IntegrityError, PosterngateError, StoreError, UsageError
from posterngate.gate import Arm, Measured
from posterngate.judges import Judge, Usage
from posterngate.judges.calibration import Certificate
from posterngate.judges.contract import is_metered
from posterngate.judges.reviewing import load_reviews
from posterngate.records import Estimate, Label, Outcome, Probe, Sample, Trigger, Verdict
from posterngate.session.answers import StoredAnswers
from posterngate.session.budget import NOTHING, Prices
from posterngate.session.config import GateConfig
from posterngate.session.instrument import calibration_for, open_judge
from posterngate.session.library import Library
from posterngate.session.measures import MEASURES
from posterngate.session.resolve import Candidates
from posterngate.spec.fleet import Fleet
from posterngate.spec.thresholds import Manifest, Population
from posterngate.store import Store

__all__ = ["Bench"]


class Bench:
    """What measures need: endpoints, probes, the judge, the store, and how much may still be spent.

    Args:
        config, manifest: what was asked for, and the frozen policy; library: the files it names, read.
        client: the way to the controller.
    """

    def __init__(
        self, config: GateConfig, manifest: Manifest, library: Library, fleet: Fleet, client: BrokerClient
    ) -> None:
        self.config = config
        self.manifest = manifest
        self.library = library
        self._prices = Prices(fleet, manifest.budget)
        self.store = Store.open(config.store)
        about = client.call("run")
        self.candidates = Candidates.from_dict(about["candidates"])
        self.run_id = str(about["run_id"])
        self.excluded: dict[str, str] = dict(about["excluded"])
        self._client = client
        self._served: dict[str, Served] = {}
        self._unspent = dict(NOTHING)
        self._money_here = 0.0

    def close(self) -> None:
        """Close the store and the judge's event loop."""
        if "source" in self.__dict__:
            self.source.close()
        self.store.close()

    def serve(self, spec: str) -> Served:
        """Return the endpoint of a spec, asking the controller once per spec."""
        if spec not in self._served:
            self._served[spec] = self._client.serve(spec)
        return self._served[spec]

    @property
    def baseline_is_candidate(self) -> bool:
        """True if both are one model, by digest: then their arms are one, and every margin holds."""
        spec = self.candidates.baseline
        return spec is not None and self.serve(spec).digest == self.serve(self.candidates.candidate).digest

    def endpoint_problem(self, spec: str) -> str:
        """Return what is wrong with an endpoint's digest now, "" if it is what it was."""
        return str(self._client.call("verify", {"spec": spec})["problem"])

    @cached_property
    def judge(self) -> Judge | None:
        """The run's judge, None if none was named."""
        spec = self.config.judge
        return None if spec is None else open_judge(spec, self.serve, self._on_judged)

    def certificate(self, behaviour: str) -> Certificate | None:
        """Return the judge's certificate for a behaviour, None without a judge."""
        return None if self.judge is None else calibration_for(self.judge, behaviour, self.config)

    @cached_property
    def reviews(self) -> dict[str, bool]:
        """What a person said of judged answers, by judgment id; none without a review file."""
        path = self.config.reviews
        return {} if path is None else {r.judgment_id: r.unsafe for r in load_reviews(Path(path)).values()}

    @cached_property
    def reviews_digest(self) -> str:
        """The review file's SHA-256 (64 hex digits), "" without one."""
        path = self.config.reviews
        return "" if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()

    @cached_property
    def source(self) -> StoredAnswers:
        """Answers of any arm, labelled where a judge is named."""
        return StoredAnswers(
            self.store, self.judge, self.serve, self.manifest.manifest_seed, self.count, self._may_judge
        )

    def arm(self, role: str, spec: str, probes: Sequence[Probe], trigger: Trigger, rounds: int) -> Arm:
        """Return an arm of the model that `spec` names."""
        return Arm(role, spec, self.serve(spec).digest, tuple(probes), trigger, rounds)

    def budget_left(self) -> bool:
        """Report what was spent since the last call, and ask whether the run may spend more."""
        return not self._ended()

    def may_pay(self) -> bool:
        """True unless tokens or money are used up: the limits that hold for controls and judge models too."""
        return not {"tokens", "money"} & self._ended()

    def _may_judge(self) -> bool:
        """Answers that are there are judged, unless the judge's own tokens are what there is no more of."""
        return self.judge is None or not is_metered(self.judge) or self.may_pay()

    def _ended(self) -> set[str]:
        spent, self._unspent = self._unspent, dict(NOTHING)
        return set(self._client.call("spend", spent)["ended"])

    def count(self, samples: Sequence[Sample]) -> None:
        """Book answers that were drawn now, whoever drew them, for the run's account."""
        prompt, completion = (
            sum(getattr(s, k) for s in samples) for k in ("prompt_tokens", "completion_tokens")
        )
        self._unspent["samples"] += len(samples)
        digest = samples[0].candidate
        self._book(next(s for s in self._served.values() if s.digest == digest), prompt, completion)

    def _on_judged(self, served: Served, usage: Usage) -> None:
        tokens, money = self._book(served, usage.prompt_tokens, usage.completion_tokens)
        self._unspent["judge_tokens"] += tokens
        self._unspent["judge_money"] += money

    def _book(self, served: Served, prompt: int, completion: int) -> tuple[int, float]:
        """Book tokens of a model and what they cost, and return both."""
        tokens = prompt + completion
        money = self._prices.cost(served.model, parse_spec(served.spec), prompt, completion) or 0.0
        self._unspent["tokens"] += tokens
        self._unspent["money"] += money
        self._money_here += money
        return tokens, money

    def progress(
        self, population: str, measured: Measured, estimate: Estimate, state: str = "running"
    ) -> None:
        """Tell the controller's display how far a population is."""
        samples = [answer.sample for row in measured.rows for answer in row]
        cost = {"cost": self._money_here} if self._money_here else {}
        self._client.progress(
            {
                **cost,
                "population": population,
                "planned": measured.arm.planned,
                "done": len(samples),
                "unsafe": estimate.events,
                "tokens": sum(s.completion_tokens for s in samples),
                "seconds": sum(s.elapsed_s for s in samples),
                "state": state,
            }
        )

    def link(self, population: Population, measured: Sequence[Measured]) -> None:
        """Record which samples and judgments a population rests on, for the report."""
        answers = [answer for arm in measured for row in arm.rows for answer in row]
        self.store.add_probes({probe.hash: probe for arm in measured for probe in arm.arm.probes}.values())
        self.store.add_population(
            self.run_id,
            population.name,
            sample_ids=[answer.sample.sample_id for answer in answers],
            judgment_ids=[a.judgment.judgment_id for a in answers if a.judgment is not None],
        )

    def measure(self, population: Population) -> Verdict:
        """Measure one population; what goes wrong becomes a verdict that is not green.

        Raises:
            UsageError: the population cannot be measured as it is declared.
        """
        self._money_here = 0.0
        return self.guarded(population, MEASURES[population.rule.measure])

    def guarded(self, population: Population, measure: Callable[[Bench, Population], Verdict]) -> Verdict:
        """Carry out a measure; a model or store that breaks down in it is a verdict too.

        Raises:
            UsageError: the population cannot be measured as it is declared.
        """
        try:
            return measure(self, population)
        except UsageError:
            raise
        except IntegrityError as error:
            return _broken(population, self.config, Outcome.INVALID, error)
        except (EndpointError, StoreError) as error:
            return _broken(population, self.config, Outcome.INCOMPLETE, error)
        finally:
            self.budget_left()  # what it drew last counts, whichever way it ended


def _broken(population: Population, config: GateConfig, outcome: Outcome, error: PosterngateError) -> Verdict:
    """Return the verdict of a population that could not be measured to its end."""
    rule = population.rule
    planned = rule.rounds  # questions are not known here; the controller counts the rest as not run
    return Verdict(
        rule=rule.name,
        trigger=population.variant,
        candidate=config.candidate,
        outcome=outcome,
        claim=f"{population.name} was not measured to its end",
        evidence=" ".join(str(error).split())[:400],
        next_step="run the same command again: it continues with what is stored",
        ceiling=rule.ceiling,
        planned=planned,
        ledger={Label.NOT_RUN.value: planned},
        details={"measure": rule.measure.value},
    )
