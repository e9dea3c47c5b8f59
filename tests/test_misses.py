"""Where theory misses a measurement: the causes are the book's, and the ledger's sentences are what its numbers say."""

import pytest

import initnotes as ini
from initnotes.book.misses import CAUSES, misses
from tools.notebooks import ROOT


@pytest.fixture(scope="module")
def ledger() -> ini.ledger.Ledger:
    return ini.ledger.read(ROOT / "book")


def test_each_cause_belongs_to_a_miss_and_mends_it(ledger: ini.ledger.Ledger) -> None:
    measured = {(number, piece.what): piece for number, piece in ledger.measurements()}
    for key, cause in CAUSES.items():
        assert measured[key].missed_by > 0  # the short formula's number is outside, so "yes" is no matter of course
        if cause.mended:
            assert cause.holds(measured[key]).endswith("yes")


def test_a_cause_that_does_not_mend_is_told(ledger: ini.ledger.Ledger) -> None:
    key = (24, "sigmoid: gradient, a layer")
    (piece,) = [piece for number, piece in ledger.measurements() if (number, piece.what) == key]
    assert CAUSES[6, "equal, n = 256, log10: claimed -9"].holds(piece).endswith("no")


def test_the_table_has_every_miss_and_no_other(ledger: ini.ledger.Ledger) -> None:
    def lies_outside(piece: ini.claims.Evidence) -> bool:
        low, high = piece.interval
        return piece.drawn and bool(piece.theory) and not low <= piece.theory <= high  # type: ignore[operator]

    found = [f"{number}: {piece.what}" for number, piece in ledger.measurements() if lies_outside(piece)]
    shown = [row[0].replace("σ_", "sigma_") for row in misses(ledger).rows]
    assert sorted(shown) == sorted(found)
    with pytest.raises(ValueError, match="nothing to list"):
        misses(ledger.where(words="xylophone"))


def test_what_the_chapter_says_is_so(ledger: ini.ledger.Ledger) -> None:
    settled = [claim for claim in ledger if claim.chapter]
    plain = [claim.number for claim in settled if claim.verdict == "holds"]
    assert 25 in plain
    assert len(plain) < 0.1 * len(settled)  # the answer (c)
    assert ledger[5].verdict == "holds when"
    assert ini.ledger.expected_verdict(ledger[5].expected) == "holds"
    compared = [(number, piece) for number, piece in ledger.measurements() if piece.of_theory]
    missed = [(number, piece.missed_by) for number, piece in compared if piece.missed_by]
    assert len(compared) / 1000 / len(missed) < 0.05  # more than chance makes
    assert {number for number, by in missed if by >= 0.1} == {63}  # "by less than a tenth; but for claim 63"
