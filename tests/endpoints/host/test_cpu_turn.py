"""Turns at the processor."""

import threading
import time

from posterngate.endpoints.host import cpu_turn
from posterngate.endpoints.host.cpu_turn import CpuTurn


def test_only_one_holds_the_turn(tmp_path):
    """A second taker waits until the first leaves."""
    order = []
    first, second = CpuTurn(tmp_path / "lock"), CpuTurn(tmp_path / "lock")
    first.take()

    def wait():
        with second:
            order.append("second")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    order.append("first leaves")
    first.leave()
    thread.join(5)
    assert order == ["first leaves", "second"]


def test_a_long_turn_lets_others_in(tmp_path, monkeypatch):
    """Who keeps taking gives way now and then without leaving."""
    monkeypatch.setattr(cpu_turn, "_LONGEST_S", 0.05)
    greedy, patient = CpuTurn(tmp_path / "lock"), CpuTurn(tmp_path / "lock")
    got_it = threading.Event()

    def wait():
        with patient:
            got_it.set()

    greedy.take()
    thread = threading.Thread(target=wait)
    thread.start()
    end = time.monotonic() + 5
    while not got_it.is_set() and time.monotonic() < end:
        greedy.take()
        time.sleep(0.005)
    greedy.leave()
    thread.join(5)
    assert got_it.is_set()


def test_without_a_file_there_are_no_turns():
    """On a GPU nobody waits."""
    turn = CpuTurn(None)
    with turn, CpuTurn(None):
        turn.leave()
        turn.take()
    assert turn._lock is None
