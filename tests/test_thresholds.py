"""Where an audit's warnings and errors begin: networks on both sides of each threshold, measured without the audit."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import initnotes as ini
from initnotes import clinic

CLASSES = 10


def rng() -> np.random.Generator:
    return np.random.default_rng(20260112)


def normal(*shape: int) -> Tensor:
    return torch.from_numpy(rng().standard_normal(shape))


def linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """Return a layer with √(fan_in · E W²) = gain, exactly."""
    layer = nn.Linear(inputs, outputs).double()
    weight = normal(outputs, inputs)
    with torch.no_grad():
        layer.weight.copy_(weight / weight.square().mean().sqrt() * gain / math.sqrt(inputs))
        layer.bias.zero_()
    return layer


def severity(model: nn.Module, batch: Tensor, kind: str, loss=None) -> str:
    """Return how grave the finding of a kind is, or ``"none"``."""
    found = [finding.severity for finding in ini.audit(model, batch, loss=loss).findings if finding.kind == kind]
    return found[0] if found else "none"


# The initial loss


def guess(logits: Tensor) -> Tensor:
    return functional.cross_entropy(logits, torch.arange(len(logits)) % CLASSES)


def with_excess(excess: float) -> tuple[nn.Module, Tensor]:
    """Return a layer, and inputs of such a size that its loss lies so far above that of a fair guess."""
    net, x = linear(64, CLASSES, 1.0), normal(320, 64)
    low, high = 0.1, 20.0
    for _ in range(60):
        size = (low + high) / 2
        with torch.no_grad():
            low, high = (size, high) if float(guess(net(size * x))) < math.log(CLASSES) + excess else (low, size)
    return net, low * x


@pytest.mark.parametrize(("half", "wanted"), [(2.9, "none"), (3.1, "warning"), (5.9, "warning"), (6.1, "error")])
def test_the_initial_loss(half: float, wanted: str) -> None:
    """Logits of variance v cost v/2 · (1 − 1/C), so v/2 is 3 and 6; the inputs stay below the size that is blamed."""
    net, x = with_excess(half * (1 - 1 / CLASSES))
    assert float(x.square().mean().sqrt()) < 10
    assert severity(net, x, "initial loss", loss=guess) == wanted


def test_the_fix_of_the_initial_loss_leaves_logits_of_about_a_third() -> None:
    net, x = with_excess(5.0)
    report = ini.audit(net, x, loss=guess)
    healed = clinic.treat(clinic.Patient("loud", "", net, x, guess), report, rng=rng())
    with torch.no_grad():
        size = float(healed.model(x).square().mean().sqrt())
    assert 0.2 < size < 0.4


# Saturated units and gates


def size_for(share: float, far: float) -> float:
    """Return the spread of normal numbers of which such a share lies beyond ±far."""
    return far / (math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - share, dtype=torch.float64))))


TANH_FAR = math.acosh(10)  # tanh′ = 1/cosh² is 0.01
SIGMOID_FAR = 2 * math.acosh(5)  # σ′ = 1/(4 cosh²(z/2)) is 0.01


@pytest.mark.parametrize(("share", "wanted"), [(0.38, "none"), (0.42, "warning"), (0.68, "warning"), (0.72, "error")])
def test_saturated_units(share: float, wanted: str) -> None:
    net = nn.Sequential(linear(64, 400, size_for(share, TANH_FAR)), nn.Tanh(), linear(400, CLASSES, 1.0))
    assert severity(net, normal(200, 64), "saturated units") == wanted


@pytest.mark.parametrize(("share", "wanted"), [(0.35, "none"), (0.45, "warning"), (0.65, "warning"), (0.75, "error")])
@pytest.mark.parametrize(("kind", "far"), [(nn.RNN, TANH_FAR), (nn.LSTM, SIGMOID_FAR)])
def test_saturated_gates(kind: type[nn.RNNBase], far: float, share: float, wanted: str) -> None:
    """The weights on the inputs alone make the gates' sums as large as that."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory = kind(64, 64, batch_first=True).double()
            with torch.no_grad():
                for name, parameter in self.memory.named_parameters():
                    weight = normal(*parameter.shape) * size_for(share, far) / 8
                    parameter.copy_(weight if name.startswith("weight_ih") else torch.zeros_like(parameter))
            self.out = linear(64, CLASSES, 1.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.memory(x)[0][:, -1])

    assert severity(Last(), normal(64, 3, 64), "saturated units") == wanted


# The scale of a layer's weights


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        (1 / 1100, "error"),
        (1 / 900, "warning"),
        (1 / 11, "warning"),
        (1 / 9, "none"),
        (3.9, "none"),
        (4.1, "warning"),
        (99.0, "warning"),
        (101.0, "error"),
    ],
)
def test_the_scale_of_weights(times: float, wanted: str) -> None:
    """Against He's, in front of ReLU: a tenth and four times, a thousandth and a hundred times."""
    net = nn.Sequential(linear(64, 64, math.sqrt(2) * times), nn.ReLU(), linear(64, CLASSES, 1.0))
    assert severity(net, normal(64, 64), "weight scale") == wanted
