"""The commands that are killed, as small as they can be, and what has to hold of their output at any moment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rla_gym.models.image_decoder import ImageDecoderConfig
from rla_gym.models.presets import PRESETS, ModelConfigs
from rla_gym.utils.outputs import MANIFEST

MODELS = ("autoencoder", "features", "flow", "image-decoder")
INDEX = ".index.json"
"""End of the name of a data set's index, which holds the times of its file."""
FOREIGN = {".git/HEAD": "ref: refs/heads/main\n", "agent.zip": "an agent", "references/notes.txt": "notes\n"}
"""What a user has beside a checkpoint; it must survive."""


@dataclass(frozen=True)
class Stage:
    """One command: `arguments(inputs, out)`, what is at `out` before, and a check that raises where `out` is half."""

    name: str
    arguments: Callable[[Path, Path], list[str]]
    check: Callable[[Path], None]
    prepare: Callable[[Path, Path], None] = lambda inputs, out: None


def stages() -> list[Stage]:
    """All of them, in the order in which they can be run first: each finds what it needs in the folder of inputs."""
    return [
        Stage("collect", lambda inputs, out: _collect(3, 3, 2, out), _check_data),
        Stage("collect-more", lambda inputs, out: _collect(2, 4, 1, out, "--interrupted", "1"), _check_data),
        Stage("merge", _merge, _check_data),
        Stage("encoder", _encoder, _check_encoder),
        Stage("encode", lambda inputs, out: _encode(inputs, out, "--pca", "12"), _check_store),
        Stage("encode-like", lambda inputs, out: _encode(inputs, out, "--like", str(inputs / "encode")), _check_store),
        *(Stage(f"train-{model}", _training(model), _check_run, _before(model)) for model in MODELS),
        Stage("train-all", _train_all, _check_run),
        Stage("export", _export(1), _check_checkpoint),
        Stage("export-over", _export(2), _check_replaced, _exported),
    ]


def use_small_networks() -> None:
    """Give the preset that is trained here few numbers: what is killed is the writing of them."""
    wide = PRESETS["tiny"]

    def build(*sizes: Any, **more: Any) -> ModelConfigs:
        made = wide(*sizes, **more)
        latents = {"latent_tokens": 4, "latent_channels": 8}
        widths = {"encoder_width": 32, "decoder_width": 32, "encoder_blocks": 1, "decoder_blocks": 1}
        blocks = {"width": 32, "flow_width": 32, "conditioning_blocks": 1, "flow_blocks": 1}
        channels = made.autoencoder.channels
        return ModelConfigs(
            replace(made.autoencoder, **latents, **widths),
            replace(made.flow, **latents, **blocks),
            ImageDecoderConfig(channels, (16, 8, 8, 8, 8), 0, (0, 0, 0, 0), False),
        )

    PRESETS["tiny"] = build


def _collect(episodes: int, seed: int, workers: int, out: Path, *more: str) -> list[str]:
    shares = ["--play", "0", "--goal-blind", "0", "--noise", "0.1", *more]
    counts = ["--episodes", str(episodes), "--seed", str(seed), "--workers", str(workers)]
    return ["collect", "--task", "push-cube", *counts, *shares, "--out", str(out)]


def _merge(inputs: Path, out: Path) -> list[str]:
    return ["merge", str(inputs / "collect"), str(inputs / "collect-more"), "--out", str(out)]


def _encoder(inputs: Path, out: Path) -> list[str]:
    backbone = ["--backbone", "vit_tiny_patch16_224", "--layer", "1", "--weights", "random:0"]
    return ["encoder", *backbone, "--out", str(out / "encoder.safetensors")]


def _encode(inputs: Path, out: Path, *more: str) -> list[str]:
    encoder = str(inputs / "encoder" / "encoder.safetensors")
    return ["encode", "--data", str(inputs / "merge"), "--encoder", encoder, "--batch", "16", *more, "--out", str(out)]


def _train(inputs: Path, out: Path, model: str, *settings: str) -> list[str]:
    where = ["--tokens", str(inputs / "encode"), "--data", str(inputs / "merge"), "--out", str(out)]
    return ["train", model, *where, "--no-tensorboard", *settings]


def _settings(model: str, prefix: str = "") -> list[str]:
    small = {"steps": 4, "batch-size": 2, "held-out": 1, "save-every": 1, "eval-every": 4, "log-every": 1, "warmup": 1}
    if model == "image-decoder":
        small["max-frames"] = 8
    return [f"--{prefix}{name}={value}" for name, value in small.items()]


def _training(model: str) -> Callable[[Path, Path], list[str]]:
    return lambda inputs, out: _train(inputs, out, model, *_settings(model))


def _train_all(inputs: Path, out: Path) -> list[str]:
    settings = [setting for model in MODELS for setting in _settings(model, f"{model}.")]
    return _train(inputs, out, "all", "--decoder.steps=0", *settings)


def _before(model: str) -> Callable[[Path, Path], None]:
    """A flow is trained beside its autoencoder."""

    def prepare(inputs: Path, out: Path) -> None:
        if model == "flow":
            shutil.copytree(inputs / "train-autoencoder" / "autoencoder", out / "autoencoder")

    return prepare


def _export(references: int) -> Callable[[Path, Path], list[str]]:
    def arguments(inputs: Path, out: Path) -> list[str]:
        where = [
            "--run",
            str(inputs / "train-all"),
            "--tokens",
            str(inputs / "encode"),
            "--data",
            str(inputs / "merge"),
        ]
        return ["export", *where, "--name", "small", "--references", str(references), "--out", str(out)]

    return arguments


def _exported(inputs: Path, out: Path) -> None:
    """An older checkpoint, and what its user keeps beside it."""
    shutil.copytree(inputs / "export", out)
    for name, text in FOREIGN.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(text)


def _check_data(out: Path) -> None:
    from rla_gym.data import EpisodeDataset

    if (out / "episodes.hdf5").exists():
        with EpisodeDataset(out) as dataset:
            dataset.verify()


def _check_encoder(out: Path) -> None:
    from rla_gym.models.encoder import Encoder

    if (out / "encoder.safetensors").exists():
        Encoder.load(out / "encoder.safetensors")


def _check_store(out: Path) -> None:
    from rla_gym.data import TokenStore

    if (out / "index.json").exists():
        TokenStore.open(out)


def _check_run(out: Path) -> None:
    from rla_gym.training.run import TrainedRun

    for pointer in out.glob("*/latest.json"):
        TrainedRun.read(pointer.parent)


def _check_checkpoint(out: Path) -> None:
    from rla_gym.checkpoint.store import load_checkpoint

    if (out / "config.json").exists():
        load_checkpoint(out)


def _check_replaced(out: Path) -> None:
    from rla_gym.checkpoint.store import load_checkpoint

    bundle = load_checkpoint(out)
    chosen = bundle.config.training_card["references"]["episodes"]
    if len(bundle.references) != len(chosen):
        raise ValueError(f"{len(bundle.references)} references, {len(chosen)} in the card: two exports are mixed")
    for name, text in FOREIGN.items():
        if (out / name).read_text() != text:
            raise ValueError(f"{name} was changed")


def content(out: Path) -> dict[str, bytes]:
    """All files and folders of an output by name, without what a clock gave: two runs of one command give the same."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_dir():
            found[f"{name}/"] = b""
        elif path.name.endswith(INDEX):
            continue
        elif path.name == MANIFEST:
            manifest = json.loads(path.read_bytes())
            files = {file: hashes for file, hashes in manifest.pop("files").items() if not file.endswith(INDEX)}
            sealed = {file: hashes is not None for file, hashes in files.items()}
            found[name] = json.dumps({**manifest, "sealed": sealed}).encode()
        elif path.name == "card.json":
            card = json.loads(path.read_bytes())
            card.pop("frames_per_second_a_process", None)
            found[name] = json.dumps(card).encode()
        elif path.name == "card.md":
            found[name] = b"\n".join(line for line in path.read_bytes().splitlines() if b"Measured:" not in line)
        elif path.name == "log.jsonl":
            entries = [json.loads(line) for line in path.read_bytes().splitlines()]
            found[name] = json.dumps([{**entry, "steps_per_second": None} for entry in entries]).encode()
        else:
            found[name] = path.read_bytes()
    return found
