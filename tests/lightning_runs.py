"""Runs of Lightning for the tests of its callback; slow to import, so that only these tests do."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from initnotes.callbacks import LightningCallback, lightning

__all__ = ["LABELS", "LightningCallback", "Memory", "Module", "Spy", "X", "fit", "lightning", "loader", "loss_by_hand"]

X = torch.randn(96, 16, generator=torch.Generator().manual_seed(1))
LABELS = X[:, :4].argmax(1)


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4))


class Memory(Logger):
    """A logger that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    @property
    def name(self) -> str:
        return "memory"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Keep none."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step or 0, dict(metrics)))

    def ours(self) -> list[tuple[int, dict[str, float]]]:
        return [(step, row) for step, row in self.rows if any(name.startswith("initnotes/") for name in row)]


class Module(pl.LightningModule):
    """A classifier as people write it: it logs, counts and collects."""

    def __init__(self, *, rate: float = 0.1, form: str = "tuple", number: bool = True) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net, self.rate, self.form = mlp(), rate, form
        self.seen: list[float] = []
        if not number:
            self.training_step = self.without_number  # type: ignore[method-assign]
            self.forward = self.forward  # type: ignore[method-assign] # as DDP leaves it behind

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.form == "tensor":
            return self(batch).square().mean()
        x, y = (batch["x"], batch["y"]) if self.form == "dict" else batch
        loss = functional.cross_entropy(self(x), y)
        self.log("train_loss", loss, prog_bar=True)
        self.seen.append(float(loss))
        return {"loss": loss} if self.form == "dict" else loss

    def without_number(self, batch: Any) -> Any:
        return Module.training_step(self, batch, 0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def loader(form: str = "tuple") -> Any:
    data: Any = TensorDataset(X, LABELS)
    if form == "dict":
        data = [{"x": x, "y": y} for x, y in zip(X, LABELS, strict=True)]
    elif form == "tensor":
        data = X
    return DataLoader(data, batch_size=16, shuffle=True)


def fit(module: Any, *callbacks: Any, form: str = "tuple", steps: int = 5, data: Any = None, **options: Any) -> Any:
    """Train with a logger that remembers; return it and the trainer."""
    torch.manual_seed(2)
    memory = Memory()
    options = {"accelerator": "cpu", "enable_checkpointing": False, "log_every_n_steps": 1, "logger": memory} | options
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_steps=steps, callbacks=list(callbacks), **options, **quiet)
    trainer.fit(module, loader(form) if data is None else data)
    return memory, trainer


class Spy(pl.Callback):
    """It keeps the first batch, and the weights before and after each step."""

    def __init__(self) -> None:
        self.batch: Any = None
        self.weights: list[list[Tensor]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.batch is None:
            self.batch = [part.clone() for part in batch]
            self.keep(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.keep(pl_module)

    def keep(self, module: Any) -> None:
        self.weights.append([weight.detach().clone() for weight in module.net.parameters()])


def loss_by_hand(weights: list[Tensor], x: Tensor, y: Tensor) -> float:
    h = torch.relu(functional.linear(x, weights[0], weights[1]))
    return float(functional.cross_entropy(functional.linear(h, weights[2], weights[3]), y))
