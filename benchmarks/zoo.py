"""Networks that other people build, by name, at their own start and as small as their libraries allow.

Needs four libraries that the book does not, the extra ``zoo``: ``pip install '.[zoo]'`` (where torchvision was
built for another torch and lacks its operators, a network that needs them is left out). The names are in
``zoo.yml``. What lives here builds a network and a batch; ``benchmarks.others`` audits them.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

IMAGES, SIZE = 8, 64
# Where attention is left with one place its queries and keys have no gradient; and some take one size only.
SIZES = {
    "efficientvit_m0": 224, "efficientvit_m3": 224, "efficientformer_l1": 224, "crossvit_9_240": 240,
    "crossvit_tiny_240": 240, "halonet26t": 256, "lamhalobotnet50ts_256": 256, "bat_resnext26ts": 256,
}  # fmt: skip
WORDS = {
    "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 128,
    "max_position_embeddings": 64,
}  # fmt: skip


class Made(NamedTuple):
    """A network, its batch, and a loss of its outputs or None."""

    model: nn.Module
    batch: Any
    loss: Callable[[Any], Tensor] | None = None


def _images(size: int = SIZE, *, channels: int = 3, number: int = IMAGES) -> Tensor:
    return torch.randn(number, channels, size, size)


def _classes(outputs: Any) -> Tensor:
    """Return the cross-entropy of the logits with labels that count up."""
    logits = outputs if isinstance(outputs, Tensor) else outputs[0]
    return functional.cross_entropy(logits, torch.arange(len(logits)) % logits.shape[1])


def _timm(name: str) -> Made:
    timm = importlib.import_module("timm")
    try:
        size = SIZES.get(name, SIZE)
        model = timm.create_model(name, img_size=size)
    except (TypeError, AssertionError, ValueError, RuntimeError):
        model = timm.create_model(name)
        size = model.default_cfg["input_size"][-1] if model.default_cfg.get("fixed_input_size") else SIZES.get(name, 96)
    return Made(model, _images(size), _classes)


def _torchvision(name: str) -> Made:
    models = importlib.import_module("torchvision.models")
    size = {"inception_v3": 128}.get(name, SIZE)
    options: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": True}
    return Made(models.get_model(name, **options), _images(size), _classes)


def _segmentation(name: str) -> Made:
    models = importlib.import_module("torchvision.models")
    model = models.get_model(name, weights=None, weights_backbone=None, num_classes=10)
    return Made(model, _images(number=4))


def _videos(name: str) -> Made:
    models = importlib.import_module("torchvision.models")
    return Made(models.get_model(name, weights=None), torch.randn(2, 3, 16, SIZE, SIZE), _classes)


def _detection(name: str) -> Made:
    models = importlib.import_module("torchvision.models")
    sizes = {} if "320" in name else {"min_size": 128, "max_size": 128}
    model = models.get_model(name, weights=None, weights_backbone=None, num_classes=5, **sizes)
    boxes, labels = torch.tensor([[10.0, 10.0, 60.0, 60.0]]), torch.tensor([1])
    batch = (list(torch.rand(2, 3, 128, 128)), [{"boxes": boxes, "labels": labels}] * 2)
    return Made(model, batch, lambda losses: torch.stack(list(losses.values())).sum())


def _flows(kind: str, options: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> Made:
    model = getattr(importlib.import_module("diffusers"), kind)(**options)
    batch = {name: torch.randn(*shape) for name, shape in shapes.items()}
    timed = "timestep" in inspect.signature(model.forward).parameters
    return Made(model, batch | ({"timestep": torch.tensor([3, 5])} if timed else {}))


def _words(kind: str, head: str, **options: Any) -> Made:
    transformers = importlib.import_module("transformers")
    config = getattr(transformers, f"{kind}Config")(**(WORDS | {"pad_token_id": 0} | options))
    model = getattr(transformers, f"{kind}{head}")(config)
    tokens = torch.randint(1, 100, (4, 16))
    batch = {"input_ids": tokens}
    if config.is_encoder_decoder:
        batch["decoder_input_ids"] = tokens
    return Made(model, batch)


def _pictures(kind: str, head: str, **options: Any) -> Made:
    transformers = importlib.import_module("transformers")
    small = {"image_size": 32, "patch_size": 8, "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4}
    config = getattr(transformers, f"{kind}Config")(**(small | {"intermediate_size": 128} | options))
    return Made(getattr(transformers, f"{kind}{head}")(config), {"pixel_values": _images(32)})


def _sounds(kind: str) -> Made:
    transformers = importlib.import_module("transformers")
    small = {key: value for key, value in WORDS.items() if key != "max_position_embeddings"}
    config = getattr(transformers, f"{kind}Config")(**small, conv_dim=(32,) * 7, num_feat_extract_layers=7)
    return Made(getattr(transformers, f"{kind}Model")(config), {"input_values": torch.randn(2, 8000)})


def _diffusers(kind: str) -> Made:
    diffusers = importlib.import_module("diffusers")
    blocks = {"block_out_channels": (32, 64), "norm_num_groups": 8, "layers_per_block": 1}
    when, states = torch.tensor([3, 5]), torch.randn(2, 4, 32)
    if kind == "UNet2DModel":
        model = diffusers.UNet2DModel(
            sample_size=32, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"), **blocks,
        )  # fmt: skip
        return Made(model, {"sample": _images(32, number=2), "timestep": when})
    if kind == "UNet2DConditionModel":
        model = diffusers.UNet2DConditionModel(
            sample_size=32, cross_attention_dim=32, attention_head_dim=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **blocks,
        )  # fmt: skip
        batch = {"sample": _images(32, channels=4, number=2), "timestep": when, "encoder_hidden_states": states}
        return Made(model, batch)
    if kind in ("AutoencoderKL", "VQModel"):
        model = getattr(diffusers, kind)(
            block_out_channels=(32, 64), norm_num_groups=8, down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4,
        )  # fmt: skip
        return Made(model, {"sample": _images(32, number=2)})
    if kind == "DiTTransformer2DModel":
        model = diffusers.DiTTransformer2DModel(
            num_attention_heads=4, attention_head_dim=16, num_layers=6, sample_size=16, norm_num_groups=8,
        )  # fmt: skip
        batch = {
            "hidden_states": _images(16, channels=4, number=2), "timestep": when, "class_labels": torch.tensor([1, 2]),
        }  # fmt: skip
        return Made(model, batch)


def networks() -> Iterator[tuple[str, str, Callable[[], Made]]]:
    """Yield the name of each network, its library in front, its list (empty: the first), and what builds it."""
    listed = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    makers = {"timm": _timm, "torchvision": _torchvision, "segmentation": _segmentation, "sounds": _sounds}
    makers |= {"diffusers": _diffusers, "videos": _videos, "detection": _detection}
    for which, own in (("", listed), ("fresh", listed["fresh"]), ("unseen", listed["unseen"])):
        for library, make in makers.items():
            for name in own.get(library, ()):
                yield f"{library}/{name}", which, partial(make, name)
        for kind, (options, shapes) in own.get("flows", {}).items():
            yield f"diffusers/{kind}", which, partial(_flows, kind, options, shapes)
        for library, build in {"words": _words, "pictures": _pictures}.items():
            for kind, (head, options) in own.get(library, {}).items():
                yield f"{library}/{kind}", which, partial(build, kind, head or "Model", **options)
