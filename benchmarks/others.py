"""`ini.audit` on networks of four libraries at their own start, and on a dozen of them with faults planted.

What is found in a network as it comes is counted as a false alarm, although a few of them are ill. The names are parted
in two by a hash, and both halves are reported. Needs timm, torchvision, transformers and diffusers. Exits with 1 if an
aim is missed: no crash, no error, at most 2 % with a warning, 98 % of the planted faults found at the right place, and
half of the networks in 1.6 times a forward and backward pass.
"""

import copy
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from statistics import median
from typing import NamedTuple

import torch
from torch import nn
from tqdm import tqdm

from initnotes.examine import Report, audit, batches

from .zoo import Made, networks

LARGEST = 4e7  # parameters
WARNED, FOUND, TIMES = 0.02, 0.98, 1.6
HOSTS = (
    "timm/resnet18", "timm/resnet50", "timm/vgg11", "timm/convnext_atto", "timm/deit_tiny_patch16_224",
    "timm/mixer_s16_224", "timm/efficientnet_b0", "timm/densenet121", "torchvision/alexnet",
    "torchvision/squeezenet1_1", "timm/mobilenetv3_small_050", "timm/regnety_002", "timm/xcit_nano_12_p16_224",
)  # fmt: skip


class Seen(NamedTuple):
    """One network as it comes: its report, or what was raised, and the audit's time in forward and backward passes."""

    name: str
    half: int
    report: Report | None
    raised: str
    times: float


def seen(name: str, made: Made) -> Seen:
    """Audit one network."""
    half = int(sha256(name.encode()).hexdigest(), 16) % 2
    parts, named = batches.arguments(made.batch)
    start = time.process_time()
    outputs = made.model.train()(*parts, **named)
    (made.loss(outputs) if made.loss else batches.projected(outputs)).backward()
    plain = time.process_time() - start
    made.model.zero_grad()
    start = time.process_time()
    try:
        report = audit(made.model, made.batch, loss=made.loss, try_fixes=False)
    except Exception as error:
        return Seen(name, half, None, f"{type(error).__name__}: {error}", 0.0)
    return Seen(name, half, report, "", (time.process_time() - start) / plain)


# ------------------------------------------------------------------------------------------------------------- faults


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    kinds = (nn.Linear, nn.Conv2d)
    return [(name, part) for name, part in model.named_modules() if isinstance(part, kinds) and part.weight.dim() > 1]


def _nan(made: Made) -> str:
    name, part = _layers(made.model)[len(_layers(made.model)) // 2]
    part.weight.data.view(-1)[0] = torch.nan
    return name


def _equal(made: Made) -> str:
    name, part = next((name, part) for name, part in _layers(made.model)[1:] if len(part.weight) > 4)
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
    made.batch.mul_(200)
    return "inputs"


FAULTS: dict[str, tuple[Callable[[Made], str], tuple[str, ...]]] = {
    "a NaN": (_nan, ("not finite",)),
    "equal weights": (_equal, ("symmetric units",)),
    "zeros everywhere": (_shut, ("zero weights",)),
    "a loud head": (_loud, ("weight scale", "initial loss")),
    "a factor of 1e6": (_factor, ("extreme factor",)),
    "inputs of size 200": (_inputs, ("unscaled inputs",)),
}


def planted(name: str, make: Callable[[], Made]) -> Iterator[tuple[str, bool, bool]]:
    """Yield each fault that this network can have, whether it is found there, and whether what is printed helps."""
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
        good = ("tried on a copy: cures", "tried on a copy: helps")
        helps = all(finding.tried.startswith(good) or finding.fix.startswith("#") for finding in printed)
        yield fault, there, helps


def main() -> int:
    """Print what was found; return 1 if an aim is missed."""
    makers, rows, left = dict(networks()), [], Counter[str]()
    for name, make in tqdm(makers.items(), unit=" networks"):
        torch.manual_seed(0)
        try:
            made = make()
        except Exception as error:
            left[f"{name} was not built: {type(error).__name__}"] += 1
            continue
        if sum(own.numel() for own in made.model.parameters()) > LARGEST:
            left["too large"] += 1
            continue
        rows.append(seen(name, made))
    missed = 0
    for half in (0, 1):
        own = [row for row in rows if row.half == half]
        broken = [row for row in own if row.raised]
        errors = [row for row in own if row.report and row.report.kinds("error")]
        warned = [row for row in own if row.report and row.report.kinds("warning")]
        missed += bool(broken or errors or len(warned) > WARNED * len(own))
        print(f"half {half}: {len(own)} networks, {len(broken)} crashes, {len(errors)} errors, {len(warned)} warned of")
        for row in (*broken, *errors, *warned):
            print(f"  {row.name}: {row.raised or ', '.join(row.report.kinds() if row.report else ())}")
    times = median(row.times for row in rows)
    print(f"an audit takes {times:.2f} times a forward and backward pass in the median (aim {TIMES:g})")
    print(f"left out: {dict(left)}")
    faults = [(name, *found) for name in HOSTS for found in planted(name, makers[name])]
    found, helped = sum(row[2] for row in faults), sum(row[3] for row in faults)
    print(f"{found} of {len(faults)} planted faults found where they are; what was printed helps in {helped}")
    for name, fault, there, helps in faults:
        if not (there and helps):
            print(f"  {name}: {fault}: {'' if there else 'missed'} {'' if helps else 'does not help'}")
    return int(missed > 0 or times > TIMES or found < FOUND * len(faults) or helped < len(faults))


if __name__ == "__main__":
    sys.exit(main())
