"""``make drift``: compare every stored output again under settings that change the bits of floating-point results.

Another processor sums in another order, so the last bits differ. A number on a page must not depend on them. Each
setting runs nbval on all chapters. A canary, a small training whose final bits are hashed, shows that the settings do
change bits on this machine: where none does, the check proves nothing and fails.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .notebooks import CELL_TIMEOUT, ROOT, chapters, own_folders

_NUMPY = " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))  # what NumPy chooses from here
SETTINGS: dict[str, dict[str, str]] = {  # "plain" is as in `make test`, on one thread
    "plain": {},
    "ATEN_CPU_CAPABILITY=default": {"ATEN_CPU_CAPABILITY": "default"},
    "ATEN_CPU_CAPABILITY=avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "MKL_CBWR=COMPATIBLE": {"MKL_CBWR": "COMPATIBLE"},
    "NumPy's baseline": {"NPY_DISABLE_CPU_FEATURES": _NUMPY},
    "OMP_NUM_THREADS=2": {"OMP_NUM_THREADS": "2"},
}
SLOWDOWN = 5  # plain instructions without vectors are that much slower at most

CANARY = """
import hashlib, numpy, torch
rng = torch.Generator().manual_seed(1)
weights = [torch.randn(64, 64, generator=rng, dtype=torch.float64).div(8).requires_grad_() for _ in range(10)]
inputs = torch.randn(64, 64, generator=rng, dtype=torch.float64)
for _ in range(20):
    hidden = inputs
    for weight in weights:
        hidden = torch.tanh(hidden @ weight.T)
    gradients = torch.autograd.grad(hidden.square().mean(), weights)
    weights = [(w - 0.1 * g).detach().requires_grad_() for w, g in zip(weights, gradients)]
arrays = [w.detach().numpy() for w in weights] + [numpy.tanh(inputs.numpy()), numpy.exp(inputs.numpy())]
print(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
"""


@dataclass
class Row:
    """What one setting did: the canary's bits, and how the notebooks compared."""

    setting: str
    bits: str
    same: bool
    seconds: float


def environment(setting: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with one thread, and only `setting` of the variables that any setting sets."""
    touched = {name for other in SETTINGS.values() for name in other}
    left = {name: value for name, value in os.environ.items() if name not in touched}
    return left | {"OMP_NUM_THREADS": "1"} | dict(setting)


def canary(setting: Mapping[str, str]) -> str:
    """Return a hash of the bits that a small training ends with, in a fresh process under `setting`."""
    command = [sys.executable, "-c", CANARY]
    return subprocess.run(command, env=environment(setting), capture_output=True, text=True, check=True).stdout.strip()


def compare(setting: Mapping[str, str]) -> tuple[bool, str]:
    """Run nbval on every chapter under `setting`; return whether all outputs were the stored ones, and the report."""
    timeout, where = f"--nbval-cell-timeout={CELL_TIMEOUT * SLOWDOWN}", environment(setting)
    workers = max(1, (os.cpu_count() or 1) // int(where["OMP_NUM_THREADS"]))  # threads beyond the cores wait for long
    nbval = ["--nbval", "--nbval-current-env", timeout, "-n", str(workers), "--dist", "loadscope"]
    command = [sys.executable, "-m", "pytest", "-q", *nbval, *(str(path) for path in chapters())]
    done = subprocess.run(command, cwd=ROOT, env=where, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def any_bit_changed(bits: Mapping[str, str]) -> bool:
    """Return whether any setting's bits differ from the plain ones."""
    return any(value != bits["plain"] for value in bits.values())


def silence() -> str:
    """Say why no setting changed a bit, as far as PyTorch tells."""
    import torch

    mkl = "has" if torch.backends.mkl.is_available() else "does not have"
    return (
        "No setting changed a bit of the canary: this machine cannot show drift, so nothing is proved.\n"
        f"PyTorch on {platform.machine()} {mkl} MKL, and its ATen level is {torch.backends.cpu.get_cpu_capability()}.\n"
        "Without MKL and without several ATen levels, as on Apple silicon, no setting can change a bit.\n"
        "Run `make drift` on an x86-64 machine."
    )


def table(rows: list[Row]) -> str:
    """Return one line per setting."""
    width = max(len(row.setting) for row in rows)
    lines = [f"{'setting':<{width}}  {'bits':<9}  {'outputs':<9}  seconds"]
    for row in rows:
        changed = "changed" if row.bits != rows[0].bits else "the same"
        outputs = "as stored" if row.same else "DIFFER"
        lines.append(f"{row.setting:<{width}}  {changed:<9}  {outputs:<9}  {row.seconds:7.0f}")
    return "\n".join(lines)


def main() -> int:
    own_folders()
    bits = {name: canary(setting) for name, setting in SETTINGS.items()}
    if not any_bit_changed(bits):
        print(silence())
        return 1
    rows: list[Row] = []
    try:
        for name, setting in SETTINGS.items():
            print(f"{name} ...", flush=True)
            start = time.monotonic()
            same, report = compare(setting)
            rows.append(Row(name, bits[name], same, time.monotonic() - start))
            if not same:
                print(report)
    except KeyboardInterrupt:
        print("\nInterrupted: the table shows what was finished.")
    if rows:
        print(table(rows))
    left = list(SETTINGS)[len(rows) :]
    if left:
        print(f"Not run: {', '.join(left)}.")
    return 0 if not left and all(row.same for row in rows) else 1


if __name__ == "__main__":
    argparse.ArgumentParser("make drift", description=(__doc__ or "").partition("\n")[0]).parse_args()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nInterrupted.")
