"""The commands that are killed, as small as they can be, and what has to hold of their output at any moment."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rla_gym.cli.collect import Collect
from rla_gym.cli.encode import Encode
from rla_gym.cli.encoder import MakeEncoder
from rla_gym.cli.export import Export
from rla_gym.cli.recipes import RECIPES, SOMEWHERE, Recipe
from rla_gym.cli.stages import AutoencoderStage, DecoderStage, FeaturesStage, FlowStage, ImageDecoderStage
from rla_gym.cli.train import TrainAll
from rla_gym.models.image_decoder import ImageDecoderConfig
from rla_gym.models.presets import PRESETS, ModelConfigs
from rla_gym.utils.files import read_json
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
        Stage("build", _build, _check_built, _collected),
        Stage("demo", _demo, _check_demo),
    ]


def use_small_networks() -> None:
    """Give the preset that is trained here few numbers, and `build` a small recipe: what is killed is the writing."""
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
    RECIPES["small"] = _recipe()


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


def _recipe() -> Recipe:
    """The commands above, one after another."""
    small = {"batch_size": 2, "held_out": 1, "save_every": 1, "eval_every": 4, "log_every": 1, "warmup": 1}
    return Recipe(
        collects=(Collect(task="push-cube", out=SOMEWHERE, episodes=3, seed=3, play=0, goal_blind=0, noise=0.1),),
        encoder=MakeEncoder(out=SOMEWHERE, backbone="vit_tiny_patch16_224", layer=1, weights="random:0"),
        encode=Encode(data=SOMEWHERE, out=SOMEWHERE, batch=16, pca=12),
        train=TrainAll(
            tokens=SOMEWHERE,
            out=SOMEWHERE,
            tensorboard=False,
            autoencoder=AutoencoderStage(steps=4, **small),
            features=FeaturesStage(steps=4, **small),
            flow=FlowStage(steps=4, **small),
            decoder=DecoderStage(steps=0),
            image_decoder=ImageDecoderStage(steps=4, max_frames=8, **small),
        ),
        export=Export(run_folder=SOMEWHERE, tokens=SOMEWHERE, data=SOMEWHERE, out=SOMEWHERE, name="s", references=1),
    )


def _build(inputs: Path, out: Path) -> list[str]:
    return ["build", "small", "--folder", str(out), "--workers", "2"]


def _collected(inputs: Path, out: Path) -> None:
    """What `collect` records, which is killed by itself: a build that begins after it."""
    shutil.copytree(inputs / "collect", out / "data")


def _demo(inputs: Path, out: Path) -> list[str]:
    small = {"demonstrations": 2, "clone-epochs": 2, "num-envs": 4, "n-steps": 4, "batch-size": 8, "n-epochs": 1}
    small |= {"timesteps": 32, "warmup-iterations": 1, "dream-checks": 1, "episodes": 2, "real-envs": 2, "workers": 0}
    settings = [f"--{name}={value}" for name, value in small.items()]
    parts = ["--dream-references", "train", "--held-out-references", "train", "--precision", "float32", "--videos", "1"]
    return ["demo", "--ckpt", str(inputs / "export"), *settings, *parts, "--out", str(out)]


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


def _check_built(out: Path) -> None:
    _check_data(out / "data")
    _check_encoder(out)
    _check_store(out / "tokens")
    _check_run(out / "run")
    _check_checkpoint(out / "checkpoint")


def _check_demo(out: Path) -> None:
    if (out / "result.json").exists():
        read_json(out / "result.json")
    if (out / "agent.zip").exists():
        _networks(out / "agent.zip")


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
            for measured in ("frames_per_second_a_process", "digest"):  # the latter is of all the rest
                card.pop(measured, None)
            found[name] = json.dumps(card).encode()
        elif path.name == "card.md":
            found[name] = b"\n".join(line for line in path.read_bytes().splitlines() if b"Measured:" not in line)
        elif path.name == "log.jsonl":
            entries = [json.loads(line) for line in path.read_bytes().splitlines()]
            found[name] = json.dumps([{**entry, "steps_per_second": None} for entry in entries]).encode()
        elif path.name == "result.json":
            found[name] = json.dumps(_without_clock(read_json(path))).encode()
        elif path.suffix == ".zip" and zipfile.is_zipfile(path):
            found.update({f"{name}/{part}": value for part, value in _networks(path).items()})
        else:
            found[name] = path.read_bytes()
    return found


def _without_clock(value: Any) -> Any:
    """A demo's result without its folder and what was measured by a clock, or of the process."""
    if isinstance(value, dict):
        measured = ("seconds", "memory_mib", "dream_speed", "out")
        return {name: _without_clock(each) for name, each in value.items() if name not in measured}
    return [_without_clock(each) for each in value] if isinstance(value, list) else value


def _networks(agent: Path) -> dict[str, bytes]:
    """Weights and optimiser of an agent's file; what is beside them has the time of its training."""
    with zipfile.ZipFile(agent) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".pth")}
