"""`ini.audit` on networks of four libraries at their own start, and on some of them with faults planted.

What is found in a network as it comes is counted as a false alarm, although a few of them are ill. The names are parted
in two by a hash; both halves were looked at while thresholds were set, the fresh ones after they had been run once, and
the unseen ones last of all. Needs timm, torchvision, transformers and diffusers. What is done is kept in a file, so
that it can be done in parts, and limits are seconds of the processor, so that a busy machine leaves nothing out:
``python -m benchmarks.others --seconds 150`` until it does not exit with 2. Exits with 1 if an aim is missed: no crash,
no error, at most 2 % with a warning, 98 % of the planted faults found at the right place, each printed repair a help,
and half of the networks in 1.6 times a forward and backward pass.
"""

import argparse
import copy
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from initnotes.examine import audit, batches

from .zoo import Made, networks

LARGEST, LIMIT, PLANTED_LIMIT = 4e7, 60, 240  # parameters; seconds for a network, and for all faults of one
WARNED, FOUND, TIMES = 0.02, 0.98, 1.6
HOSTS = (
    "words/Bert", "words/GPT2", "words/Llama", "words/T5", "words/OPT", "pictures/ViT", "pictures/Dinov2",
    "pictures/DeiT", "pictures/ResNet", "diffusers/DiTTransformer2DModel", "timm/lcnet_035",
    "torchvision/squeezenet1_1", "timm/mobilenetv3_small_050",
)  # fmt: skip


class LateError(BaseException):  # no audit and no network is to catch it
    """A network that took too long."""


def _late(*_: object) -> None:
    raise LateError("too slow")


def _pass(made: Made) -> None:
    """Run a plain forward and backward pass."""
    parts, named = batches.arguments(made.batch)
    outputs = made.model.train()(*parts, **named)
    (made.loss(outputs) if made.loss else batches.projected(outputs)).backward()
    made.model.zero_grad()


def seen(made: Made) -> dict[str, Any]:
    """Audit a network that has run once; return what was found or raised, and the time in plain passes."""
    start = time.process_time()
    _pass(made)
    passed = time.process_time() - start
    start = time.process_time()
    try:
        report = audit(made.model, made.batch, loss=made.loss, try_fixes=False)
    except LateError:
        raise
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"}
    times = (time.process_time() - start) / passed
    failed = [said for said in report.not_examined if "Error" in said]
    found = [(finding.severity, finding.kind, finding.layer, finding.evidence) for finding in report.findings]
    return {"times": times, "seconds": passed, "found": found, "failed": failed}


# ------------------------------------------------------------------------------------------------------------- faults


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return linear layers and convolutions; Conv1D is a linear layer of transformers."""
    kinds = (nn.Linear, nn.Conv2d)
    return [
        (name, part)
        for name, part in model.named_modules()
        if isinstance(part, kinds) or type(part).__name__ == "Conv1D"
    ]


def _nan(made: Made) -> str:
    name, part = _layers(made.model)[len(_layers(made.model)) // 2]
    part.weight.data.view(-1)[0] = torch.nan
    return name


def _shares(part: nn.Module) -> bool:
    """Whether all units of a layer, more than four, see the same inputs."""
    return len(part.weight) > 4 and getattr(part, "groups", 1) == 1


def _equal(made: Made) -> str:
    name, part = next((name, part) for name, part in _layers(made.model)[1:] if _shares(part))
    nn.init.constant_(part.weight, 0.05)
    return name


def _shut(made: Made) -> str:
    for _, part in _layers(made.model):
        nn.init.zeros_(part.weight)
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    return ""


def _loud(made: Made) -> str:
    name, part = _layers(made.model)[-1]
    part.weight.data.mul_(200)
    return name


def _factor(made: Made) -> str:
    norms = [(name, part) for name, part in made.model.named_modules() if "Norm" in type(part).__name__]
    norms = [(name, part) for name, part in norms if getattr(part, "weight", None) is not None]
    if not norms:
        return "-"
    name, part = norms[len(norms) // 2]
    part.weight.data.fill_(1e6)
    return f"{name}.weight"


def _inputs(made: Made) -> str:
    if not isinstance(made.batch, Tensor) or not made.batch.is_floating_point():
        return "-"
    made.batch.mul_(200)
    return "inputs"


def _off(made: Made) -> str:
    """Shut the units of a layer with a bias of its own, which the audit of the healthy network names."""
    layers = audit(made.model, made.batch, loss=made.loss, try_fixes=False).layers
    can = [record.place for record in layers if record.activation in ("relu", "gelu", "silu") and not record.normalized]
    can = [name for name in can if getattr(made.model.get_submodule(name), "bias", None) is not None]
    if not can:
        return "-"
    made.model.get_submodule(can[0]).bias.data.fill_(-100.0)
    return can[0]


def _bent(made: Made) -> str:
    if made.loss is None or not isinstance(made.batch, Tensor):
        return "-"
    made.model.register_forward_hook(lambda _, __, outputs: outputs.softmax(1))
    return "outputs"


FAULTS: dict[str, tuple[Callable[[Made], str], tuple[str, ...]]] = {
    "a NaN": (_nan, ("not finite",)),
    "equal weights": (_equal, ("symmetric units",)),
    "zeros everywhere": (_shut, ("zero weights",)),
    "a loud head": (_loud, ("weight scale", "initial loss")),
    "a factor of 1e6": (_factor, ("extreme factor",)),
    "inputs of size 200": (_inputs, ("unscaled inputs",)),
    "a bias of -100": (_off, ("dead units",)),
    "a second softmax": (_bent, ("output activation",)),
}


def planted(name: str, make: Callable[[], Made]) -> Iterator[tuple[str, bool, int, int, list[str]]]:
    """Yield each fault that this network can have, whether it is found there, how many of the printed repairs help."""
    for fault, (plant, kinds) in FAULTS.items():
        torch.manual_seed(0)
        made = make()
        made = made._replace(batch=copy.deepcopy(made.batch))
        where = plant(made)
        if where == "-":
            continue
        report = audit(made.model, made.batch, loss=made.loss)
        own = [finding for finding in report.findings if finding.kind in kinds]
        there = any(not where or where in (finding.layer, *finding.layers) for finding in own)
        printed = [finding for finding in report.findings if finding.fix and finding.severity != "info"]
        printed = [finding for finding in printed if not finding.fix.startswith("#")]
        good = ("tried on a copy: cures", "tried on a copy: helps")
        helps = sum(finding.tried.startswith(good) for finding in printed)
        yield fault, there, helps, len(printed), report.kinds()


def work(makers: Mapping[str, tuple[str, Callable[[], Made]]]) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield each thing to do, under its name."""
    for name in HOSTS:
        yield f"{name} planted", partial(_planted, name, makers[name][1])
    for name, (which, make) in makers.items():
        half = which or f"half {int(sha256(name.encode()).hexdigest(), 16) % 2}"
        yield name, partial(_seen_or_left, half, make)


def _seen_or_left(half: str, make: Callable[[], Made]) -> dict[str, Any]:
    try:
        made = make()
        if sum(own.numel() for own in made.model.parameters()) > LARGEST:
            return {"left": "too large"}
        _pass(made)
    except Exception as error:
        return {"left": f"{type(error).__name__}: {str(error)[:200]}"}
    return {"half": half} | seen(made)


def _planted(name: str, make: Callable[[], Made]) -> dict[str, Any]:
    return {"host": name, "faults": list(planted(name, make))}


def proceed(path: Path, seconds: float, half: str = "") -> bool:
    """Do what the file does not hold yet, a line each, for so many seconds; return whether all is done.

    If `half` is "planted" or the name of a list, only that is done.
    """
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set()
    until = time.monotonic() + seconds
    makers = {name: (which, make) for name, which, make in networks()}
    todo = [(name, step) for name, step in work(makers) if name not in done]
    if half:
        of = {name: which for name, (which, _) in makers.items()}
        todo = [(name, step) for name, step in todo if half == of.get(name, "planted")]
    signal.signal(signal.SIGPROF, _late)
    for name, step in tqdm(todo, unit=" networks"):
        if time.monotonic() > until:
            return False
        torch.manual_seed(0)
        signal.setitimer(signal.ITIMER_PROF, PLANTED_LIMIT if name.endswith(" planted") else LIMIT)
        try:
            row = step()
        except LateError as error:
            row = {"left": str(error)}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        with path.open("a") as file:
            file.write(json.dumps({"name": name} | row) + "\n")
    return True


def told(rows: Sequence[dict[str, Any]]) -> int:
    """Print what was found; return 1 if an aim is missed."""
    missed = 0
    for half in ("half 0", "half 1", "fresh", "unseen"):
        own = [row for row in rows if row.get("half") == half]
        broken = [row for row in own if "raised" in row or row["failed"]]
        of = {
            severity: [row for row in own if any(found[0] == severity for found in row.get("found", ()))]
            for severity in ("error", "warning")
        }
        missed += bool(broken or of["error"] or len(of["warning"]) > WARNED * len(own))
        counts = f"{len(broken)} crashes, {len(of['error'])} errors, {len(of['warning'])} warned of"
        times = median([row["times"] for row in own if "times" in row] or [math.nan])
        print(f"{half}: {len(own)} networks, {counts}, {times:.2f} times a forward and backward pass in the median")
        for row in (*broken, *of["error"], *of["warning"]):
            print(f"  {row['name']}: {row.get('raised') or row['failed'] or ''}")
            print(*[f"    {' '.join(found[:3])}: {found[3]}" for found in row["found"] if found[0] != "info"], sep="\n")
    timed = [row for row in rows if "times" in row]
    times = median([row["times"] for row in timed] or [math.nan])
    print(f"an audit takes {times:.2f} times a forward and backward pass in the median (aim {TIMES:g})")
    for low, high in ((0, 0.03), (0.03, 0.1), (0.1, 0.3), (0.3, 99)):
        own = [row["times"] for row in timed if low <= row["seconds"] < high]
        print(f"  of passes of {low:g} to {high:g} s: {median(own or [math.nan]):.2f} ({len(own)} networks)")
    left = [row for row in rows if "left" in row]
    print(f"left out: {len(left)}", *[f"  {row['name']}: {row['left']}" for row in left], sep="\n")
    faults = [(row["host"], *found) for row in rows for found in row.get("faults", ())]
    found, helped, printed = (sum(row[at] for row in faults) for at in (2, 3, 4))
    print(
        f"{found} of {len(faults)} planted faults found where they are, in {len({row[0] for row in faults})} networks"
    )
    print(f"{helped} of {printed} printed repairs help")
    for name, fault, there, helps, prints, kinds in faults:
        if not there or helps < prints:
            print(
                f"  {name}: {fault}: {'' if there else 'missed'} {'' if helps == prints else 'does not help'}, {kinds}"
            )
    return int(missed > 0 or times > TIMES or found < FOUND * len(faults) or helped < printed)


def main() -> int:
    """Go on with what the file holds; when all is done, print it and return 1 if an aim is missed, else 2."""
    parser = argparse.ArgumentParser(description="Audit the networks of other people.")
    parser.add_argument("--into", type=Path, default=Path("_build/others.jsonl"), help="what is done is kept here")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so many, and go on another time")
    parser.add_argument("--only", default="", help='"planted", "fresh" or "unseen"')
    options = parser.parse_args()
    options.into.parent.mkdir(exist_ok=True)
    if not proceed(options.into, options.seconds, options.only):
        return 2
    return told([json.loads(line) for line in options.into.read_text().splitlines()])


if __name__ == "__main__":
    sys.exit(main())
