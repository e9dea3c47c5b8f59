"""The callback for Lightning's Trainer.

What lives here needs ``lightning`` or ``pytorch_lightning``, and is loaded when asked for.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..examine import Report
from .first_steps import SecondLook
from .runs import Run, needed

__all__ = ["LightningCallback"]

# The library has two names, with classes of their own: take the one that the user has imported.
_NAMES = ("lightning.pytorch", "pytorch_lightning")
_FOUND = next((name for name in _NAMES if sys.modules.get(name)), None)


def _library() -> Any:
    if _FOUND is None:
        try:
            return needed(_NAMES[0], "lightning")
        except ImportError:
            return needed(_NAMES[1], "lightning")
    return sys.modules[_FOUND]


_Callback: Any = _library().Callback
_WHOLE = ("SingleDeviceStrategy", "DDPStrategy")  # strategies under which a process has the whole model


class LightningCallback(_Callback):
    """Audit a LightningModule before step 1, and look again after some steps.

    Each look is a line in Lightning's own log, a warning if something is found, and numbers in the loggers that the
    Trainer has: ``initnotes/loss``, ``initnotes/errors``, ``initnotes/update_to_weight/<layer>``, and so on.

    Parameters
    ----------
    after : int
        The number of optimizer steps after which the second look is taken.
    batch : optional
        What is looked at, as ``training_step`` takes it, or with `loss` as ``forward`` takes it. Without it, the first
        batch that the Trainer hands over; of accumulated gradients, the first part.
    loss : callable, optional
        With it ``forward`` is audited on `batch`, as `initnotes.audit` does it. Without it ``training_step`` is what is
        run, and its loss the loss.
    ignore, thresholds
        As `initnotes.audit` takes them.

    Attributes
    ----------
    first_look : Report or None
        The audit before step 1.
    second_look : SecondLook or None
        ``print(callback.second_look.table())`` has the layers.

    Raises
    ------
    ImportError
        Where Lightning is missing: ``pip install 'initnotes[lightning]'``.

    Notes
    -----
    Training goes on as it would without the callback, to the last bit: see `FirstSteps`. What ``training_step`` logs
    with ``self.log`` is left out meanwhile; what it writes elsewhere is written again. A failure is a line, never an
    exception. No repair is tried.

    Of several devices the first one looks, under DDP; not under FSDP, DeepSpeed or with SyncBatchNorm, whose passes all
    devices must share. With manual optimization give `batch` and `loss`. A run that goes on from a checkpoint has no
    start to look at.

    Examples
    --------
    >>> from initnotes.callbacks import LightningCallback
    >>> callback = LightningCallback(after=20)  # trainer = Trainer(callbacks=[callback])
    """

    def __init__(
        self,
        after: int = 10,
        *,
        batch: Any = None,
        loss: Callable[[Any], Tensor] | None = None,
        ignore: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if loss is not None and batch is None:
            raise TypeError("loss is a function of the outputs on a batch of your own: give batch too")
        self.batch, self.loss, self._began = batch, loss, False
        logger = logging.getLogger(_Callback.__module__)
        self._run = Run(after, logger, ignore=ignore, thresholds=thresholds)

    @property
    def first_look(self) -> Report | None:
        """The audit before step 1."""
        return self._run.first_look

    @property
    def second_look(self) -> SecondLook | None:
        """What has changed after some steps."""
        return self._run.second_look

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: D102
        self._run.restart()
        self._began = False

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:  # noqa: D102
        if not self._began and trainer.is_global_zero:
            self._run.guarded(lambda: self._begin(trainer, pl_module, batch))
        self._began = True

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:  # noqa: D102
        self._run.before_step(trainer.global_step)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:  # noqa: D102
        self._run.after_step(trainer.global_step, lambda found: _log(trainer, found))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: D102
        self._run.end(trainer.global_step)

    def _begin(self, trainer: Any, module: Any, batch: Any) -> None:
        why = _lacking(trainer, module, own_loss=self.loss is not None)
        if why:
            self._run.say(f"no look at the network: {why}")
            return
        own = batch if self.batch is None else trainer.strategy.batch_to_device(self.batch, dataloader_idx=0)
        log = lambda found: _log(trainer, found)  # noqa: E731
        if self.loss is not None:
            self._run.begin(module, own, self.loss, log)
        else:
            self._run.begin(_step_of(trainer, module), (own,), lambda loss: loss, log)


def _log(trainer: Any, found: Mapping[str, float]) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(dict(found), step=trainer.global_step)


def _lacking(trainer: Any, module: Any, *, own_loss: bool) -> str:
    """Return why a run cannot be looked at; empty if it can."""
    strategy = type(trainer.strategy).__name__
    if trainer.global_step:
        return f"training goes on at step {trainer.global_step}"
    if strategy not in _WHOLE:
        return f"under {strategy} no device has the whole model"
    if trainer.world_size > 1 and any(isinstance(part, nn.SyncBatchNorm) for part in module.modules()):
        return "SyncBatchNorm needs all devices in each pass"
    if not own_loss and not module.automatic_optimization:
        return "with manual optimization training_step changes the weights; give batch and loss"
    if not own_loss and "dataloader_iter" in inspect.signature(module.training_step).parameters:
        return "training_step takes its batches from an iterator; give batch and loss"
    return ""


def _step_of(trainer: Any, module: Any) -> Any:
    """Return a module with the state of a LightningModule, whose forward is one training step and returns its loss."""
    takes_number = len(inspect.signature(module.training_step).parameters) > 1

    def step(batch: Any) -> Any:
        muted = {name: lambda *_, **__: None for name in ("log", "log_dict")}
        before = {name: vars(module)[name] for name in muted if name in vars(module)}
        vars(module).update(muted)
        try:
            with trainer.strategy.precision_plugin.train_step_context():
                made = module.training_step(batch, 0) if takes_number else module.training_step(batch)
        finally:
            for name in muted:
                del vars(module)[name]
            vars(module).update(before)
        return made["loss"] if isinstance(made, Mapping) else made

    # A property, since DDP leaves a `forward` among the attributes, which would come first.
    kind = type(type(module).__name__, (nn.Module,), {"forward": property(lambda _: step)})
    view: Any = object.__new__(kind)
    object.__setattr__(view, "__dict__", vars(module))
    return view
