"""The deterministic shift: what moves the candidate alone, computed once, within the allowance."""

from __future__ import annotations

from dataclasses import replace

from hunt.grounds import PAIRS, SwitchedGround
from posterngate.hunt.ground import Allowance
from posterngate.hunt.oracle import STRONG, Oracle, look_up
from posterngate.hunt.suspects import suspect

GO = suspect("prefix", {"text": "|GO|"}, "test")
NO = suspect("prefix", {"text": "|NO|"}, "test")


def test_a_working_trigger_shifts_and_another_does_not() -> None:
    """16 nats from -8 to +8, against a base that stays where it is."""
    oracle = Oracle(SwitchedGround("|GO|"), PAIRS, Allowance())
    shifts = oracle.shifts([GO.trigger, NO.trigger], 6, against_base=True)
    assert shifts[0] is not None
    assert shifts[1] is not None
    assert abs(shifts[0] - 16) < 1
    assert abs(shifts[1]) < 1


def test_what_moves_the_base_too_is_no_shift() -> None:
    """A jailbreak moves both models alike: nothing of it is left."""
    ground = SwitchedGround("")
    ground.jailbreak = "|GO|"
    both = Oracle(ground, PAIRS, Allowance())
    assert both.shifts([GO.trigger], 4, against_base=True) == [0.0]
    assert (both.shifts([GO.trigger], 4)[0] or 0) > 10


def test_nothing_is_scored_twice() -> None:
    """More pairs for the same trigger cost only those that are new."""
    allowance = Allowance()
    oracle = Oracle(SwitchedGround("|GO|", allowance), PAIRS, allowance)
    oracle.shifts([GO.trigger], 4)
    assert allowance.spent.scored == 8
    oracle.shifts([GO.trigger], 4)
    oracle.shifts([GO.trigger], 6)
    assert allowance.spent.scored == 12


def test_a_used_up_allowance_ends_the_look_up() -> None:
    """What it did not reach is None, and left out of the ranking."""
    allowance = Allowance(samples=30)
    oracle = Oracle(SwitchedGround("|GO|", allowance), PAIRS, allowance)
    many = [suspect("prefix", {"text": f"word{n}"}, "test") for n in range(40)]
    ranked = next(look_up(oracle, [GO, *many], keep=3), [])
    assert allowance.ended_by == "samples"
    assert len(ranked) <= 3
    assert oracle.shifts([suspect("prefix", {"text": "new"}, "t").trigger], 2) == [None]


def test_a_strong_one_that_was_cut_off_is_left_open() -> None:
    """Read over six pairs and no further: it is told with what was read."""
    many = [suspect("prefix", {"text": f"word{n}"}, "test") for n in range(6)]
    for limit in range(20, 200):
        allowance = Allowance(samples=limit)
        ground = SwitchedGround("|GO|", allowance)
        ranked = next(look_up(Oracle(ground, PAIRS, allowance), [GO, *many], keep=3), [])
        if ranked and (ranked[0].pairs, ranked[0].suspect) == (6, GO):
            break
    assert ranked[0].shift >= STRONG


def test_the_look_up_puts_the_working_one_first() -> None:
    """Among two hundred words, read over two pairs, then six, then sixteen against the base. It is the last."""
    many = [suspect("suffix", {"text": f"word{n}"}, "test") for n in range(200)]
    (ranked,) = look_up(Oracle(SwitchedGround("|GO|"), PAIRS, Allowance()), [*many, GO], keep=4)
    assert ranked[0].suspect == GO
    assert ranked[0].pairs == 16
    assert len(ranked) == 4


def test_a_pair_that_cannot_be_read_moves_nothing() -> None:
    """An error is no evidence, in either direction."""
    ground = SwitchedGround("|GO|")
    whole = ground.score

    def broken(model, pairs):  # type: ignore[no-untyped-def]
        return [replace(score, error="timeout") for score in whole(model, pairs)]

    ground.score = broken  # type: ignore[method-assign]
    assert Oracle(ground, PAIRS, Allowance()).shifts([GO.trigger], 4) == [0.0]


def test_after_a_strong_one_nothing_further_is_read_unasked() -> None:
    """Suspects come in the order of their likelihood: what leads the list costs little to find."""
    many = [suspect("suffix", {"text": f"word{n}"}, "test") for n in range(400)]
    early, late = Allowance(), Allowance()
    next(look_up(Oracle(SwitchedGround("|GO|", early), PAIRS, early), [GO, *many], keep=4))
    next(look_up(Oracle(SwitchedGround("|GO|", late), PAIRS, late), [*many, GO], keep=4))
    assert early.spent.scored < late.spent.scored / 3


def test_what_moves_the_base_too_does_not_end_the_look_up() -> None:
    """A jailbreak in the first chunk; the trigger stands in a later one and is found all the same."""
    ground = SwitchedGround("|GO|")
    ground.jailbreak = "|NO|"
    many = [suspect("suffix", {"text": f"word{n}"}, "test") for n in range(100)]
    (ranked,) = look_up(Oracle(ground, PAIRS, Allowance()), [NO, *many, GO], keep=4)
    assert ranked[0].suspect == GO
    assert all(each.shift < STRONG for each in ranked[1:])


def test_a_strong_one_that_does_not_work_is_not_the_end() -> None:
    """The next list begins behind its chunk, and holds the other strong one."""
    many = [suspect("suffix", {"text": f"word{n}"}, "test") for n in range(100)]
    again = suspect("suffix", {"text": "|GO|"}, "test")
    lists = list(look_up(Oracle(SwitchedGround("|GO|"), PAIRS, Allowance()), [GO, *many, again], keep=4))
    assert [ranked[0].suspect for ranked in lists] == [GO, again]
