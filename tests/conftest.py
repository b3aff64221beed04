"""A small real checkpoint: recorded episodes, a vision transformer's tokens, and networks with random weights."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle, BundleConfig, RewardDefaults
from rla_gym.checkpoint.references import References
from rla_gym.checkpoint.store import load_checkpoint, save_checkpoint
from rla_gym.collect.collect import CollectConfig
from rla_gym.data import EpisodeDataset, TokenStore, encode_dataset
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.encoder import Encoder, load_encoder
from rla_gym.models.features import FeaturesConfig, KeypointFeatures
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.models.presets import build_configs
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.batches import proprio_statistics
from tests.recording import collect_here, record

# The networks here are tiny: more threads only wait for each other, and where other work has the cores that makes a
# test many times slower. One thread also gives the same sums, to the last bit, on every machine.
torch.set_num_threads(1)

# As the command line does: without a display, MuJoCo's own choice finds none. It is read when MuJoCo is imported.
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

# Gymnasium's checker opens a window for every environment that has one: let it be one that nobody sees.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

CHUNK, CHANNELS = 4, 12

WHOLE = ("tests/cli", "tests/data", "tests/training")
"""Folders whose tests share what takes seconds to make."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes, the tests of a file or of a folder in `WHOLE` stay in one: fixtures are made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((folder for folder in WHOLE if file.startswith(f"{folder}/")), file)

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def default_signals() -> Iterator[None]:
    """Handlers as at a terminal: shells start background jobs, and many CI runners their jobs, with SIGINT ignored."""
    wanted = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler or signal.SIG_DFL)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    out = tmp_path_factory.mktemp("recorded") / "push-cube"
    return record("push-cube", 10, out, play=0.3, seed=3)


@pytest.fixture(scope="session")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of ten episodes, for the tests of recording and of the data layer."""
    out = tmp_path_factory.mktemp("collected") / "push-cube"
    return collect_here(CollectConfig("push-cube", 10, play=0.3, goal_blind=0.2, seed=6, out=out))


@pytest.fixture
def dataset(collected: Path) -> EpisodeDataset:
    return EpisodeDataset(collected)


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """One block of a ViT-Ti with random weights, as it comes back from its file."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    load_encoder("vit_tiny_patch16_224", (112, 112), layer=1, weights="random:0").save(path)
    return Encoder.load(path)


@pytest.fixture(scope="session")
def encoded(recorded: EpisodeDataset, small_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    out = tmp_path_factory.mktemp("tokens")
    return encode_dataset(recorded, small_encoder, out, progress=False, pca=CHANNELS)


def stirred(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """`model` with noise on its weights: fresh ones have output layers of zero and would dream that nothing moves."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.03 * torch.randn(parameter.shape, generator=generator)
    return model


def peaked(model: KeypointFeatures) -> KeypointFeatures:
    """`model` with larger weights: the attention of a fresh one is even, and its keypoints hardly move."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter *= 0.0 if name.endswith("bias") else 3**0.5
    return model


def make_bundle(store: TokenStore, encoder: Encoder, anchor: bool = False) -> Bundle:
    """A bundle of tiny networks with random weights on the episodes of `store`; with `anchor`, linear latents."""
    spec, grid = store.info["spec"], store.grid
    configs = build_configs("tiny", CHANNELS, grid, 2, spec["proprio_size"], CHUNK)
    sizes = {"encoder_width": 32, "encoder_blocks": 1, "decoder_width": 32, "decoder_blocks": 1}
    autoencoder = replace(configs.autoencoder, latent_tokens=4, latent_channels=8, **sizes)
    flow = replace(
        configs.flow, latent_tokens=4, latent_channels=8, width=32, flow_width=32, conditioning_blocks=1, flow_blocks=2
    )
    if anchor:
        autoencoder = replace(autoencoder, linear_path=True, encoder_blocks=0)
        flow = replace(flow, anchor=True)
    decoder = ImageDecoderConfig(CHANNELS, (16, 8, 8, 8, 8), 0, (0, 0, 0, 0), False)
    features = FeaturesConfig(CHANNELS, grid, keypoints=6, width=16)
    mean, std = proprio_statistics(store)
    config = BundleConfig(
        name="small",
        task=store.info["task"],
        encoder_name=encoder.name,
        encoder_hash=encoder.hash,
        grid=grid,
        frame_size=(112, 112),
        chunk=CHUNK,
        action_low=tuple(spec["action_low"]),
        action_high=tuple(spec["action_high"]),
        max_episode_steps=12,
        autoencoder=autoencoder,
        flow=flow,
        features=features,
        image_decoder=decoder,
        reward=RewardDefaults(mode="progress", metric="l2", patches="moving", scale=10.0),
        thresholds={"l2/moving": 0.05},
        steps=2,
        temperature=1.0,
        object_names=tuple(spec["object_names"]),
        data_card={"episodes": len(store.lengths)},
    )
    pca = store.pca
    assert pca is not None
    bundle = Bundle(
        config=config,
        autoencoder=stirred(RLAAutoencoder(autoencoder, torch.Generator().manual_seed(0)), 1),
        flow=stirred(FlowWorldModel(flow, torch.Generator().manual_seed(2)), 3),
        features=peaked(KeypointFeatures(features, torch.Generator().manual_seed(4))),
        image_decoder=stirred(ImageDecoder(decoder, torch.Generator().manual_seed(5)), 6),
        mean=torch.from_numpy(store.mean),
        std=torch.from_numpy(store.std),
        object_weights=torch.linspace(0.2, 1.0, features.size),
        proprio_mean=mean,
        proprio_std=std,
        references=References.from_store(store, range(len(store.lengths))),
        pca_mean=torch.from_numpy(pca.mean),
        pca_components=torch.from_numpy(pca.components),
        _encoder=encoder,
    )
    if anchor:
        for model in (bundle.autoencoder, bundle.flow):
            directions = torch.randn(32, model.components.shape[1], generator=torch.Generator().manual_seed(9))
            model.components.copy_(torch.linalg.qr(directions.T).Q.T)
    return bundle


@pytest.fixture(scope="session")
def checkpoint(encoded: TokenStore, small_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "small", make_bundle(encoded, small_encoder))


@pytest.fixture(scope="session")
def bundle(checkpoint: Path) -> Bundle:
    return load_checkpoint(checkpoint)
