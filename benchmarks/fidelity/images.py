"""Measures of frames, a number a frame, by torchmetrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rla_gym.utils.optional import require

BLOCK = 64
"""Frames measured at a time."""
BEST_PSNR = 100.0
"""Decibels, where equal frames would give infinity."""


def image_errors(
    found: np.ndarray, true: np.ndarray, lpips: Callable[[Tensor, Tensor], Tensor] | None = None
) -> dict[str, np.ndarray]:
    """ "ssim", "psnr" in dB and, where it is given, "lpips" of frames (B, H, W, 3) uint8, each (B,) float32.

    SSIM as by Wang et al. 2004 (gaussian window of 11 pixels); PSNR at most `BEST_PSNR`.
    """
    functional = require("torchmetrics.functional.image", extra="benchmarks")
    parts: dict[str, list[Tensor]] = {}
    for first in range(0, len(found), BLOCK):
        one, other = (as_images(frames[first : first + BLOCK]) for frames in (found, true))
        ratio = functional.peak_signal_noise_ratio(one, other, data_range=1.0, reduction="none", dim=(1, 2, 3))
        measured = {
            "ssim": functional.structural_similarity_index_measure(one, other, data_range=1.0, reduction="none"),
            "psnr": ratio.clamp(max=BEST_PSNR),
        }
        if lpips is not None:
            measured["lpips"] = lpips(one, other)
        for name, values in measured.items():
            parts.setdefault(name, []).append(values.reshape(len(one)))
    return {name: torch.cat(values).numpy() for name, values in parts.items()}


def as_images(frames: np.ndarray) -> Tensor:
    """(B, 3, H, W) float32 in [0, 1] of frames (B, H, W, 3) uint8."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255


def cached_lpips(net: str) -> Callable[[Tensor, Tensor], Tensor]:
    """LPIPS (Zhang et al. 2018) on the network "alex", "vgg" or "squeeze" if its weights are here; nothing is fetched.

    Raises:
        ValueError: another network.
        FileNotFoundError: its weights are not in torch's cache.
    """
    names = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}
    if net not in names:
        raise ValueError(f"lpips={net!r}: expected one of {', '.join(names)}")
    url = getattr(require("torchvision.models", extra="encoders"), names[net]).IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        raise FileNotFoundError(f"LPIPS needs {path}, which is never fetched silently: get it from {url}")
    module = require("torchmetrics.image.lpip", extra="benchmarks")
    network = module.LearnedPerceptualImagePatchSimilarity(net_type=net).net

    def lpips(one: Tensor, other: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = network(one, other, normalize=True)
        return found

    return lpips
