"""Action-conditioned video diffusion in pixels, with the U-Net and the schedulers of the package diffusers.

One prediction draws the frame K actions ahead from the present frame; frames are fed back as frames. Squares of
`patch` x `patch` pixels become channels first (space to depth, without loss), which makes a U-Net affordable on a CPU
at the full size of the frames. The chunk and proprioception join the embedding of the diffusion time. Times are uniform
on a cosine schedule that ends in noise alone; sampling is DDIM without added noise, so that the initial noise, which
the key gives, decides the frame.

Two choices favour the model. It predicts the clean frame, not the noise, which would have to pass whole through fewer
channels than there are (Li and He, "Back to Basics: Let Denoising Generative Models Denoise", 2025); and what the U-Net
gives is added to the present frame, so that untrained it already draws the scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.baselines.condition import Condition
from benchmarks.baselines.frame_tokens import FrameTokens
from benchmarks.baselines.interface import State, WorldModel
from rla_gym.models.transformer import zero
from rla_gym.utils.keyed_rng import keyed_normal
from rla_gym.utils.optional import require

TIMES = 1000
"""Times of the noise schedule."""


@dataclass(frozen=True)
class VideoConfig:
    """Sizes of the network."""

    frame_size: tuple[int, int]
    """(H, W) of the frames in pixels."""
    action_size: int
    proprio_size: int
    width: int
    """Channels at full resolution; one and a half times and twice as many at the half and the quarter."""
    patch: int = 4
    """Pixels that a square of channels stands for."""
    layers: int = 1
    """Residual blocks a level."""

    @property
    def channels(self) -> int:
        """Channels of a frame after space to depth."""
        return 3 * self.patch**2

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns after space to depth."""
        return self.frame_size[0] // self.patch, self.frame_size[1] // self.patch

    def __post_init__(self) -> None:
        if any(side % (4 * self.patch) for side in self.frame_size):
            raise ValueError(
                f"frames of {self.frame_size} pixels cannot be halved twice after squares of {self.patch}: expected "
                f"multiples of {4 * self.patch}"
            )
        if self.width % 8:
            raise ValueError(f"width={self.width}: expected a multiple of 8, for the group norms")


class VideoNetwork(nn.Module):
    """The U-Net, and the condition that joins its time embedding."""

    def __init__(self, config: VideoConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        diffusers = require("diffusers", extra="benchmarks")
        self.config = config
        width = config.width
        # diffusers fills weights from torch's global generator alone: it is set for this and put back.
        with torch.random.fork_rng(devices=[]):
            if generator is not None:
                torch.manual_seed(generator.initial_seed())
            self.unet = diffusers.UNet2DModel(
                sample_size=config.grid,
                in_channels=2 * config.channels,
                out_channels=config.channels,
                block_out_channels=(width, width * 3 // 2, 2 * width),
                layers_per_block=config.layers,
                down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
                norm_num_groups=4,
                class_embed_type="identity",
            )
        zero(self.unet.conv_out)
        self.condition = Condition(config.action_size, config.proprio_size, 4 * width)
        self.condition.reset_parameters(generator)

    def forward(self, noisy: Tensor, frames: Tensor, times: Tensor, vector: Tensor) -> Tensor:
        """Predicted later frames (B, 3·p², h, w) without noise, from noisy ones, and from the present ones `frames`.

        All are frames after `to_channels`; `times` (B,) int64, `vector` (B, 4·width) of the condition.
        """
        change: Tensor = self.unet(torch.cat([noisy, frames], dim=1), times, class_labels=vector).sample
        return frames + change.float()

    def to_channels(self, frames: Tensor) -> Tensor:
        """Frames (B, H, W, 3) uint8 to (B, 3·p², h, w) float32 in [-1, 1]."""
        images = frames.permute(0, 3, 1, 2).float() / 127.5 - 1
        return F.pixel_unshuffle(images, self.config.patch)

    def to_frames(self, channels: Tensor) -> Tensor:
        """The inverse of `to_channels`, rounded and cut to uint8."""
        images = F.pixel_shuffle(channels, self.config.patch)
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def noise_schedule() -> Any:
    """The scheduler of diffusers, for training and for sampling."""
    diffusers = require("diffusers", extra="benchmarks")
    return diffusers.DDIMScheduler(
        num_train_timesteps=TIMES,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=True,
    )


class VideoDiffusion(WorldModel):
    """A trained network that draws frames, and the encoder that turns them into tokens.

    Args:
        network: trained.
        tokenizer: frames to standardised tokens.
        steps: evaluations of the U-Net for one frame.
    """

    name = "video-diffusion"
    stochastic = True
    needs_frames = True
    slow = True

    def __init__(self, network: VideoNetwork, tokenizer: FrameTokens, steps: int = 16) -> None:
        self.network, self.tokenizer, self.steps = network, tokenizer, steps

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """Noise to the next frames, and their tokens."""
        frames, later = self.draw(state.memory["frames"], chunks, state.proprio, keys)
        return state.moved(self.tokenizer(frames), later, frames=frames)

    def draw(
        self, frames: Tensor, chunks: Tensor, proprio: Tensor | None, keys: np.ndarray
    ) -> tuple[Tensor, Tensor | None]:
        """Frames (B, H, W, 3) uint8 and proprioception (B, P) or None after the chunks (B, K, A)."""
        config, schedule = self.network.config, noise_schedule()
        schedule.set_timesteps(self.steps)
        vector, later = self.network.condition(chunks, None, proprio)
        present = self.network.to_channels(frames)
        x = torch.from_numpy(keyed_normal(keys, (config.channels, *config.grid))).to(present)
        for time in schedule.timesteps:
            clean = self.network(x, present, time.expand(len(x)).to(x.device), vector)
            x = schedule.step(clean, time, x).prev_sample
        return self.network.to_frames(x), later

    def networks(self) -> dict[str, nn.Module]:
        """The U-Net with its condition."""
        return {"network": self.network}
