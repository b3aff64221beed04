"""One small world model made by the commands themselves: collect, encoder, encode, train, export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rla_gym.cli import main
from tests.narrow import narrow_presets
from tests.recording import workers_in_threads

EPISODES, SEED = 4, 1
STAGES = ("autoencoder", "features", "flow", "decoder", "image-decoder")


@dataclass(frozen=True)
class Made:
    """Where the commands wrote."""

    folder: Path

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    @property
    def encoder(self) -> str:
        return str(self.folder / "encoder.safetensors")

    @property
    def tokens(self) -> str:
        return str(self.folder / "tokens")

    @property
    def run(self) -> str:
        return str(self.folder / "run")

    @property
    def checkpoint(self) -> str:
        return str(self.folder / "checkpoint")

    def collect(self) -> list[str]:
        shares = ["--play", "0.25", "--goal-blind", "0", "--noise", "0.1"]
        return ["collect", "--task", "push-cube", "--episodes", str(EPISODES), *shares, "--seed", str(SEED),
                "--max-steps", "47", "--workers", "1", "--out", self.data]  # fmt: skip

    def encode(self) -> list[str]:
        return ["encode", "--data", self.data, "--encoder", self.encoder, "--pca", "12", "--out", self.tokens]

    def train(self, steps: int = 2, model: str = "all") -> list[str]:
        sizes = [f"--{stage}.{name}={value}" for stage in STAGES for name, value in
                 (("steps", steps), ("batch-size", 2), ("held-out", 4))]  # fmt: skip
        return ["train", model, "--tokens", self.tokens, "--data", self.data, "--out", self.run, "--no-tensorboard",
                "--image-decoder.max-frames=8", *sizes]  # fmt: skip

    def export(self) -> list[str]:
        return ["export", "--run", self.run, "--tokens", self.tokens, "--data", self.data, "--name", "small",
                "--references", "2", "--out", self.checkpoint]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def small_networks() -> Iterator[None]:
    """What the commands build by the names of presets."""
    with narrow_presets():
        yield


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("cli"))
    encoder = ["encoder", "--backbone", "vit_tiny_patch16_224", "--layer", "1", "--weights", "random:0"]
    commands = (made.collect(), [*encoder, "--out", made.encoder], made.encode(), made.train(), made.export())
    with narrow_presets(), workers_in_threads():
        for arguments in commands:
            assert main(arguments) == 0
    return made
