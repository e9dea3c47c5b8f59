"""Look at a network before its first step of training and again after some, in a loop of your own or in a trainer.

What lives here watches a run, changes nothing of it, and never ends it. `FirstSteps` knows no trainer; the callbacks
of Lightning and of the Hugging Face Trainer are thin, stand in a module each, and are loaded when asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .first_steps import FirstSteps, SecondLook

if TYPE_CHECKING:
    from .huggingface import HuggingFaceCallback as HuggingFaceCallback
    from .lightning import LightningCallback as LightningCallback

__all__ = ["FirstSteps", "SecondLook"]  # without the callbacks, which need their libraries

_CALLBACKS = {"HuggingFaceCallback": ".huggingface", "LightningCallback": ".lightning"}


def __getattr__(name: str) -> Any:
    if name in _CALLBACKS:
        return getattr(import_module(_CALLBACKS[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__dir__())}")


def __dir__() -> list[str]:
    return [*__all__, *_CALLBACKS]
