"""Where populations are measured: in the controller, one thread for each worker that asks.

A worker that measured by itself would load the request client, the database and the statistics once more:
with eight of them on two cores that took longer than ten thousand answers, and most of the memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from posterngate.errors import EndpointError, UsageError

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["Measuring"]


class Measuring:
    """Measures populations by name for any number of callers at once.

    Args:
        open_bench: joins the run once more; as many benches exist as populations are measured at a time.
    """

    def __init__(self, open_bench: Callable[[], Bench]) -> None:
        self._open_bench = open_bench
        self._changed = threading.Condition()
        self._idle: list[Bench] = []
        self._busy = 0
        self._ended = False

    def call(self, body: dict[str, Any]) -> dict[str, Any]:
        """Measure the population called ``name``.

        Returns:
            ``{"verdict": Verdict.as_dict()}``, or ``{"excluded": reason}`` where the policy leaves it out.

        Raises:
            UsageError: there is no such population, or it cannot be measured as it is declared.
            EndpointError: the run is ending.
        """
        bench = self._take()
        try:
            return _measure(bench, str(body["name"]))
        finally:
            self._give_back(bench)

    def _take(self) -> Bench:
        with self._changed:
            if self._ended:
                raise EndpointError("run=(ending): nothing more is measured; start it again to continue")
            self._busy += 1
            if self._idle:
                return self._idle.pop()
        try:
            return self._open_bench()
        except BaseException:
            with self._changed:
                self._busy -= 1
            raise

    def _give_back(self, bench: Bench) -> None:
        with self._changed:
            self._busy -= 1
            self._idle.append(bench)
            self._changed.notify_all()

    def close(self, patience_s: float = 5.0) -> None:
        """Refuse further calls, wait for those under way, close the benches that are free.

        A worker that was killed leaves its measurement under way; what it draws after the patience has
        ended is stored no more, as if the whole run had been killed.
        """
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: not self._busy, patience_s)
            while self._idle:
                self._idle.pop().close()


def _measure(bench: Bench, name: str) -> dict[str, Any]:
    population = next((p for p in bench.manifest.populations if p.name == name), None)
    if population is None:
        raise UsageError(f"population={name}: the policy has none of this name; collect the tests again")
    if reason := bench.excluded.get(population.rule.name):
        return {"excluded": reason}
    return {"verdict": bench.measure(population).as_dict()}
