"""Live progress on the controller, fed by plain dicts from wherever the work is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from posterngate.report import numbers
from posterngate.report.text_safety import one_line

__all__ = ["LiveProgress"]

DONE = "done"
_QUIET_S = 15.0
_ROWS = 8


class LiveProgress:
    """A display of running populations; on anything but a terminal, a plain line now and then.

    Args:
        stream: where to write.
        populations: how many populations there will be, None if not known yet.
        terminal: draw a live display; by default, whether `stream` is a terminal.
        clock: seconds that only go forward (a test gives its own).
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        populations: int | None = None,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.populations = populations
        self._clock = clock
        self._started = clock()
        self._said = self._started
        self._events: dict[str, dict[str, Any]] = {}
        self._news = ""
        self._lock = threading.Lock()  # events arrive on the threads of the broker
        self._stream = stream
        draw = stream.isatty() if terminal is None else terminal
        console = Console(file=stream, force_terminal=draw, markup=False, emoji=False, highlight=False)
        self._live = Live(console=console, refresh_per_second=4, transient=True) if draw else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, event: Mapping[str, Any]) -> None:
        """Take one event: population, planned, done, unsafe, tokens (so far), seconds, state, cost.

        What an event leaves out stays as it was. ``state`` is free text, and ``done`` ends the
        population. An event with ``message`` and no ``population`` (an endpoint that starts) is shown as the
        latest news.
        """
        with self._lock:
            if "population" in event:
                self._events.setdefault(str(event["population"]), {}).update(event)
            else:
                self._news = one_line(str(event.get("message", "")), 60)
            if self._live is not None:
                self._live.update(self._display())
            elif self._clock() - self._said >= _QUIET_S:
                self._said = self._clock()
                self._stream.write(f"{self.line()}\n")
                self._stream.flush()

    def line(self) -> str:
        """Return the totals on one line."""
        seconds = self._clock() - self._started
        ended = sum(event.get("state") == DONE for event in self._events.values())
        known = self.populations if self.populations is not None else len(self._events)
        done, unsafe = self._total("done"), self._total("unsafe")
        parts = [
            f"rules {ended}/{known}",
            f"samples {numbers.count(done)}/{numbers.count(self._total('planned'))}",
            f"unsafe {numbers.rate(unsafe / done if done else None)}",
            f"{numbers.count(self._total('tokens') / seconds if seconds > 0 else None)} tokens/s",
            numbers.duration(seconds),
        ]
        if any("cost" in event for event in self._events.values()):
            parts.append(f"cost {numbers.money(self._total('cost'))}")
        if self._news and not self._events:
            parts.append(self._news)
        return "gate: " + ", ".join(parts)

    def _total(self, name: str) -> float:
        return sum(float(event.get(name) or 0) for event in self._events.values())

    def _display(self) -> Group:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for title, justify in (("", "left"), ("samples", "right"), ("rate", "right"), ("", "left")):
            table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        active = [event for event in self._events.values() if event.get("state") != DONE]
        for event in active[:_ROWS]:
            done = event.get("done") or 0
            table.add_row(
                Text(one_line(str(event["population"]), 50)),
                numbers.counts(done, event.get("planned")),
                numbers.rate((event.get("unsafe") or 0) / done if done else None),
                Text(one_line(str(event.get("state", "")), 30)),
            )
        if len(active) > _ROWS:
            table.add_row(f"and {len(active) - _ROWS} more", "", "", "")
        return Group(table, Text(self.line(), style="bold"))
