"""Tiny files of every kind that rla_gym reads back, and what is done with each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle, BundleConfig
from rla_gym.checkpoint.references import References
from rla_gym.checkpoint.store import load_checkpoint, save_checkpoint
from rla_gym.cli.inspect import card_of
from rla_gym.data.card import make_card, write_card
from rla_gym.data.episodes import Episode, EpisodeDataset
from rla_gym.data.formats.robomimic import write_dataset
from rla_gym.data.tokens import TokenStore, encode_dataset
from rla_gym.envs.world import RLAWorldEnv
from rla_gym.export.export import build_model
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.encoder import Encoder, EncoderConfig
from rla_gym.models.features import FeaturesConfig, KeypointFeatures
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.models.presets import build_configs
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.autoencoder import AutoencoderTraining
from rla_gym.training.batches import proprio_statistics
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.training.run import TrainedRun

SIZE, CHANNELS, CHUNK, EPISODES, FRAMES = 28, 8, 2, 5, 6
SPEC: dict[str, Any] = {
    "name": "my-robot",
    "frame_size": [SIZE, SIZE],
    "action_low": [-1.0, -1.0],
    "action_high": [1.0, 1.0],
    "proprio_size": 2,
    "object_names": ["x"],
    "control_hz": 10.0,
    "max_steps": 20,
}


@dataclass(frozen=True)
class Target:
    """A folder that rla_gym wrote.

    Attributes:
        use: reads everything in such a folder and works with it; returns a fingerprint of what comes out.
    """

    name: str
    folder: Path
    use: Callable[[Path], str]


def make_targets(folder: Path) -> list[Target]:
    """Write a data set, a token store, a training run and a checkpoint into `folder`, the same for every call."""
    with torch.random.fork_rng():  # some weights are drawn from torch's global generator, which stays the caller's
        torch.manual_seed(0)
        return _make_targets(folder)


def _make_targets(folder: Path) -> list[Target]:
    data = folder / "data"
    data.mkdir(parents=True)
    write_dataset(data / "episodes.hdf5", [_episode(seed) for seed in range(EPISODES)], SPEC)
    with EpisodeDataset(data) as dataset:
        write_card(data, make_card(dataset, {"seed": 0}, 10.0, (data / "episodes.hdf5").stat().st_size))
        encoder_file = folder / "encoder.safetensors"
        config = EncoderConfig("vit_tiny_patch16_224", (SIZE, SIZE), layer=1, description="random", patch=14)
        Encoder(config).save(encoder_file)
        encoder = Encoder.load(encoder_file)
        store = encode_dataset(dataset, encoder, folder / "tokens", progress=False, pca=CHANNELS)
    (store.path / "encoder.safetensors").unlink()  # the checkpoint's is read
    _ = store.motion
    fit(_training(store), _loop(3), folder / "run", progress=False, tensorboard=False, cpu=True)
    save_checkpoint(folder / "checkpoint", _bundle(store, encoder))
    return [
        Target("data set", data, _use_data),
        Target("token store", folder / "tokens", _use_store),
        Target("training run", folder / "run", lambda path: _use_run(path, store)),
        Target("checkpoint", folder / "checkpoint", _use_checkpoint),
    ]


def _episode(seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    return Episode(
        frames=rng.integers(0, 255, (FRAMES, SIZE, SIZE, 3), np.uint8),
        actions=rng.uniform(-1, 1, (FRAMES - 1, 2)).astype(np.float32),
        proprio=rng.normal(size=(FRAMES, 2)).astype(np.float32),
        states=rng.normal(size=(FRAMES, 3)),
        objects=rng.normal(size=(FRAMES, 1)).astype(np.float32),
        task="my-robot",
        success=True,
        seed=seed,
        source="expert",
    )


def _autoencoder_config() -> RLAConfig:
    return RLAConfig(CHANNELS, 4, 2, 4, 16, 1, 2, 16, 1, 2, 2.0, position_embedding=True, residual_decoder=True)


def _training(store: TokenStore) -> AutoencoderTraining:
    return AutoencoderTraining(store, _autoencoder_config(), 4, 0, max_horizon=CHUNK, chunk=CHUNK, held_out_pairs=4)


def _loop(steps: int) -> LoopConfig:
    return LoopConfig(steps=steps, batch_size=4, warmup=1, log_every=1, eval_every=100, save_every=2)


def _bundle(store: TokenStore, encoder: Encoder) -> Bundle:
    configs = build_configs("tiny", CHANNELS, store.grid, 2, 2, CHUNK)
    flow = replace(
        configs.flow, latent_tokens=2, latent_channels=4, width=16, flow_width=16, conditioning_blocks=1, flow_blocks=1,
        heads=2, frame_channels=8,
    )  # fmt: skip
    decoder = ImageDecoderConfig(CHANNELS, (8, 8), 0, (0,), False, 4)
    features = FeaturesConfig(CHANNELS, store.grid, keypoints=2, width=8)
    autoencoder, world, pca = _autoencoder_config(), FlowWorldModel(flow), store.pca
    assert pca is not None
    with torch.no_grad():  # fresh output layers are zero: nothing would move
        for parameter in world.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    mean, std = proprio_statistics(store)
    config = BundleConfig(
        name="tiny",
        task="my-robot",
        encoder_name=encoder.name,
        encoder_hash=encoder.hash,
        grid=store.grid,
        frame_size=(SIZE, SIZE),
        chunk=CHUNK,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
        max_episode_steps=4,
        autoencoder=autoencoder,
        flow=flow,
        features=features,
        image_decoder=decoder,
        thresholds={"l2": 0.5},
        steps=2,
        temperature=1.0,
        object_names=("x",),
        data_card={"episodes": EPISODES},
    )
    return Bundle(
        config=config,
        autoencoder=RLAAutoencoder(autoencoder),
        flow=world,
        features=KeypointFeatures(features),
        image_decoder=ImageDecoder(decoder),
        mean=torch.from_numpy(store.mean),
        std=torch.from_numpy(store.std),
        proprio_mean=mean,
        proprio_std=std,
        object_weights=torch.ones(features.size),
        references=References.from_store(store, range(EPISODES)),
        pca_mean=torch.from_numpy(pca.mean),
        pca_components=torch.from_numpy(pca.components),
        _encoder=encoder,
    )


class _Fingerprint:
    """SHA-256 of everything that was added."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, *values: Any) -> None:
        for value in values:
            if isinstance(value, torch.Tensor):
                value = value.detach().cpu().numpy()
            if isinstance(value, np.ndarray):
                self._digest.update(f"|{value.dtype}:{value.shape}".encode())
                value = np.ascontiguousarray(value).tobytes()
            self._digest.update(value if isinstance(value, bytes) else repr(value).encode())

    def text(self) -> str:
        return self._digest.hexdigest()


def _use_data(folder: Path) -> str:
    found = _Fingerprint()
    card_of(str(folder), verify=True)  # with or without a card
    with EpisodeDataset(folder) as dataset:
        for episode in dataset:
            found.add(*(getattr(episode, name) for name in ("frames", "actions", "proprio", "states", "objects")))
            found.add(episode.task, episode.success, episode.seed, episode.source)
        found.add(dataset.hash, dataset.lengths, dataset.spec)
    return found.text()


def _use_store(folder: Path) -> str:
    found, store = _Fingerprint(), TokenStore.open(folder)
    rows = np.arange(len(store))
    found.add(store.normalized(rows), store.actions, store.proprio, store.objects, store.states, store.coordinates)
    found.add(store.motion, store.starts, store.lengths, store.sources, store.successes, store.seeds, store.grid)
    found.add(store.info, References.from_store(store).select("all"))
    found.add(card_of(str(folder)))
    return found.text()


def _use_run(folder: Path, store: TokenStore) -> str:
    found, run = _Fingerprint(), TrainedRun.read(folder)
    run.check_data(store)
    model = build_model("autoencoder", run)
    with torch.no_grad():
        found.add(model(torch.ones(1, 4, CHANNELS), torch.zeros(1, 4, CHANNELS))[0])
    found.add(run.step, run.steps, run.metrics, run.processes, card_of(str(folder)).replace(str(folder), ""))
    fit(_training(store), _loop(4), folder, extend=True, progress=False, tensorboard=False, cpu=True)
    for modules in TrainedRun.read(folder).weights.values():
        found.add(*(tensor for _, tensor in sorted(modules.items())))
    return found.text()


def _use_checkpoint(folder: Path) -> str:
    found, bundle = _Fingerprint(), load_checkpoint(folder)
    config = asdict(bundle.config)
    found.add({name: value for name, value in config.items() if name not in ("data_card", "training_card", "metrics")})
    env = RLAWorldEnv(bundle)
    observation, info = env.reset(seed=3)
    found.add(observation, sorted(info))
    for step in range(3):
        observation, reward, *rest = env.step(np.full(env.action_space.shape, 0.5 - 0.3 * step, np.float32))
        if not (np.isfinite(observation).all() and np.isfinite(reward)):
            raise AssertionError(f"observation {observation}, reward {reward}: not finite")
        found.add(observation, reward, *rest[:2])
    frames = np.full((1, *bundle.config.frame_size, 3), 128, np.uint8)
    found.add(bundle.encode_frames(frames), bundle.decode_images(bundle.encode_frames(frames)))
    found.add(*vars(bundle.references).values())
    found.add(len(card_of(str(folder))) > 0)
    return found.text()
