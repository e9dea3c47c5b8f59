"""The callbacks against the real trainers, with models made from nothing: they look, they tell, they leave no trace."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import accelerate
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import transformers
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from initnotes.callbacks import HuggingFaceCallback, LightningCallback, huggingface, lightning

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own: about workers, and one another's versions

X = torch.randn(96, 16, generator=torch.Generator().manual_seed(1))
LABELS = X[:, :4].argmax(1)


def rms(x: Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4))


def lines(heard: list[logging.LogRecord]) -> list[tuple[str, str]]:
    """Return what was said by us: level and line."""
    return [(record.levelname, record.getMessage()) for record in heard if "initnotes" in record.getMessage()]


@pytest.fixture(autouse=True)
def heard() -> Iterator[list[logging.LogRecord]]:
    """Return what the two libraries' loggers are told during the test."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    loggers = [logging.getLogger(name) for name in ("transformers", "pytorch_lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield records
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


# ----------------------------------------------------------------------------------------------------------- Lightning


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


def test_lightning_audits_before_step_1_and_looks_again(heard: list[logging.LogRecord]) -> None:
    module, callback = Module(), LightningCallback(after=3)
    nn.init.constant_(module.net[0].bias, -100.0)
    memory, _ = fit(module, callback)
    (level, first), (_, second) = lines(heard)
    assert level == "WARNING"
    assert "before step 1: Module, 2 layers: error: dead units at net.0" in first
    assert second == str(callback.second_look)
    assert callback.first_look.kinds() == ["dead units"]
    assert callback.second_look.steps == 3
    assert callback.second_look.dead["net.0"] == (1.0, 1.0)
    (at, start), (later, now) = memory.ours()
    assert (at, later) == (0, 3)
    assert start["initnotes/errors"] == 1.0
    assert now["initnotes/update_to_weight/net.0"] == 0.0  # what is dead does not move
    assert now["initnotes/update_to_weight/net.3"] == callback.second_look.ratios["net.3"]


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


def test_lightnings_numbers_are_right() -> None:
    module, callback, spy = Module(), LightningCallback(after=3), Spy()
    module.net[2].p = 0.0
    fit(module, callback, spy)
    look = callback.second_look
    moved = {f"net.{at}": (spy.weights[3][own], spy.weights[2][own]) for at, own in ((0, 0), (3, 2))}
    by_hand = {name: rms(new - old) / rms(old) for name, (new, old) in moved.items()}
    assert look.ratios == pytest.approx(by_hand, rel=1e-5)
    assert look.start.loss == pytest.approx(loss_by_hand(spy.weights[0], *spy.batch), rel=1e-5)
    assert look.loss == pytest.approx(loss_by_hand(spy.weights[3], *spy.batch), rel=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning_trains_as_without_the_callback(accumulate: int) -> None:
    runs = []
    for callbacks in ([], [LightningCallback(after=3)]):
        module = Module()
        memory, trainer = fit(module, *callbacks, accumulate_grad_batches=accumulate)
        runs.append((module, memory.rows, trainer.callback_metrics, torch.get_rng_state()))
    (plain, rows, metrics, state), (watched, own_rows, own_metrics, own_state) = runs
    assert all(torch.equal(*pair) for pair in zip(plain.parameters(), watched.parameters(), strict=True))
    assert plain.seen == watched.seen
    assert len(plain.seen) == 5 * accumulate
    assert metrics == own_metrics
    assert torch.equal(state, own_state)
    assert [row for row in rows if row not in own_rows] == []
    assert len(own_rows) == len(rows) + 2
    assert not {"log", "log_dict"} & vars(watched).keys()


@pytest.mark.parametrize(("form", "number"), [("tuple", True), ("dict", True), ("tensor", True), ("tuple", False)])
def test_lightning_takes_batches_of_every_form(form: str, number: bool) -> None:
    callback = LightningCallback(after=2)
    fit(Module(form=form, number=number), callback, form=form, steps=2)
    assert list(callback.second_look.ratios) == ["net.0", "net.3"]


def test_real_targets_are_no_inputs() -> None:
    class Regression(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return functional.mse_loss(self(batch[0]), batch[1])

    data = DataLoader(TensorDataset(X, 300 + 100 * torch.randn(96, 4)), batch_size=32)
    callback = LightningCallback(after=2)
    fit(Regression(rate=1e-6), callback, steps=2, data=data)
    assert callback.first_look.kinds() == []


def test_a_batch_and_a_loss_of_ones_own() -> None:
    seen = LightningCallback(after=2, batch=(X, LABELS))
    own = LightningCallback(after=2, batch=X, loss=lambda outputs: functional.cross_entropy(outputs, LABELS))
    fit(Module(), seen, own, steps=2)
    assert seen.first_look.loss == pytest.approx(own.first_look.loss, rel=1e-6)
    assert seen.second_look.ratios == own.second_look.ratios
    with pytest.raises(TypeError, match="give batch too"):
        LightningCallback(loss=functional.cross_entropy)
    with pytest.raises(ValueError, match="threshold"):
        LightningCallback(thresholds={"dead": 1.0})
    with pytest.raises(ValueError, match="after"):
        LightningCallback(after=0)


def test_lightning_goes_on_where_a_look_fails(heard: list[logging.LogRecord]) -> None:
    class Fragile(Module):
        looked = False

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if "log" in vars(self):  # only a look mutes it
                type(self).looked = True
                raise ValueError("not\nnow")
            return super().training_step(batch, batch_idx)

    callback, module = LightningCallback(after=2), Fragile()
    fit(module, callback)
    assert Fragile.looked
    assert len(module.seen) == 5
    [(level, line)] = lines(heard)
    assert level == "WARNING"
    assert line.endswith("training goes on: ValueError: not now")
    assert callback.first_look is callback.second_look is None


def test_lightning_says_why_it_does_not_look(heard: list[logging.LogRecord], tmp_path: Path) -> None:
    class Manual(Module):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            loss = functional.cross_entropy(self(batch[0]), batch[1])
            self.optimizers().zero_grad()
            self.manual_backward(loss)
            self.optimizers().step()

    fit(Manual(), LightningCallback(after=2), steps=3)
    assert "manual optimization" in lines(heard).pop()[1]
    own = LightningCallback(after=2, batch=X, loss=lambda outputs: functional.cross_entropy(outputs, LABELS))
    fit(Manual(), own, steps=3)
    assert min(own.second_look.ratios.values()) > 0
    _, trainer = fit(Module(), LightningCallback(after=9), steps=3)
    assert "ended after 3 of 9 steps" in lines(heard).pop()[1]
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    late = LightningCallback(after=4)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    resumed = pl.Trainer(max_steps=6, callbacks=[late], accelerator="cpu", **quiet)
    resumed.fit(Module(), loader(), ckpt_path=tmp_path / "a.ckpt", weights_only=False)
    assert "goes on at step 3" in lines(heard).pop()[1]
    assert late.first_look is None


def test_the_same_callback_serves_a_second_run() -> None:
    callback = LightningCallback(after=2)
    fit(Module(), callback, steps=2)
    before = callback.second_look
    fit(Module(rate=0.2), callback, steps=2)
    assert callback.second_look.ratios["net.0"] > 1.5 * before.ratios["net.0"]


# -------------------------------------------------------------------------------------------------------- Hugging Face


class Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Token ids, with themselves as labels, or the class that the first one is of."""

    def __init__(self, *, classes: bool = False) -> None:
        self.tokens = torch.randint(0, 32, (64, 8), generator=torch.Generator().manual_seed(1))
        self.classes = classes

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, at: int) -> dict[str, Tensor]:
        own = self.tokens[at]
        return {"input_ids": own, "labels": own[0] % 4 if self.classes else own}


class Stream(IterableDataset[dict[str, Tensor]]):
    """It can be read once."""

    def __init__(self) -> None:
        self.rows = iter([*Rows()] * 2)

    def __iter__(self) -> Any:
        return self.rows


def gpt() -> Any:
    torch.manual_seed(1)
    size = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 8, "vocab_size": 32}
    config = transformers.GPT2Config(**size, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    return transformers.GPT2LMHeadModel(config)


class Recorder(transformers.TrainerCallback):
    """What a service for logs would get, the gradients' sizes, and the weights before the third step and after it."""

    def __init__(self) -> None:
        self.logs: list[tuple[int, dict[str, float]]] = []
        self.weights: list[Tensor] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.logs.append((state.global_step, dict(logs)))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.weights.append(model.transformer.h[0].mlp.c_fc.weight.detach().clone())

    def losses(self) -> list[float]:
        return [logs["loss"] for _, logs in self.logs if "loss" in logs]


def tune(
    tmp_path: Path,
    callback: Callable[[Any], Any] | None = None,
    *,
    model: Any = None,
    data: Any = None,
    kind: Any = transformers.Trainer,
    **options: Any,
) -> tuple[Any, Recorder]:
    """Train with a callback that is made for the trainer; return the trainer and what was recorded."""
    options = {"max_steps": 5, "logging_steps": 1, "learning_rate": 1e-2, "save_strategy": "no"} | options
    args = transformers.TrainingArguments(
        tmp_path, use_cpu=True, report_to="none", disable_tqdm=True, per_device_train_batch_size=8, seed=3, **options
    )
    recorder = Recorder()
    trainer = kind(model or gpt(), args, train_dataset=data or Rows(), callbacks=[recorder])
    trainer.remove_callback(transformers.PrinterCallback)
    if callback is not None:
        trainer.add_callback(callback(trainer))
    trainer.train()
    return trainer, recorder


def own_callback(trainer: Any) -> Any:
    [found] = [part for part in trainer.callback_handler.callbacks if isinstance(part, HuggingFaceCallback)]
    return found


def test_hugging_face_audits_before_step_1_and_looks_again(tmp_path: Path, heard: list[logging.LogRecord]) -> None:
    model = gpt()
    nn.init.zeros_(model.transformer.h[1].mlp.c_fc.weight)
    nn.init.zeros_(model.transformer.h[1].mlp.c_proj.weight)
    trainer, recorder = tune(tmp_path, lambda trainer: HuggingFaceCallback(after=3, trainer=trainer), model=model)
    callback = own_callback(trainer)
    (level, first), (_, second) = lines(heard)
    assert level == "WARNING"
    assert "before step 1: GPT2LMHeadModel" in first
    assert "error: zero weights at transformer.h.1.mlp.c_fc" in first
    assert second == str(callback.second_look)
    (at, start), (later, now) = [row for row in recorder.logs if "initnotes/loss" in row[1]]
    assert (at, later) == (0, 3)
    assert start["initnotes/errors"] == 1.0
    before, after = recorder.weights[1:3]
    ratio = now["initnotes/update_to_weight/transformer.h.0.mlp.c_fc"]
    assert ratio == pytest.approx(rms(after - before) / rms(before), rel=1e-5)
    assert now["initnotes/loss"] == callback.second_look.loss
    assert len(recorder.losses()) == 5  # the line of step 3 too


def test_hugging_face_judges_the_batch_that_the_trainer_takes_first(tmp_path: Path) -> None:
    taken: list[Any] = []

    class Watching(transformers.Trainer):
        def training_step(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
            taken.append({name: part.clone() for name, part in inputs.items()})
            return super().training_step(model, inputs, *rest, **named)

    model = gpt().eval()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    start = {name: part.clone() for name, part in model.state_dict().items()}
    trainer, _ = tune(tmp_path, lambda _: HuggingFaceCallback(after=2), model=model, kind=Watching, max_steps=2)
    callback, fresh = own_callback(trainer), gpt().eval()
    assert callback.second_look.loss == pytest.approx(float(model.eval()(**taken[0]).loss), rel=1e-5)
    fresh.load_state_dict(start)
    assert callback.first_look.loss == pytest.approx(float(fresh(**taken[0]).loss), rel=1e-5)
    ours = [row for row in trainer.state.log_history if "initnotes/loss" in row]
    assert [row["step"] for row in ours] == [0, 2]


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}, {"bf16": True}])
def test_hugging_face_trains_as_without_the_callback(tmp_path: Path, options: dict[str, Any]) -> None:
    makers = (None, lambda trainer: HuggingFaceCallback(after=3, trainer=trainer))
    (plain, logs), (watched, own_logs) = [tune(tmp_path, maker, **options) for maker in makers]
    assert own_callback(watched).second_look.steps == 3
    pairs = zip(plain.model.parameters(), watched.model.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert logs.losses() == own_logs.losses()
    states = [trainer.optimizer.state_dict()["state"] for trainer in (plain, watched)]
    assert all(torch.equal(states[0][at]["exp_avg_sq"], states[1][at]["exp_avg_sq"]) for at in states[0])
    assert not watched.model._forward_pre_hooks


def test_hugging_face_reads_a_stream_once(tmp_path: Path) -> None:
    runs = [tune(tmp_path, maker, data=Stream()) for maker in (None, lambda _: HuggingFaceCallback(after=2))]
    assert runs[0][1].losses() == runs[1][1].losses()
    assert own_callback(runs[1][0]).second_look is not None


def test_a_batch_of_ones_own_and_a_loss_that_the_trainer_computes(tmp_path: Path) -> None:
    rows = Rows()
    batch = {"input_ids": rows.tokens, "labels": rows.tokens}
    trainer, _ = tune(tmp_path, lambda _: HuggingFaceCallback(after=2, batch=batch), max_steps=2)
    callback = own_callback(trainer)
    assert callback.first_look.loss == pytest.approx(np.log(32), rel=0.1)
    smooth, _ = tune(tmp_path, lambda _: HuggingFaceCallback(after=2), max_steps=2, label_smoothing_factor=0.1)
    assert own_callback(smooth).second_look.loss is None  # the model is given no labels
    assert own_callback(smooth).second_look.ratios.keys() == callback.second_look.ratios.keys()


def test_hugging_face_says_why_it_does_not_look(tmp_path: Path, heard: list[logging.LogRecord]) -> None:
    trainer, _ = tune(
        tmp_path, lambda _: HuggingFaceCallback(after=9), max_steps=2, save_strategy="steps", save_steps=2
    )
    assert "ended after 2 of 9 steps" in lines(heard).pop()[1]
    late = HuggingFaceCallback(after=3)
    args = trainer.args
    args.max_steps = 4
    again = transformers.Trainer(gpt(), args, train_dataset=Rows(), callbacks=[late])
    again.remove_callback(transformers.PrinterCallback)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert "goes on at step 2" in lines(heard).pop()[1]
    _, recorder = tune(tmp_path, lambda _: HuggingFaceCallback(batch={"input_ids": torch.full((2, 3), 99)}))
    assert "training goes on: IndexError" in lines(heard).pop()[1]
    assert len(recorder.losses()) == 5


def test_what_all_devices_must_share_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    module, args = Module(), SimpleNamespace(world_size=2, torch_compile=False)
    synced = nn.Sequential(nn.SyncBatchNorm(4))
    module.add_module("norm", synced)
    sharded, ddp = type("FSDPStrategy", (), {})(), type("DDPStrategy", (), {})()
    run = SimpleNamespace(global_step=0, world_size=2, strategy=sharded)
    assert "FSDPStrategy" in lightning._lacking(run, module, own_loss=False)
    run.strategy = ddp
    assert "SyncBatchNorm" in lightning._lacking(run, module, own_loss=False)
    assert lightning._lacking(run, Module(), own_loss=False) == ""
    for kind, model, said in (
        ("FSDP", gpt(), "FSDP"),
        ("MULTI_GPU", synced, "SyncBatchNorm"),
        ("MULTI_GPU", gpt(), ""),
    ):
        found = SimpleNamespace(distributed_type=SimpleNamespace(name=kind))
        monkeypatch.setattr(accelerate.state, "AcceleratorState", lambda found=found: found)
        assert said in huggingface._lacking(args, run, model, own_batch=False)
        assert bool(said) == bool(huggingface._lacking(args, run, model, own_batch=False))
    args.torch_compile = True
    assert "give batch" in huggingface._lacking(args, run, gpt(), own_batch=False)
    assert huggingface._lacking(args, run, gpt(), own_batch=True) == ""
