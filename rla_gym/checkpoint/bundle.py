"""What a checkpoint holds in memory: configuration, networks, statistics and reference episodes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.checkpoint.consistency import check_config
from rla_gym.checkpoint.data_range import RANGES, check_range, reference_range
from rla_gym.checkpoint.provenance import Fingerprint, Provenance, provenance_of
from rla_gym.checkpoint.references import References
from rla_gym.data.pca import project_tokens
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.batch_invariance import WholeBlocks
from rla_gym.models.encoder import Encoder
from rla_gym.models.features import FeaturesConfig, KeypointFeatures
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.utils.devices import find_device

NO_WIDTH = 1e-12


@dataclass(frozen=True)
class RewardDefaults:
    """What environments reward with unless told otherwise; see `rla_gym.rewards`."""

    mode: str = "progress"
    metric: str = "l2"
    patches: str = "all"
    scale: float = 1.0


@dataclass(frozen=True)
class BundleConfig:
    """Everything about a checkpoint that is no tensor.

    Attributes:
        name: of the checkpoint.
        task, task_options: what `rla_gym.tasks.make_task` makes the task of: its name, and options such as a camera
            or the name of a success rule (JSON values).
        encoder_name, encoder_hash: of the encoder that made the tokens.
        grid: (h, w) patches of a frame.
        frame_size: (H, W) pixels of a frame.
        chunk: K, control steps of one environment step.
        action_low, action_high: bounds of one control step's action, in the task's own units.
        max_episode_steps: chunks after which an episode is truncated by default.
        autoencoder, flow, image_decoder, features: configurations of the networks; no image decoder: None.
        reward: defaults of the reward.
        thresholds: goal distance under which an episode counts as solved, by metric and patches, such as
            {"l2/moving": 0.31}.
        steps: default evaluations of the flow for a prediction, see `rla_gym.dream.dream.Dream`.
        temperature: default factor of the initial noise; 0 gives the central sample.
        control_hz: control steps a second.
        object_names: names of the entries of the references' `objects`.
        data_card, training_card, metrics: how data and models were made and how good they are, JSON-able.
    """

    name: str
    task: str
    encoder_name: str
    encoder_hash: str
    grid: tuple[int, int]
    frame_size: tuple[int, int]
    chunk: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    max_episode_steps: int
    autoencoder: RLAConfig
    flow: FlowConfig
    features: FeaturesConfig
    image_decoder: ImageDecoderConfig | None = None
    reward: RewardDefaults = field(default_factory=RewardDefaults)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    steps: int = 4
    temperature: float = 0.0
    control_hz: float = 10.0
    object_names: tuple[str, ...] = ()
    task_options: Mapping[str, Any] = field(default_factory=dict)
    data_card: Mapping[str, Any] = field(default_factory=dict)
    training_card: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_config(self)

    @property
    def action_size(self) -> int:
        """A, numbers of one control step's action."""
        return len(self.action_low)

    @property
    def proprio_size(self) -> int:
        """P, proprioceptive values that the model predicts."""
        return self.flow.proprio_size


@dataclass
class Bundle:
    """A loaded checkpoint. Networks are frozen and in evaluation mode; environments share them.

    A pickle of a bundle names its folder and holds only what differs from it, such as other references; without a
    `path`, or where the folder was changed since, it holds everything (`rla_gym.checkpoint.pickling`). Copies by the
    module `copy` are copies, with weights of their own.

    Attributes:
        mean, std: (C,) float32 statistics of stored tokens.
        proprio_mean, proprio_std: (P,) float32.
        token_low, token_high, proprio_low, proprio_high: (C,) and (P,) float32, what dreams are kept in, in the units
            of `mean`: the range of the training data, or None to take that of the references, widened.
        object_weights: (F,) float32, how much each feature counts in the distance "objects"; None: it is not known.
        pca_mean, pca_components: (C',) and (C, C') of the channel map between encoder and stored tokens, or None.
        encoder_path: the encoder's own file, None where the checkpoint has none.
        path: the folder that it was read from, None where there is none.
    """

    config: BundleConfig
    autoencoder: RLAAutoencoder
    flow: FlowWorldModel
    features: KeypointFeatures
    mean: Tensor
    std: Tensor
    proprio_mean: Tensor
    proprio_std: Tensor
    references: References
    image_decoder: ImageDecoder | None = None
    object_weights: Tensor | None = None
    token_low: Tensor | None = None
    token_high: Tensor | None = None
    proprio_low: Tensor | None = None
    proprio_high: Tensor | None = None
    pca_mean: Tensor | None = None
    pca_components: Tensor | None = None
    encoder_path: Path | None = None
    path: Path | None = None
    _encoder: Encoder | None = None
    _copies: dict[torch.device, Bundle] = field(default_factory=dict, repr=False, compare=False)
    _origin: Provenance | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for model in (self.autoencoder, self.flow, self.features, self.image_decoder):
            if model is not None:
                model.eval().requires_grad_(False)
        if any(getattr(self, name) is None for name in RANGES):
            self.__dict__.update(reference_range(self))
        check_range(self)
        # Never those of another bundle, which `replace` would pass on.
        self._copies = {self.device: self}
        if self._origin is None:
            self._origin = provenance_of(self)

    def __copy__(self) -> Bundle:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundle:
        own = ("_copies", "_origin")
        parts = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in own}
        made = memo[id(self)] = replace(self, **copy.deepcopy(parts, memo))
        return made

    @property
    def device(self) -> torch.device:
        """Where the networks, statistics and references are."""
        return self.mean.device

    def to(self, device: str | torch.device) -> Bundle:
        """This bundle on a device; one copy a device, shared by all who ask it or one of its copies.

        Raises:
            ValueError: there is no such device here; the text lists those that there are.
        """
        # "meta" has sizes and no contents, as whoever asks for it wants; elsewhere it is refused.
        wanted = torch.device(device) if str(device) == "meta" else find_device(device)
        if wanted not in self._copies:
            moved: dict[str, Any] = {}
            for entry in fields(self):
                value = getattr(self, entry.name)
                if isinstance(value, torch.nn.Module):
                    moved[entry.name] = copy.deepcopy(value).to(wanted)
                elif isinstance(value, Tensor | References):
                    moved[entry.name] = value.to(str(wanted))
            self._copies[wanted] = replace(self, **moved)
            self._copies[wanted]._copies = self._copies
        return self._copies[wanted]

    @property
    def encoder(self) -> Encoder:
        """The frame encoder, loaded at the first use.

        Raises:
            FileNotFoundError: the checkpoint comes without one; give it with `bundle.use_encoder(...)`.
            ValueError: it is not the encoder that made the tokens.
        """
        if self._encoder is None:
            if self.encoder_path is None:
                raise FileNotFoundError(
                    f"checkpoint {self.config.name!r} has no encoder.safetensors, so frames cannot be encoded: make "
                    f"{self.config.encoder_name} with rla_gym.models.encoder.load_encoder and call use_encoder(...)"
                )
            self.use_encoder(Encoder.load(self.encoder_path))
        assert self._encoder is not None
        return self._encoder

    def use_encoder(self, encoder: Encoder) -> None:
        """Encode frames with `encoder`; a ValueError if its hash is not that of the tokens' encoder."""
        if encoder.hash != self.config.encoder_hash:
            raise ValueError(
                f"checkpoint {self.config.name!r} was made with encoder {self.config.encoder_name} "
                f"({self.config.encoder_hash[:12]}), this is {encoder.name} ({encoder.hash[:12]})"
            )
        if tuple(encoder.config.frame_size) != tuple(self.config.frame_size):
            raise ValueError(
                f"checkpoint {self.config.name!r} has frames of {self.config.frame_size}, its encoder {encoder.name} "
                f"takes {tuple(encoder.config.frame_size)}: export or fetch the checkpoint again"
            )
        self._encoder = encoder if self.device == _device_of(encoder) else copy.deepcopy(encoder).to(self.device)
        if self._origin is not None and self.encoder_path is not None:
            self._origin.prints["_encoder"] = Fingerprint.of(encoder)

    def standardize(self, tokens: Tensor) -> Tensor:
        """Stored tokens (..., C) of any float type to standardised float32."""
        return (tokens.float() - self.mean) / self.std

    def encode_frames(self, frames: np.ndarray) -> Tensor:
        """Standardised tokens (B, L, C) float32 on the CPU of frames (B, H, W, 3) uint8.

        They pass the same channel map and float16 rounding as the stored tokens. A recorded frame gives the recorded
        tokens up to rounding: of float16 where another machine or number of threads encoded it, of bf16 where the
        store was encoded in that.
        """
        with torch.inference_mode():
            return (self.stored_tokens(frames).float() - self.mean.cpu()) / self.std.cpu()

    def stored_tokens(self, frames: np.ndarray) -> Tensor:
        """Tokens (B, L, C) float16 on the CPU of frames (B, H, W, 3) uint8, as a token store holds them."""
        with torch.inference_mode(), WholeBlocks():
            tokens = self.encoder.encode(torch.from_numpy(np.ascontiguousarray(frames))).cpu()
            if self.pca_mean is not None and self.pca_components is not None:
                tokens = project_tokens(tokens, self.pca_mean, self.pca_components)
            return tokens.half()

    def standardize_proprio(self, proprio: Tensor) -> Tensor:
        """Proprioception (..., P) in the task's units to standardised float32; (..., 0) for a model without any."""
        if not self.config.proprio_size:
            return proprio[..., :0].float()
        return (proprio.float() - self.proprio_mean) / self.proprio_std

    def feature_map(self, tokens: Tensor) -> Tensor:
        """Features (B, F) float32 of standardised tokens (B, L, C); a row's result does not depend on B."""
        with torch.inference_mode(), WholeBlocks():
            features: Tensor = self.features(tokens)
        return features.clone()

    def object_map(self, tokens: Tensor) -> Tensor:
        """Features (B, F) float32 times their weights in the distance "objects".

        Raises:
            ValueError: the checkpoint has no such weights.
        """
        if self.object_weights is None:
            raise ValueError(
                f"checkpoint {self.config.name!r} does not know which features follow objects: take metric='features', "
                "or export the checkpoint again"
            )
        return self.feature_map(tokens) * self.object_weights

    def decode_images(self, tokens: Tensor) -> np.ndarray:
        """Frames (B, H, W, 3) uint8 of standardised tokens (B, L, C); on the CPU a frame does not depend on B.

        Raises:
            ValueError: the checkpoint has no image decoder.
        """
        if self.image_decoder is None:
            raise ValueError(f"checkpoint {self.config.name!r} has no image decoder, so its dreams have no pictures")
        return self.image_decoder.frames(tokens, self.config.grid, self.config.frame_size)

    def scale_actions(self, actions: np.ndarray) -> np.ndarray:
        """Actions (..., A) of the task's bounds to [-1, 1] float32; a bound without width gives 0."""
        low, width = self._bounds()
        safe = np.where(width > NO_WIDTH, width, 1.0)
        scaled = 2 * (np.asarray(actions, np.float64) - low) / safe - 1
        chunks: np.ndarray = np.where(width > NO_WIDTH, scaled, 0.0).astype(np.float32)
        return chunks

    def unscale_actions(self, chunks: np.ndarray) -> np.ndarray:
        """Actions (..., A) in [-1, 1] to the task's bounds, float32; undoes `scale_actions`."""
        low, width = self._bounds()
        actions: np.ndarray = (low + (np.asarray(chunks, np.float64) + 1.0) / 2 * width).astype(np.float32)
        return actions

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        # Worked in float64: a contact turns the last bit of a float32 action into a millimetre.
        low = np.asarray(self.config.action_low, np.float64)
        return low, np.asarray(self.config.action_high, np.float64) - low


def _device_of(model: torch.nn.Module) -> torch.device:
    return next(model.parameters()).device
