"""Released runs in miniature, unpacked from `tests/models/released`: see the README there."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

PACKED = Path(__file__).parent / "released"
GRID = 2.0**-14
"""Packed weights are multiples of it."""


def unpack(folder: Path) -> Path:
    """Write the runs as the release saves them, each tensor as safetensors and pickled, and return `folder`."""
    shutil.copytree(PACKED, folder, ignore=shutil.ignore_patterns("weights.npz"), dirs_exist_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    with np.load(PACKED / "weights.npz") as packed:
        stored = {name: torch.from_numpy(packed[name].astype(np.float32) * np.float32(GRID)) for name in packed.files}
    for model, (run, key) in manifest["models"].items():
        prefix = f"{model}/"
        weights = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
        if model in manifest["scattered"]:
            shapes = manifest["scattered"][model]
            weights = {name: scattered_weight(name, tuple(shape)) for name, shape in shapes.items()}
        ckpts = folder / manifest[run] / "ckpts"
        ckpts.mkdir(exist_ok=True)
        save_file(weights, ckpts / f"{key}_step0000100.safetensors")
        torch.save(weights, ckpts / f"{key}_step0000100.pt")
    return folder


def scattered_weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Weights that are a function of their name alone, about as large as those of a fresh network."""
    # SplitMix64 of a counter: the same on every machine and with every version of NumPy and torch.
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) + (np.uint64(zlib.crc32(name.encode())) << np.uint64(32))
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    uniform = (x >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    if len(shape) == 1:
        values = np.float32(0.1) * uniform + np.float32(name.split(".")[-2].startswith("norm") and "weight" in name)
    else:
        fan_in = shape[0] if "upsample" in name else int(np.prod(shape[1:]))
        values = uniform * np.float32((3 / fan_in) ** 0.5)
    return torch.from_numpy(values.reshape(shape))
