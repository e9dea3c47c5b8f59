"""``import initnotes`` is fast, loads nothing heavy, and helps with names that it does not have."""

import subprocess
import sys

import pytest

import initnotes

HEAVY = ("torch", "scipy", "matplotlib.pyplot", "sklearn")
LIMIT = 0.25  # seconds of the processor more than a bare interpreter
ROUNDS = 8


def fresh(statement: str) -> str:
    """Return what a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True).stdout


def seconds(statement: str) -> float:
    """Return the processor's time in a fresh interpreter: what else runs on the machine does not count."""
    return float(fresh(f"{statement}\nimport time; print(time.process_time())"))


def test_loads_nothing_heavy() -> None:
    loaded = fresh(f"import sys, initnotes; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_heavy_package_would_be_seen() -> None:
    loaded = fresh(f"import sys, initnotes, scipy; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "['scipy']"


def own_seconds(statement: str, rounds: int = ROUNDS) -> float:
    """Return what `statement` takes: a crowded processor only makes a run longer, so the shortest count."""
    pairs = [(seconds(statement), seconds("pass")) for _ in range(rounds)]
    return min(own for own, _ in pairs) - min(bare for _, bare in pairs)


def test_is_fast() -> None:
    assert own_seconds("import initnotes") <= LIMIT


def test_slow_import_would_be_seen() -> None:
    assert own_seconds(f"import initnotes, time\nwhile time.process_time() < 2 * {LIMIT}: pass", rounds=3) > LIMIT


@pytest.mark.parametrize("name", initnotes.__all__)
def test_public_name_resolves(name: str) -> None:
    assert getattr(initnotes, name) is not None
    assert name in dir(initnotes)


def test_unknown_name_is_explained() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'theorie'.*theory"):
        initnotes.theorie  # noqa: B018


def test_frameworks_load_no_library_until_one_is_used() -> None:
    statement = "import sys; from initnotes import frameworks; frameworks.translate('he_normal', 'keras', 'torch')"
    names = ("torch", "keras", "jax", "flax", "scipy")
    assert fresh(f"{statement}; print([name for name in {names} if name in sys.modules])").strip() == "[]"
