"""timm's vision transformers as backbones: looked up, cut after a block, tried on one frame, filled with weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rla_gym.utils.optional import require
from rla_gym.utils.tensors import shapes_only

PLAIN = "take a plain vision transformer, such as vit_small_patch14_dinov2 or vit_large_patch16_dinov3"
"""What the errors advise."""


def build_backbone(
    name: str, frame_size: tuple[int, int], layer: int | None = None, patch: int | None = None, head: int | None = None
) -> Any:
    """A timm model with fresh weights that gives one token a patch.

    Args:
        name: timm's, with or without the tag of its weights.
        frame_size: ``(height, width)`` in pixels.
        layer: transformer blocks to keep; None keeps all, and the norm after them.
        patch: patch size in pixels; None for the model's own.
        head: outputs of a linear head; None for none. Such a model (a student) may have any number of blocks.

    Raises:
        ValueError: no such model, more blocks than it has, or tokens that are not one a patch.
    """
    timm = require("timm", extra="encoders")
    check_name(name)
    options: dict[str, object] = {"pretrained": False, "img_size": tuple(frame_size), "num_classes": head or 0}
    if layer is not None:
        options["depth"] = layer
    if patch is not None:
        options["patch_size"] = patch
    try:
        found = None if layer is None or head is not None else _layer_out_of_range(timm, name, layer)
        if found is None:
            backbone = timm.create_model(name, **options).eval()
            found = _tokens_of_one_frame(backbone, frame_size)
    # timm's models refuse sizes and options in many ways.
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name} takes no frames of {frame_size[0]}x{frame_size[1]} with layer={layer}: {error}; choose a plain "
            "vision transformer and a multiple of its patch size"
        ) from error
    if found is not None:
        raise ValueError(f"{name} cannot be a backbone of patch tokens: {found}")
    if layer is not None:
        backbone.norm = nn.Identity()
    return backbone


def check_name(name: str) -> None:
    """Raise a ValueError, with names that there are, for a name or tag that timm does not have."""
    timm = require("timm", extra="encoders")
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = timm.list_models(f"*{architecture.split('_')[0]}*dino*") or timm.list_models("vit*dino*")
        raise ValueError(f"timm has no model {name!r}; transformers with DINO weights: {', '.join(near)}")
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and name not in tagged:
        raise ValueError(
            f"timm has no weights {tag!r} of {architecture}; it has {', '.join(tagged) or 'none'}: name one of these, "
            "or none for the first"
        )


def normalization(name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of the colours, in [0, 1], that timm says the weights want."""
    timm = require("timm", extra="encoders")
    own = timm.get_pretrained_cfg(name)
    (r, g, b), (sr, sg, sb) = own.mean, own.std
    return (float(r), float(g), float(b)), (float(sr), float(sg), float(sb))


def _layer_out_of_range(timm: Any, name: str, layer: int) -> str | None:
    """What is wrong with the number of blocks to keep; None if the model has so many."""
    with shapes_only():
        blocks = len(getattr(timm.create_model(name, pretrained=False), "blocks", ()))
    if not blocks:
        return f"it has no blocks to take {layer} of; {PLAIN}"
    return None if 1 <= layer <= blocks else f"layer={layer}, expected 1 to {blocks}, its blocks, or None for all"


def _tokens_of_one_frame(backbone: Any, frame_size: tuple[int, int]) -> str | None:
    """What is wrong with the tokens of one black frame; None where there is one a patch behind the prefix."""
    for name in ("patch_embed", "num_prefix_tokens", "embed_dim", "blocks"):
        if not hasattr(backbone, name):
            return f"it has no {name}; {PLAIN}"
    height, width = backbone.patch_embed.patch_size
    if frame_size[0] % height or frame_size[1] % width:
        return (
            f"its patches of {height}x{width} pixels do not divide frames of {frame_size[0]}x{frame_size[1]}; use for "
            f"example {max(1, frame_size[0] // height) * height}x{max(1, frame_size[1] // width) * width}"
        )
    rows, columns = frame_size[0] // height, frame_size[1] // width
    expected = (1, backbone.num_prefix_tokens + rows * columns, backbone.embed_dim)
    with torch.no_grad():
        tokens = backbone.forward_features(torch.zeros(1, 3, *frame_size))
    shape = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
    if shape != expected:
        return (
            f"one frame of {frame_size[0]}x{frame_size[1]} gives {shape}, expected {expected}: {rows}x{columns} "
            f"patches behind {backbone.num_prefix_tokens} other tokens; {PLAIN}"
        )
    return None


def load_matching(backbone: Any, weights: dict[str, Tensor], name: str) -> None:
    """Load ``weights`` into ``backbone``; blocks past its depth are left out, position tables are resampled.

    Raises:
        ValueError: weights of another model.
    """
    layers = require("timm.layers", extra="encoders")
    wanted = backbone.state_dict()
    chosen = {key: value for key, value in weights.items() if key in wanted}
    table = "pos_embed"
    if table in chosen and chosen[table].shape != wanted[table].shape:
        prefix = 0 if getattr(backbone, "no_embed_class", False) else backbone.num_prefix_tokens
        chosen[table] = layers.resample_abs_pos_embed(
            chosen[table], new_size=list(backbone.patch_embed.grid_size), num_prefix_tokens=prefix
        )
    missing = sorted(set(wanted) - set(chosen))
    if missing:
        raise ValueError(
            f"the weights lack {len(missing)} tensors of {name}, first {missing[:5]}; is it another model?"
        )
    odd = [key for key in wanted if chosen[key].shape != wanted[key].shape]
    if odd:
        raise ValueError(
            f"the weights are not of {name}: {odd[0]} has shape {tuple(chosen[odd[0]].shape)}, expected "
            f"{tuple(wanted[odd[0]].shape)}; is it another model?"
        )
    backbone.load_state_dict(chosen)
