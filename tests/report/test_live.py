"""Live progress."""

from __future__ import annotations

import io

from posterngate.report.live import LiveProgress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def event(name: str, done: int, **changes: object) -> dict[str, object]:
    """Return one progress event."""
    fields = {
        "population": name,
        "planned": 96,
        "done": done,
        "unsafe": 1,
        "tokens": done * 30,
        "seconds": 1.0,
    }
    return {**fields, "state": "sampling", **changes}


def test_a_log_gets_a_line_every_fifteen_seconds() -> None:
    """Not a terminal: events in between are silent, no escape is written."""
    clock, stream = Clock(), io.StringIO()
    with LiveProgress(stream, populations=3, clock=clock) as live:
        for _ in range(60):
            clock.now += 1
            live.update(event("a", 48))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "gate: rules 0/3, samples 48/96, unsafe 2.1%, 96 tokens/s, 15 s"
    assert "\x1b" not in stream.getvalue()


def test_totals_are_summed_over_populations() -> None:
    """Counts of populations add up, finished ones are counted, and cost appears once known."""
    clock = Clock()
    live = LiveProgress(io.StringIO(), clock=clock)
    live.update(event("a", 96, state="done"))
    live.update(event("b", 0, unsafe=0, cost=1.5))
    clock.now += 60
    assert live.line() == "gate: rules 1/2, samples 96/192, unsafe 1.0%, 48 tokens/s, 1 min 00 s, cost 1.50"


def test_nothing_sampled_is_no_data() -> None:
    """Before the first answer there is no rate."""
    assert "unsafe no data" in LiveProgress(io.StringIO(), clock=Clock()).line()


def test_a_terminal_shows_running_populations() -> None:
    """On a terminal the display names what runs, hides what is done and cuts the rest."""
    stream = io.StringIO()
    with LiveProgress(stream, populations=12, terminal=True, clock=Clock()) as live:
        live.update(event("finished", 96, state="done"))
        for number in range(11):
            live.update(event(f"rule-{number}\x1b]0;x\x07", number))
    shown = stream.getvalue()
    assert "rule-0" in shown
    assert "and 3 more" in shown
    assert "finished" not in shown.split("rule-0")[-1]
    assert "\x1b]0;x" not in shown
