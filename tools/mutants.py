"""``make mutants``: plant a fault in a formula, a sign or a threshold, and demand that a test fails for it.

What lives here plants faults and runs tests; what is right, the tests say. Each row of `MUTANTS` is one fault and one
quick test. The test runs in a child that is forked after the heavy imports and compiles the changed text in place of
the room's own, so no file is written and each fault costs a second at most. ``python -m tools.mutants theory _adam``
plants those whose row contains one of the words.
"""

from __future__ import annotations

import ast
import gc
import importlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from .files import ROOT

LIMIT = 60  # seconds that a child may take
HEAVY = (
    "torch",
    "torch._dynamo",
    "scipy.stats",
    "scipy.optimize",
    "mpmath",
    "hypothesis",
    "playwright.sync_api",
    "tools.system_parts",
)
OPTIONS = ("-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:logging", f"--rootdir={ROOT}")
PASSED, KILLED, BROKEN = range(3)  # how a child ends: no test failed, one by an assertion, or anything else


class Mutant(NamedTuple):
    """A fault: `new` for `old` in the one place of the Python files of `where`, a folder or a file, where `old` stands.

    If `old` is a name, it is that of a module's constant, and `new` is its value.
    """

    where: str
    old: str
    new: str
    test: str  # pytest's node, which must fail by an assertion

    def __str__(self) -> str:
        return f"{self.old!r} -> {self.new!r} in {self.where}, which {self.test} should see"


class StaleError(Exception):
    """A mutant whose text no longer stands in exactly one place."""


_THEORY, _NETWORKS, _EXAMINE = "initnotes/theory", "initnotes/networks", "initnotes/examine"
MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "initnotes/schemes.py",
        'he_normal = Scheme(scale=2, mode="fan_in", distribution="normal")',
        'he_normal = Scheme(scale=2, mode="fan_out", distribution="normal")',
        "tests/test_schemes.py::test_named_schemes_have_the_papers_variance_and_law",
    ),
    Mutant(
        "initnotes/schemes.py",
        '"fan_avg": (fan_in + fan_out) / 2',
        '"fan_avg": fan_in + fan_out',
        "tests/test_schemes.py::test_variance_times_fan_is_the_scale",
    ),
    Mutant(
        "initnotes/schemes.py",
        "draws /= _CUT_STD",
        "draws *= _CUT_STD",
        "tests/test_schemes.py::test_every_mode_and_distribution",
    ),
    Mutant(
        "initnotes/schemes.py",
        "np.copysign(self.gain, np.diagonal(r, axis1=-2, axis2=-1))",
        "np.abs(np.copysign(self.gain, np.diagonal(r, axis1=-2, axis2=-1)))",
        "tests/test_schemes.py::test_orthogonal_is_haar_distributed",
    ),
    Mutant(
        "initnotes/elementwise.py",
        "return decay / (1 + decay) ** 2",
        "return decay / (1 + decay)",
        "tests/test_activations.py::TestNamed::test_derivative_equals_autograd_also_at_the_kink",
    ),
    Mutant(
        _THEORY,
        "return sigma_w**2 * means.square(q, strict=strict) + sigma_b**2",
        "return sigma_w**2 * means.square(q, strict=strict) + sigma_b",
        "tests/test_theory.py::test_piecewise_linear_moments",
    ),
    Mutant(
        _THEORY,
        "return sigma_w**2 * float(means.slope_square(q, strict=True))",
        "return sigma_w * float(means.slope_square(q, strict=True))",
        "tests/test_theory.py::test_facts_on_tanh",
    ),
    Mutant(
        _THEORY,
        "return _kept(act) if act.closed else Means(act)",
        "return _kept(act)",
        "tests/test_theory_callables.py::test_a_global_that_changes_gives_the_new_answer",
    ),
    Mutant(
        _THEORY,
        "return np.where(np.abs(shift) <= step / 256, middle + shift, middle)",
        "return middle",
        "tests/test_theory_callables.py::test_kinks_and_jumps_are_located",
    ),
    Mutant(
        _THEORY,
        "return -1 / math.log(rate) if rate > 0 else 0.0",
        "return 1 / math.log(rate) if rate > 0 else 0.0",
        "tests/test_theory.py::test_ordered_depth_scales_of_tanh",
    ),
    Mutant(
        _THEORY,
        "return mean**-0.5",
        "return 1 / mean",
        "tests/test_theory.py::test_facts_on_tanh",
    ),
    Mutant(
        _THEORY,
        "zip(down[:0:-1], slopes[::-1], strict=True)",
        "zip(up[:0:-1], slopes[::-1], strict=True)",
        "tests/test_profile.py::test_sizes_are_those_of_networks",
    ),
    Mutant(
        _THEORY,
        "signal[layer] = scale * h + bias",
        "signal[layer] = scale * h",
        "tests/test_profile.py::test_sizes_are_those_of_networks",
    ),
    Mutant(
        _THEORY,
        "variances = start + square * _size(act, norm) * np.arange(blocks)",
        "variances = start + square * _size(act, norm) * np.arange(1, blocks + 1)",
        "tests/test_normalization.py::test_residual_gradients_grow_as_predicted",
    ),
    Mutant(
        _NETWORKS,
        "root = (v / (1 - beta_2**t)).sqrt_().add_(eps)",
        "root = v.sqrt().add_(eps)",
        "tests/test_training.py::test_every_replica_trains_as_torch_does",
    ),
    Mutant(
        _NETWORKS,
        "minus_one = torch.full(at.shape, -1.0,",
        "minus_one = torch.full(at.shape, 1.0,",
        "tests/test_training.py::test_losses_and_their_gradients",
    ),
    Mutant(
        _NETWORKS,
        ".clamp(max=1.0)",
        ".clamp(max=2.0)",
        "tests/test_training.py::test_clipping_is_that_of_torch_replica_by_replica",
    ),
    Mutant(
        _NETWORKS,
        "delta * signals.masks[layer - 1] * self.activation.derivative(z)",
        "delta * self.activation.derivative(z)",
        "tests/test_networks.py::test_dropout_masks_act_forward_and_backward",
    ),
    Mutant(
        _NETWORKS,
        "exponent - 20)",
        "exponent - 30)",
        "tests/test_networks.py::test_the_order_of_the_inner_dimension_changes_no_bit",
    ),
    Mutant(
        _NETWORKS,
        "c = f * c + i * g.tanh()",
        "c = i * c + f * g.tanh()",
        "tests/test_recurrent.py::test_lstm_agrees_with_torch_forward_and_backward",
    ),
    Mutant(_EXAMINE, "LOSS_WARNING", "6.0", "tests/test_thresholds.py::test_the_initial_loss"),
    Mutant(_EXAMINE, "LOSS_ERROR", "60.0", "tests/test_thresholds.py::test_the_initial_loss"),
    Mutant(
        _EXAMINE,
        "min(0.5, 0.3 /",
        "min(0.5, 0.03 /",
        "tests/test_thresholds.py::test_the_fix_of_the_initial_loss_leaves_logits_of_about_a_third",
    ),
    Mutant(_EXAMINE, "SATURATED_WARNING", "0.6", "tests/test_thresholds.py::test_saturated_units"),
    Mutant(_EXAMINE, "SATURATED_ERROR", "0.99", "tests/test_thresholds.py::test_saturated_units"),
    Mutant(
        _EXAMINE,
        '{"sigmoid": 4.6, "tanh": 3.0}',
        '{"sigmoid": 9.2, "tanh": 3.0}',
        "tests/test_thresholds.py::test_saturated_gates",
    ),
    Mutant(
        _EXAMINE,
        '{"sigmoid": 4.6, "tanh": 3.0}',
        '{"sigmoid": 4.6, "tanh": 6.0}',
        "tests/test_thresholds.py::test_saturated_gates",
    ),
    Mutant(_EXAMINE, "SCALE_LOW_ERROR", "1e-9", "tests/test_thresholds.py::test_the_scale_of_weights"),
    Mutant(_EXAMINE, "SCALE_HIGH_ERROR", "1e9", "tests/test_thresholds.py::test_the_scale_of_weights"),
    Mutant(
        "initgrade/sampling.py",
        "freedom, half = 2 * size / (kurtosis - 1), np.asarray(total) / (kurtosis - 1)",
        "freedom, half = size, np.asarray(total) / 2",
        "tests/test_judging.py::test_variance_fails_uniform_draws_at_most_twice_as_often",
    ),
    Mutant(
        "initgrade/sampling.py",
        "return np.minimum(1.0, 2 * special.smirnov(size, apart))",
        "return np.minimum(1.0, special.smirnov(size, apart))",
        "tests/test_judging.py::test_law_fails_draws_of_that_law_as_often_as_it_says",
    ),
    Mutant(
        "initgrade/sampling.py",
        "ALPHA",
        "1e-300",
        "tests/test_judging.py::test_law_catches_wrong_laws",
    ),
    Mutant(
        "initgrade/judging.py",
        "atol + rtol * np.abs(target)",
        "atol + rtol",
        "tests/test_judging.py::test_close_names_the_first_number_that_is_off",
    ),
    Mutant(
        "initgrade/judging.py",
        "(len(right) / len(marks) - guess) / (1 - guess)",
        "len(right) / len(marks)",
        "tests/test_judging.py::test_shares_are_counted_without_what_a_guess_gets",
    ),
    Mutant(
        "initgrade/lateness.py",
        "math.ceil((at - due - extension_days * _DAY) / _DAY)",
        "math.floor((at - due - extension_days * _DAY) / _DAY)",
        "tests/test_lateness.py::test_days_that_were_begun_count",
    ),
    Mutant(
        "initgrade/lateness.py",
        "if days > late.most_days:",
        "if days >= late.most_days:",
        "tests/test_lateness.py::test_what_days_cost_and_in_words",
    ),
)


@dataclass(frozen=True)
class Planted(MetaPathFinder):
    """Finds the one module whose text was changed."""

    path: Path
    text: str

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Answer for that module only."""
        parts = [part for part in self.path.relative_to(ROOT).with_suffix("").parts if part != "__init__"]
        if fullname != ".".join(parts):
            return None
        return spec_from_file_location(fullname, self.path, loader=_Changed(fullname, str(self.path), self.text))


class _Changed(SourceFileLoader):
    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec")


def changed(text: str, mutant: Mutant) -> list[str]:
    """Return a module's text with the fault, for each place where it can stand."""
    if not mutant.old.isidentifier():
        starts = [match.start() for match in re.finditer(re.escape(mutant.old), text)]
        return [text[:start] + mutant.new + text[start + len(mutant.old) :] for start in starts]
    lines = text.splitlines(keepends=True)
    bound = [node for node in ast.parse(text).body if isinstance(node, ast.Assign | ast.AnnAssign)]
    ends = [node.end_lineno for node in bound if mutant.old in _targets(node)]
    return ["".join([*lines[:end], f"{mutant.old} = {mutant.new}\n", *lines[end:]]) for end in ends]


def _targets(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def plant(mutant: Mutant) -> Planted:
    """Return the finder of the changed module; raise StaleError unless there is exactly one place for the fault."""
    start = ROOT / mutant.where
    files = [start] if start.is_file() else sorted(start.rglob("*.py"))
    texts = ((path, path.read_text(encoding="utf-8")) for path in files)
    found = [Planted(path, new) for path, text in texts if mutant.old in text for new in changed(text, mutant)]
    if len(found) != 1:
        raise StaleError(f"{mutant.old!r} stands {len(found)} times in {mutant.where}; it must stand there once")
    return found[0]


class _Failures:
    """A plugin of pytest that keeps what tests raised."""

    def __init__(self) -> None:
        self.raised: list[BaseException] = []

    def pytest_exception_interact(self, call: Any) -> None:
        self.raised.append(call.excinfo.value)


def outcome(nodes: Sequence[str], planted: Planted | None) -> int:
    """Run tests in this process, with a fault or without; it cannot be used for others afterwards."""
    import pytest

    if planted:
        sys.meta_path.insert(0, planted)
    failures = _Failures()
    code = pytest.main([*OPTIONS, *nodes], plugins=[failures])
    if code == pytest.ExitCode.OK:
        return PASSED
    asserted = all(isinstance(error, AssertionError | pytest.fail.Exception) for error in failures.raised)
    return KILLED if code == pytest.ExitCode.TESTS_FAILED and asserted else BROKEN


@dataclass(frozen=True)
class Job:
    """Tests to run, the fault to run them with if any, and how that must end."""

    name: str
    nodes: tuple[str, ...]
    planted: Planted | None
    wanted: int


def jobs(mutants: Sequence[tuple[int, Mutant]]) -> list[Job]:
    """Return a job for each mutant, and one for each file of tests as the code stands; raise StaleError."""
    files: dict[str, list[str]] = {}
    found = []
    for number, mutant in mutants:
        try:
            found.append(Job(f"mutant {number}: {mutant}", (mutant.test,), plant(mutant), KILLED))
        except StaleError as error:
            raise StaleError(f"mutant {number} no longer applies: {error}") from None
        files.setdefault(mutant.test.partition("::")[0], []).append(mutant.test)
    plain = [
        Job(f"{file} without a mutant", tuple(dict.fromkeys(nodes)), None, PASSED) for file, nodes in files.items()
    ]
    return plain + found


def _child(job: Job, scratch: Path) -> NoReturn:
    """End this process with the job's outcome; all that it says and makes goes to `scratch`."""
    code = BROKEN
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends its children
        signal.alarm(LIMIT)
        tempfile.tempdir = str(scratch)
        said = os.open(scratch / "said.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        code = outcome(job.nodes, job.planted)
        sys.stdout.flush()
    finally:
        os._exit(code)


def run(waiting: Sequence[Job], scratch: Path, at_once: int) -> Iterator[tuple[Job, int, str]]:
    """Run each job in a child of its own, and yield it with how it ended and what it said."""
    left, running = list(waiting), {}
    try:
        while left or running:
            while left and len(running) < at_once:
                job, own = left.pop(0), Path(tempfile.mkdtemp(dir=scratch))
                pid = os.fork()
                if not pid:
                    _child(job, own)
                running[pid] = job, own
            pid, status = os.wait()
            job, own = running.pop(pid)
            yield job, os.waitstatus_to_exitcode(status), (own / "said.txt").read_text(encoding="utf-8")
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def verdict(job: Job, code: int, said: str) -> str:
    """Return what is wrong with how a job ended, or nothing."""
    if code == job.wanted:
        return ""
    if code == PASSED:
        return f"SURVIVED: {job.name}"
    failed, unlike = ("FAILED", "did not pass") if job.wanted == PASSED else ("UNCLEAR", "did not fail by an assertion")
    why = f"took longer than {LIMIT} s" if code == -signal.SIGALRM else unlike
    return f"{failed}: {job.name} {why}\n{said}"


def prepare() -> None:
    """Import what all children need; none of the packages that mutants change."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in HEAVY:
        importlib.import_module(name)
    hypothesis = importlib.import_module("hypothesis")
    phases = hypothesis.Phase.explicit, hypothesis.Phase.generate  # any example will do, not the smallest
    hypothesis.settings.register_profile("mutants", phases=phases, report_multiple_bugs=False, database=None)
    hypothesis.settings.load_profile("mutants")
    gc.freeze()  # what is here stays: no child looks through it
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("initnotes", "initgrade")]
    assert not loaded, f"no fault can be planted in what is imported already: {loaded}"


def main(words: Sequence[str]) -> int:
    from tqdm import tqdm

    chosen = [
        (number, mutant)
        for number, mutant in enumerate(MUTANTS, start=1)
        if not words or any(word in field for word in words for field in mutant)
    ]
    if not chosen:
        sys.exit(f"no mutant's row contains {' or '.join(map(repr, words))}")
    try:
        waiting = jobs(chosen)
    except StaleError as error:
        sys.exit(f"{error}. Mend its row in tools/mutants.py")
    prepare()
    tqdm.monitor_interval = 0  # no thread beside those who fork
    wrong, done = [], 0
    try:
        with tempfile.TemporaryDirectory() as scratch, tqdm(total=len(waiting), unit="run", disable=None) as bar:
            for ended in run(waiting, Path(scratch), os.cpu_count() or 1):
                wrong += [text] if (text := verdict(*ended)) else []
                done += 1
                bar.update()
    except KeyboardInterrupt:
        print(f"\nInterrupted after {done} of {len(waiting)} runs.")
    print(*wrong, f"{len(chosen)} mutants, {len(wrong)} of {done} runs did not end as they must.", sep="\n")
    return 0 if done == len(waiting) and not wrong else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
