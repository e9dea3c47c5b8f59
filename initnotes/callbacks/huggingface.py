"""The callback for the Trainer of Hugging Face's transformers.

What lives here needs ``transformers`` and ``accelerate``, and is loaded when asked for.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..examine import Report
from .first_steps import SecondLook
from .runs import Run, needed

__all__ = ["HuggingFaceCallback"]

_transformers = needed("transformers", "huggingface")
_accelerate = needed("accelerate", "huggingface")
_TrainerCallback: Any = _transformers.TrainerCallback
_WHOLE = (
    "NO",
    "MULTI_CPU",
    "MULTI_GPU",
    "MULTI_XPU",
    "MULTI_NPU",
)  # kinds of runs in which a process has the whole model


class HuggingFaceCallback(_TrainerCallback):
    """Audit a model before step 1 of a transformers Trainer, and look again after some steps.

    Each look is a line in the Trainer's own log, a warning if something is found and an info else. Its numbers,
    ``initnotes/loss``, ``initnotes/errors``, ``initnotes/update_to_weight/<layer>`` and so on, go where `trainer` logs;
    without it into ``trainer.state.log_history`` alone, since a callback is not told its trainer.

    Parameters
    ----------
    after : int
        The number of optimizer steps after which the second look is taken.
    batch : mapping, tuple or Tensor, optional
        What is looked at, as the model takes it. Without it, what the model gets in its first pass of training: nothing
        is taken from the data, and no shuffle moves. Of accumulated gradients it is the first part.
    loss : callable, optional
        Of the model's outputs, as `initnotes.audit` takes it. Without it, the loss that the model returns if its batch
        has labels. Give both if the Trainer computes the loss (label smoothing, `compute_loss_func`).
    ignore, thresholds
        As `initnotes.audit` takes them.
    trainer : transformers.Trainer, optional
        Where the numbers are logged.

    Attributes
    ----------
    first_look : Report or None
        The audit before step 1.
    second_look : SecondLook or None
        ``print(callback.second_look.table())`` has the layers.

    Raises
    ------
    ImportError
        Where transformers or accelerate is missing: ``pip install 'initnotes[huggingface]'``.

    Notes
    -----
    Training goes on as it would without the callback, to the last bit: see `FirstSteps`. A failure is a line, never an
    exception. No repair is tried.

    Of several processes the first one looks; under FSDP or DeepSpeed and with SyncBatchNorm, whose passes all processes
    must share, none does. With ``torch_compile`` give `batch`. A run that goes on from a checkpoint has no start to
    look at.

    Examples
    --------
    >>> from initnotes.callbacks import HuggingFaceCallback
    >>> callback = HuggingFaceCallback(after=20)  # Trainer(..., callbacks=[callback]), or, to see the numbers:
    >>> # trainer.add_callback(HuggingFaceCallback(after=20, trainer=trainer))
    """

    def __init__(
        self,
        after: int = 10,
        *,
        batch: Any = None,
        loss: Callable[[Any], Tensor] | None = None,
        ignore: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
        trainer: Any = None,
    ) -> None:
        self.batch, self.loss, self.trainer = batch, loss, trainer
        self._handle: Any = None
        self._run = Run(after, logging.getLogger("transformers.trainer"), ignore=ignore, thresholds=thresholds)

    @property
    def first_look(self) -> Report | None:
        """The audit before step 1."""
        return self._run.first_look

    @property
    def second_look(self) -> SecondLook | None:
        """What has changed after some steps."""
        return self._run.second_look

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any = None, **_: Any) -> None:  # noqa: D102
        self._run.restart()
        if state.is_world_process_zero:
            self._run.guarded(lambda: self._begin(args, state, model))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102
        self._run.before_step(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102
        self._run.after_step(state.global_step, lambda found: self._log(state, found))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102
        self._forget_hook()
        self._run.end(state.global_step)

    def _begin(self, args: Any, state: Any, model: nn.Module) -> None:
        """Look at a batch that was given; otherwise wait for what the model gets in its first pass of training."""
        self._forget_hook()
        why = _lacking(args, state, model, own_batch=self.batch is not None)
        if why:
            self._run.say(f"no look at the network: {why}")
        elif self.batch is not None:
            self._look(args, state, model, _accelerate.utils.send_to_device(self.batch, args.device))
        else:

            def first(module: nn.Module, parts: tuple[Any, ...], named: dict[str, Any]) -> None:
                if module.training:  # an evaluation may come first
                    self._forget_hook()
                    self._run.guarded(lambda: self._look(args, state, module, _batch(module, parts, named)))

            self._handle = model.register_forward_pre_hook(first, with_kwargs=True)

    def _look(self, args: Any, state: Any, model: nn.Module, batch: Any) -> None:
        labels = args.label_names or _transformers.utils.find_labels(type(model))
        loss = self.loss
        if loss is None and isinstance(batch, Mapping) and any(batch.get(name) is not None for name in labels):
            loss = _returned_loss
        self._run.begin(model, batch, loss, lambda found: self._log(state, found))

    def _forget_hook(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _log(self, state: Any, found: Mapping[str, float]) -> None:
        if self.trainer is None:
            state.log_history.append({**found, "epoch": state.epoch or 0.0, "step": state.global_step})
            return
        due = self.trainer.control.should_log
        self.trainer.log(dict(found))
        self.trainer.control.should_log = due  # to log takes this down, also for the loss that is due at this step


def _returned_loss(outputs: Any) -> Any:
    return outputs["loss"] if isinstance(outputs, Mapping) else outputs[0]


def _batch(model: nn.Module, parts: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Return what a model was called with as a batch; the count by which a Trainer scales its loss is left out."""
    if not named:
        return parts
    names = list(inspect.signature(model.forward).parameters)
    found = dict(zip(names, parts, strict=False)) | dict(named)
    return {name: value for name, value in found.items() if name != "num_items_in_batch"}


def _lacking(args: Any, state: Any, model: nn.Module, *, own_batch: bool) -> str:
    """Return why a run cannot be looked at; empty if it can."""
    kind = _accelerate.state.AcceleratorState().distributed_type.name
    if state.global_step:
        return f"training goes on at step {state.global_step}"
    if kind not in _WHOLE:
        return f"under {kind} no process has the whole model"
    if args.world_size > 1 and any(isinstance(part, nn.SyncBatchNorm) for part in model.modules()):
        return "SyncBatchNorm needs all processes in each pass"
    if args.torch_compile and not own_batch:
        return "what is compiled cannot be asked for its first batch; give batch"
    return ""
