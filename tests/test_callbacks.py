"""The callbacks against the real trainers, with models made from nothing: they look, they tell, they leave no trace."""

import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own: about workers, and one another's versions


def rms(x: Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())


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


@pytest.fixture
def lit() -> Any:
    """Return `lightning_runs`, imported by the tests that need it and not by all that collect this file."""
    return import_module("tests.lightning_runs")


@pytest.fixture
def hf() -> Any:
    """Return `hugging_face_runs`, likewise; the library sets its logger's level when it is first imported."""
    found = import_module("tests.hugging_face_runs")
    logging.getLogger("transformers").setLevel(logging.INFO)
    return found


# ----------------------------------------------------------------------------------------------------------- Lightning


def test_lightning_audits_before_step_1_and_looks_again(lit: Any, heard: list[logging.LogRecord]) -> None:
    module, callback = lit.Module(), lit.LightningCallback(after=3)
    nn.init.constant_(module.net[0].bias, -100.0)
    memory, _ = lit.fit(module, callback)
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


def test_lightnings_numbers_are_right(lit: Any) -> None:
    module, callback, spy = lit.Module(), lit.LightningCallback(after=3), lit.Spy()
    module.net[2].p = 0.0
    lit.fit(module, callback, spy)
    look = callback.second_look
    moved = {f"net.{at}": (spy.weights[3][own], spy.weights[2][own]) for at, own in ((0, 0), (3, 2))}
    by_hand = {name: rms(new - old) / rms(old) for name, (new, old) in moved.items()}
    assert look.ratios == pytest.approx(by_hand, rel=1e-5)
    assert look.start.loss == pytest.approx(lit.loss_by_hand(spy.weights[0], *spy.batch), rel=1e-5)
    assert look.loss == pytest.approx(lit.loss_by_hand(spy.weights[3], *spy.batch), rel=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning_trains_as_without_the_callback(lit: Any, accumulate: int) -> None:
    runs = []
    for callbacks in ([], [lit.LightningCallback(after=3)]):
        module = lit.Module()
        memory, trainer = lit.fit(module, *callbacks, accumulate_grad_batches=accumulate)
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
def test_lightning_takes_batches_of_every_form(lit: Any, form: str, number: bool) -> None:
    callback = lit.LightningCallback(after=2)
    lit.fit(lit.Module(form=form, number=number), callback, form=form, steps=2)
    assert list(callback.second_look.ratios) == ["net.0", "net.3"]


def test_real_targets_are_no_inputs(lit: Any) -> None:
    class Regression(lit.Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return functional.mse_loss(self(batch[0]), batch[1])

    data = DataLoader(TensorDataset(lit.X, 300 + 100 * torch.randn(96, 4)), batch_size=32)
    callback = lit.LightningCallback(after=2)
    lit.fit(Regression(rate=1e-6), callback, steps=2, data=data)
    assert callback.first_look.kinds() == []


def test_a_batch_and_a_loss_of_ones_own(lit: Any) -> None:
    seen = lit.LightningCallback(after=2, batch=(lit.X, lit.LABELS))
    own = lit.LightningCallback(
        after=2, batch=lit.X, loss=lambda outputs: functional.cross_entropy(outputs, lit.LABELS)
    )
    lit.fit(lit.Module(), seen, own, steps=2)
    assert seen.first_look.loss == pytest.approx(own.first_look.loss, rel=1e-6)
    assert seen.second_look.ratios == own.second_look.ratios
    with pytest.raises(TypeError, match="give batch too"):
        lit.LightningCallback(loss=functional.cross_entropy)
    with pytest.raises(ValueError, match="threshold"):
        lit.LightningCallback(thresholds={"dead": 1.0})
    with pytest.raises(ValueError, match="after"):
        lit.LightningCallback(after=0)


def test_lightning_goes_on_where_a_look_fails(lit: Any, heard: list[logging.LogRecord]) -> None:
    class Fragile(lit.Module):
        looked = False

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if "log" in vars(self):  # only a look mutes it
                type(self).looked = True
                raise ValueError("not\nnow")
            return super().training_step(batch, batch_idx)

    callback, module = lit.LightningCallback(after=2), Fragile()
    lit.fit(module, callback)
    assert Fragile.looked
    assert len(module.seen) == 5
    [(level, line)] = lines(heard)
    assert level == "WARNING"
    assert line.endswith("training goes on: ValueError: not now")
    assert callback.first_look is callback.second_look is None


def test_lightning_says_why_it_does_not_look(lit: Any, heard: list[logging.LogRecord], tmp_path: Path) -> None:
    class Manual(lit.Module):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            loss = functional.cross_entropy(self(batch[0]), batch[1])
            self.optimizers().zero_grad()
            self.manual_backward(loss)
            self.optimizers().step()

    lit.fit(Manual(), lit.LightningCallback(after=2), steps=3)
    assert "manual optimization" in lines(heard).pop()[1]
    own = lit.LightningCallback(
        after=2, batch=lit.X, loss=lambda outputs: functional.cross_entropy(outputs, lit.LABELS)
    )
    lit.fit(Manual(), own, steps=3)
    assert min(own.second_look.ratios.values()) > 0
    _, trainer = lit.fit(lit.Module(), lit.LightningCallback(after=9), steps=3)
    assert "ended after 3 of 9 steps" in lines(heard).pop()[1]
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    late = lit.LightningCallback(after=4)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    resumed = lit.pl.Trainer(max_steps=6, callbacks=[late], accelerator="cpu", **quiet)
    resumed.fit(lit.Module(), lit.loader(), ckpt_path=tmp_path / "a.ckpt", weights_only=False)
    assert "goes on at step 3" in lines(heard).pop()[1]
    assert late.first_look is None


def test_the_same_callback_serves_a_second_run(lit: Any) -> None:
    callback = lit.LightningCallback(after=2)
    lit.fit(lit.Module(), callback, steps=2)
    before = callback.second_look
    lit.fit(lit.Module(rate=0.2), callback, steps=2)
    assert callback.second_look.ratios["net.0"] > 1.5 * before.ratios["net.0"]


# -------------------------------------------------------------------------------------------------------- Hugging Face


def test_hugging_face_audits_before_step_1_and_looks_again(
    hf: Any, tmp_path: Path, heard: list[logging.LogRecord]
) -> None:
    model = hf.gpt()
    nn.init.zeros_(model.transformer.h[1].mlp.c_fc.weight)
    nn.init.zeros_(model.transformer.h[1].mlp.c_proj.weight)
    trainer, recorder = hf.tune(tmp_path, lambda trainer: hf.HuggingFaceCallback(after=3, trainer=trainer), model=model)
    callback = hf.own_callback(trainer)
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


def test_hugging_face_judges_the_batch_that_the_trainer_takes_first(hf: Any, tmp_path: Path) -> None:
    taken: list[Any] = []

    class Watching(hf.transformers.Trainer):
        def training_step(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
            taken.append({name: part.clone() for name, part in inputs.items()})
            return super().training_step(model, inputs, *rest, **named)

    model = hf.gpt().eval()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    start = {name: part.clone() for name, part in model.state_dict().items()}
    trainer, _ = hf.tune(tmp_path, lambda _: hf.HuggingFaceCallback(after=2), model=model, kind=Watching, max_steps=2)
    callback, fresh = hf.own_callback(trainer), hf.gpt().eval()
    assert callback.second_look.loss == pytest.approx(float(model.eval()(**taken[0]).loss), rel=1e-5)
    fresh.load_state_dict(start)
    assert callback.first_look.loss == pytest.approx(float(fresh(**taken[0]).loss), rel=1e-5)
    ours = [row for row in trainer.state.log_history if "initnotes/loss" in row]
    assert [row["step"] for row in ours] == [0, 2]


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2, "bf16": True}])
def test_hugging_face_trains_as_without_the_callback(hf: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    makers = (None, lambda trainer: hf.HuggingFaceCallback(after=3, trainer=trainer))
    (plain, logs), (watched, own_logs) = [hf.tune(tmp_path, maker, **options) for maker in makers]
    assert hf.own_callback(watched).second_look.steps == 3
    pairs = zip(plain.model.parameters(), watched.model.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert logs.losses() == own_logs.losses()
    states = [trainer.optimizer.state_dict()["state"] for trainer in (plain, watched)]
    assert all(torch.equal(states[0][at]["exp_avg_sq"], states[1][at]["exp_avg_sq"]) for at in states[0])
    assert not watched.model._forward_pre_hooks


def test_hugging_face_reads_a_stream_once(hf: Any, tmp_path: Path) -> None:
    runs = [hf.tune(tmp_path, maker, data=hf.Stream()) for maker in (None, lambda _: hf.HuggingFaceCallback(after=2))]
    assert runs[0][1].losses() == runs[1][1].losses()
    assert hf.own_callback(runs[1][0]).second_look is not None


def test_a_batch_of_ones_own_and_a_loss_that_the_trainer_computes(hf: Any, tmp_path: Path) -> None:
    rows = hf.Rows()
    batch = {"input_ids": rows.tokens, "labels": rows.tokens}
    trainer, _ = hf.tune(tmp_path, lambda _: hf.HuggingFaceCallback(after=2, batch=batch), max_steps=2)
    callback = hf.own_callback(trainer)
    assert callback.first_look.loss == pytest.approx(np.log(32), rel=0.1)
    smooth, _ = hf.tune(tmp_path, lambda _: hf.HuggingFaceCallback(after=2), max_steps=2, label_smoothing_factor=0.1)
    assert hf.own_callback(smooth).second_look.loss is None  # the model is given no labels
    assert hf.own_callback(smooth).second_look.ratios.keys() == callback.second_look.ratios.keys()


def test_hugging_face_says_why_it_does_not_look(hf: Any, tmp_path: Path, heard: list[logging.LogRecord]) -> None:
    trainer, _ = hf.tune(
        tmp_path, lambda _: hf.HuggingFaceCallback(after=9), max_steps=2, save_strategy="steps", save_steps=2
    )
    assert "ended after 2 of 9 steps" in lines(heard).pop()[1]
    late = hf.HuggingFaceCallback(after=3)
    args = trainer.args
    args.max_steps = 4
    again = hf.transformers.Trainer(hf.gpt(), args, train_dataset=hf.Rows(), callbacks=[late])
    again.remove_callback(hf.transformers.PrinterCallback)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert "goes on at step 2" in lines(heard).pop()[1]
    _, recorder = hf.tune(tmp_path, lambda _: hf.HuggingFaceCallback(batch={"input_ids": torch.full((2, 3), 99)}))
    assert "training goes on: IndexError" in lines(heard).pop()[1]
    assert len(recorder.losses()) == 5


def test_what_all_devices_must_share_is_not_looked_at(lit: Any, hf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module, args = lit.Module(), SimpleNamespace(world_size=2, torch_compile=False)
    synced = nn.Sequential(nn.SyncBatchNorm(4))
    module.add_module("norm", synced)
    sharded, ddp = type("FSDPStrategy", (), {})(), type("DDPStrategy", (), {})()
    run = SimpleNamespace(global_step=0, world_size=2, strategy=sharded)
    assert "FSDPStrategy" in lit.lightning._lacking(run, module, own_loss=False)
    run.strategy = ddp
    assert "SyncBatchNorm" in lit.lightning._lacking(run, module, own_loss=False)
    assert lit.lightning._lacking(run, lit.Module(), own_loss=False) == ""
    for kind, model, said in (
        ("FSDP", hf.gpt(), "FSDP"),
        ("MULTI_GPU", synced, "SyncBatchNorm"),
        ("MULTI_GPU", hf.gpt(), ""),
    ):
        found = SimpleNamespace(distributed_type=SimpleNamespace(name=kind))
        monkeypatch.setattr(hf.accelerate.state, "AcceleratorState", lambda found=found: found)
        assert said in hf.huggingface._lacking(args, run, model, own_batch=False)
        assert bool(said) == bool(hf.huggingface._lacking(args, run, model, own_batch=False))
    args.torch_compile = True
    assert "give batch" in hf.huggingface._lacking(args, run, hf.gpt(), own_batch=False)
    assert hf.huggingface._lacking(args, run, hf.gpt(), own_batch=True) == ""
