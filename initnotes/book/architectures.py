"""Five architectures that people use, small, as their libraries initialize them.

What lives here are networks in perfect health; what makes a patient of them is in ``clinic``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GPT", "LSTM", "Mixer", "ResNet", "UNet"]


class _Block(nn.Module):
    """Two convolutions with BatchNorm and a way around them, as in torchvision's ResNet."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        plain = stride == 1 and before == after
        self.down = (
            nn.Identity()
            if plain
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(h)) + self.down(x))


class ResNet(nn.Module):
    """A residual network for small images: He's normal with fan_out for convolutions, as torchvision has it."""

    def __init__(self, classes: int = 10, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        shapes = [(width, width, 1), (width, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)]
        self.blocks = nn.Sequential(*(_Block(*shape) for shape in shapes))
        self.head = nn.Linear(2 * width, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Take images, shape (batch, 3, height, width)."""
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class _GptBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.c_attn(self.ln_1(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(seen.transpose(1, 2).flatten(2))
        return x + self.proj(functional.gelu(self.fc(self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    """A transformer as GPT-2: N(0, 0.02²), the last layer of each branch divided by √(2 · blocks), tied embedding."""

    def __init__(self, vocabulary: int = 65, context: int = 32, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(_GptBlock(width, 4) for _ in range(blocks))
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight
        for name, layer in self.named_modules():
            if isinstance(layer, (nn.Linear, nn.Embedding)):
                last = name.endswith("proj")
                nn.init.normal_(layer.weight, std=0.02 / (2 * blocks) ** 0.5 if last else 0.02)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Take integer tokens, shape (batch, time)."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln_f(x))


class LSTM(nn.Module):
    """A language model with two LSTM layers, as PyTorch initializes them."""

    def __init__(self, vocabulary: int = 65, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)
        self.fc = nn.Linear(width, width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Take integer tokens, shape (batch, time)."""
        return self.head(functional.relu(self.fc(self.lstm(self.embedding(tokens))[0])))


class _MixerBlock(nn.Module):
    def __init__(self, patches: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(patches, 2 * patches), nn.GELU(), nn.Linear(2 * patches, patches))
        self.channels = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).mT).mT
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """An MLP-Mixer: layers of JAX's default, LeCun's truncated normal with zero biases, and a classifier of zeros."""

    def __init__(self, classes: int = 10, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(*(_MixerBlock(16, width) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)
        for layer in self.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                std = layer.weight[0].numel() ** -0.5 / 0.87962566
                nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Take images, shape (batch, 3, 16, 16)."""
        return self.head(self.norm(self.blocks(self.stem(x).flatten(2).mT)).mean(1))


def _twice(before: int, after: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for channels in (before, after):
        parts += [nn.Conv2d(channels, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)


class UNet(nn.Module):
    """A U-Net with BatchNorm and transposed convolutions, as PyTorch initializes them."""

    def __init__(self, classes: int = 4, width: int = 12) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _twice(3, width), _twice(width, 2 * width), _twice(2 * width, 4 * width)
        self.up2, self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.merge2, self.merge1 = _twice(4 * width, 2 * width), _twice(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Take images, shape (batch, 3, height, width), with sides that 4 divides."""
        fine = self.down1(x)
        coarse = self.down2(functional.max_pool2d(fine, 2))
        up = self.merge2(torch.cat([coarse, self.up2(self.bottom(functional.max_pool2d(coarse, 2)))], 1))
        return self.head(self.merge1(torch.cat([fine, self.up1(up)], 1)))
