"""What the chapter on fine-tuning measures by hand, against products that one can differentiate in one's head."""

import numpy as np
import pytest
import torch
from torch import nn

import initnotes as ini
from initnotes.book.data import Dataset
from initnotes.book.finetuning import first_moves, log_loss, right
from initnotes.networks import Ensemble
from initnotes.networks.training import mean_squared_error, train

SEED = 20261203


def normal(*shape, seed=SEED):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


X, TARGET = normal(5, 4), normal(5, 4, seed=1)


@pytest.mark.parametrize(
    ("zero", "steps"),
    [
        ("", {"A": 1, "B": 1, "C": 1}),
        ("A", {"A": 1, "B": 2, "C": 2}),
        ("B", {"A": 2, "B": 1, "C": 2}),
        ("AB", {"A": 0, "B": 0, "C": 0}),  # a gradient of one zero tensor needs the other to be none
        ("ABC", {"A": 0, "B": 0, "C": 0}),
    ],
)
def test_first_moves_of_a_product_of_three(zero, steps):
    start = {name: normal(4, 4, seed=at) for at, name in enumerate("ABC")}
    start |= {name: torch.zeros(4, 4, dtype=torch.float64) for name in zero}
    before = {name: own.clone() for name, own in start.items()}
    assert first_moves(start, lambda own: X @ own["A"] @ own["B"] @ own["C"], TARGET) == steps
    assert all(torch.equal(start[name], own) for name, own in before.items())


def test_first_moves_are_those_of_training():
    net = Ensemble((4, 3, 4), "relu", ["he_normal", "zeros"], rng=np.random.default_rng(1), replicas=2, bias=None)
    found = first_moves(
        {"in": net.weights[0][0], "out": net.weights[1][0]},
        lambda own: torch.relu(X @ own["in"].mT) @ own["out"].mT,
        TARGET,
    )
    moved = []
    for _ in range(2):
        before = [weight.clone() for weight in net.weights]
        train(net, X.numpy(), TARGET.numpy(), loss="mse", lr=0.1, steps=1, rng=np.random.default_rng(2))
        moved.append([not torch.equal(*pair) for pair in zip(net.weights, before, strict=True)])
    assert moved == [[False, True], [True, True]]
    assert found == {"in": 2, "out": 1}
    assert mean_squared_error(net(X), TARGET.expand(2, -1, -1))[0].shape == (2,)


def test_first_moves_refuses_no_steps():
    with pytest.raises(ValueError, match="steps must be at least 1"):
        first_moves({"a": torch.ones(1)}, lambda own: own["a"], torch.ones(1), steps=0)


def test_log_loss_and_right_by_hand():
    net = Ensemble((4, 6, 3), "relu", "he_normal", rng=np.random.default_rng(1), replicas=3)
    data = Dataset(X.numpy(), np.array([0, 1, 2, 1, 0]))
    logits = net(data.x)
    for replica in range(3):
        own = logits[replica]
        loss = np.mean([float(own[i].logsumexp(0) - own[i, label]) for i, label in enumerate(data.y)])
        assert np.exp(log_loss(data)(net)[replica]) == pytest.approx(loss, rel=1e-9)
        said = own.argmax(1).numpy()
        assert right(net, data)[replica] == pytest.approx((said == data.y).mean())
    names = np.array([[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    renamed = [(logits[i].argmax(1).numpy() == names[i][data.y]).mean() for i in range(3)]
    assert right(net, data, names) == pytest.approx(renamed)


class Adapted(nn.Module):
    """A frozen layer with bare factors beside it, named as loralib names them."""

    def __init__(self, layer, zero):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        shapes = {"A": (4, layer.in_features), "B": (layer.out_features, 4)}
        for name, (rows, columns) in shapes.items():
            start = 0.0 if name in zero else columns**-0.5
            self.register_parameter(f"lora_{name}", nn.Parameter(start * normal(rows, columns).float()))

    def forward(self, x):
        return self.layer(x) + x @ self.lora_A.T @ self.lora_B.T


@pytest.mark.parametrize(("zero", "severity"), [("A", "info"), ("B", "info"), ("AB", "error"), ("", None)])
def test_the_audit_knows_one_zero_from_two(zero, severity):
    net = nn.Sequential(Adapted(nn.Linear(16, 32), zero), nn.ReLU(), nn.Linear(32, 5))
    found = [own.severity for own in ini.audit(net, normal(64, 16).float()).findings if own.kind == "zero weights"]
    assert found == ([severity] if severity else [])
