"""Runs of the Hugging Face Trainer for the tests of its callback; slow to import, so that only these tests do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers
from torch import Tensor
from torch.utils.data import IterableDataset

from initnotes.callbacks import HuggingFaceCallback, huggingface

__all__ = ["HuggingFaceCallback", "Recorder", "Rows", "Stream", "accelerate", "gpt", "huggingface", "own_callback"]
__all__ += ["transformers", "tune"]


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
