"""Networks that the tests of the audit share: small ones that other people might write."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ENDS", "Block", "Forward", "cross_entropy", "loud", "mlp", "net", "residual", "state", "x", "y", "zeroed"]

y = torch.arange(32) % 10


def cross_entropy(outputs: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, y)


def net(*parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(*parts)


def x(*shape: int) -> Tensor:
    return torch.randn(*(shape or (32, 64)), generator=torch.Generator().manual_seed(1))


def mlp(depth: int = 4, width: int = 64, act: Callable[[], nn.Module] = nn.ReLU, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(1)
    parts: list[nn.Module] = []
    for _ in range(depth - 1):
        layer = nn.Linear(width, width)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        parts += [layer, *([nn.BatchNorm1d(width)] if norm else []), act()]
    return nn.Sequential(*parts, nn.Linear(width, 10))


def state(model: nn.Module) -> list[Tensor]:
    return [own.clone() for own in model.state_dict().values()]


class Forward(nn.Module):
    """A model whose forward is given."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = forward

    def forward(self, *inputs: Any) -> Any:
        return self.run(self, *inputs)


class Block(nn.Module):
    def __init__(self, width: int, *, norm: bool = False, gate: float | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        for layer in (self.inner, self.outer):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.gate = None if gate is None else nn.Parameter(torch.tensor(gate))

    def forward(self, stream: Tensor) -> Tensor:
        branch = self.outer(torch.relu(self.inner(self.norm(stream))))
        return stream + (branch if self.gate is None else self.gate * branch)


def residual(blocks: int, **options: Any) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(64, 64), *(Block(64, **options) for _ in range(blocks)), nn.Linear(64, 10))


def zeroed(model: nn.Module, *names: str, biases: bool = False) -> nn.Module:
    for name in names:
        part = model.get_submodule(name)
        nn.init.zeros_(part.weight)
        if biases:
            nn.init.zeros_(part.bias)
    return model


def loud() -> nn.Sequential:
    model = mlp()
    with torch.no_grad():
        model[4].weight.mul_(30)
    return model


ENDS = tuple(f"{at}.outer" for at in range(1, 7))
