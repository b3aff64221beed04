"""Channel PCA of patch tokens: fewer channels, kept where the content moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rla_gym.utils.files import atomic_path
from rla_gym.utils.tensors import check_fit, read_tensors, save_tensors


@dataclass(frozen=True)
class ChannelPCA:
    """A linear map of C channels to k, the same at every patch: (token - mean) @ components.T."""

    mean: np.ndarray  # (C,) float32
    components: np.ndarray  # (k, C) float32, orthonormal rows, by falling variance
    explained: float  # share of the variance (around each position's mean) that the k components keep

    def project(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens (B, L, C) float to (B, L, k) float32, as `project_tokens` does."""
        mean, components = torch.from_numpy(self.mean), torch.from_numpy(self.components)
        return project_tokens(torch.from_numpy(tokens), mean, components).numpy()

    def save(self, path: str | Path) -> None:
        """Write as safetensors, whole or not at all."""
        arrays = {
            "mean": torch.from_numpy(self.mean).contiguous(),
            "components": torch.from_numpy(self.components).contiguous(),
            "explained": torch.tensor([self.explained], dtype=torch.float64),
        }
        with atomic_path(path) as temporary:
            save_tensors(temporary, arrays)

    @classmethod
    def load(cls, path: str | Path) -> ChannelPCA:
        """Read what `save` wrote; a missing or damaged file is a FileNotFoundError, KeyError or ValueError."""
        advice = "remove the folder and encode again"
        arrays, _ = read_tensors(path, advice)
        shape = tuple(arrays["components"].shape) if "components" in arrays else ()
        channels = shape[1] if len(shape) == 2 else -1
        wanted = {
            "mean": torch.empty(max(channels, 0), device="meta"),
            "components": torch.empty(shape if channels >= 0 else (0, 0), device="meta"),
            "explained": torch.empty(1, device="meta"),
        }
        check_fit(wanted, arrays, path, advice)
        if not 0 <= float(arrays["explained"]) <= 1 + 1e-6:
            raise ValueError(f"{path}: explained is {float(arrays['explained'])}, expected a fraction; {advice}")
        mean, components = (arrays[name].float().numpy() for name in ("mean", "components"))
        return cls(mean, components, float(arrays["explained"]))


def project_tokens(tokens: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    """Tokens (B, L, C) through a channel map, mean (C,) and components (k, C): (B, L, k) float32 on the CPU.

    The one product that token stores and checkpoints go through. A frame at a time: matrix libraries choose
    their kernels by the number of rows, and a frame shall get the same tokens whatever is encoded beside it.
    """
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        centred, components = tokens.float().cpu() - mean.float().cpu(), components.float().cpu()
        if not len(centred):
            return centred.new_zeros((*centred.shape[:-1], len(components)))
        return torch.stack([F.linear(frame, components) for frame in centred])


def fit_channel_pca(batches: Iterable[np.ndarray], components: int) -> ChannelPCA:
    """Fit on batches of tokens (B, L, C), with each patch position's mean removed first.

    A scene's standing content has most of a token's variance over positions; what is left around each
    position's own mean is what changes with time, and that is what the components are chosen to keep.
    Accumulated in float64, with the sign of each component fixed: the same batches give the same map.

    Raises:
        ValueError: no batches, or more components than channels.
    """
    shift: np.ndarray | None = None
    sums: np.ndarray | None = None
    products: np.ndarray | None = None
    count = 0
    for batch in batches:
        tokens = batch.astype(np.float64)
        if shift is None or sums is None or products is None:
            length, channels = tokens.shape[1:]
            if not 1 <= components <= channels:
                raise ValueError(
                    f"pca={components} components asked for, expected 1 to {channels}, the channels there are"
                )
            shift = tokens.mean(axis=(0, 1))  # near the mean, so that the products below cancel little
            sums, products = np.zeros((length, channels)), np.zeros((channels, channels))
        tokens -= shift
        flat = tokens.reshape(-1, tokens.shape[-1])
        sums += tokens.sum(axis=0)
        products += flat.T @ flat
        count += len(tokens)
    if shift is None or sums is None or products is None:
        raise ValueError("no tokens to fit a PCA on: are there training episodes?")
    scatter = products - sums.T @ sums / count
    values, vectors = np.linalg.eigh(scatter)
    values, rows = values[::-1].clip(min=0.0), vectors[:, ::-1].T[:components]
    signs = np.sign(rows[np.arange(components), np.abs(rows).argmax(axis=1)])
    mean = shift + sums.sum(axis=0) / (count * len(sums))
    return ChannelPCA(
        mean.astype(np.float32),
        np.ascontiguousarray(rows * signs[:, None], dtype=np.float32),
        float(values[:components].sum() / max(values.sum(), 1e-30)),
    )
