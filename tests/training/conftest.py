"""A small recorded data set of the push-cube task and its token store, made once a session."""

import hashlib

import pytest
import torch
from torch.nn import functional as F

from rla_gym.data import EpisodeDataset, TokenStore, encode_dataset
from tests.recording import record


class PooledPixels:
    """A frame encoder without weights: average-pooled 14-pixel patches, cut into 2 x 2 colours (12 channels)."""

    name = "pooled-pixels"
    hash = hashlib.sha256(b"pooled-pixels 14 2x2").hexdigest()

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return height // 14, width // 14

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(frames.permute(0, 3, 1, 2).float() / 255.0, 7)
        return F.pixel_unshuffle(pooled, 2).flatten(2).transpose(1, 2)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    out = tmp_path_factory.mktemp("episodes")
    return record("push-cube", 40, out, play=0.7, seed=6)


@pytest.fixture(scope="session")
def store(dataset: EpisodeDataset, tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    return encode_dataset(dataset, PooledPixels(), tmp_path_factory.mktemp("tokens"), progress=False)
