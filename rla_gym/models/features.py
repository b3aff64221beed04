"""A fixed, label-free map from tokens to a short vector that says where things are.

Agents get positions, not patches: a small network turns the tokens into attention maps, and the mean position under
each map is one keypoint (a spatial softmax). The map is trained without any label, by rebuilding the tokens from
the keypoints and the robot's proprioception alone (`KeypointDecoder`), so that what differs between frames has to be
told by positions, and keypoints are free to follow what proprioception does not tell: the objects.

Few keypoints: agents that learn from a hundred demonstrations do better on eight numbers, each a place of something,
than on a richer map (`benchmarks/observation.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rla_gym.models.shapes import check_shape, check_sizes

ROBOT_PLACES = 4
"""Places of the picture that the decoder may compute from proprioception."""


@dataclass(frozen=True)
class FeaturesConfig:
    """Sizes of a keypoint map.

    Attributes:
        channels: token channels ``C``.
        grid: ``(rows, columns)`` of patches.
        keypoints: number of keypoints ``M``; the features are ``2 * M`` numbers. About two for each object.
        width: hidden width of the attention maps' network.
        decoder_width: hidden width of the decoder, used in training only.
    """

    channels: int
    grid: tuple[int, int]
    keypoints: int = 4
    width: int = 64
    decoder_width: int = 128

    def __post_init__(self) -> None:
        check_sizes(self)

    @property
    def size(self) -> int:
        """Numbers ``F`` in a feature vector."""
        return 2 * self.keypoints

    @property
    def patches(self) -> int:
        """Number of patches ``L``."""
        return self.grid[0] * self.grid[1]


def patch_positions(grid: tuple[int, int]) -> Tensor:
    """Centres of the patches, ``(L, 2)`` as (x, y) in [−1, 1], row by row."""
    rows, columns = grid
    y = (torch.arange(rows) + 0.5) / rows * 2 - 1
    x = (torch.arange(columns) + 0.5) / columns * 2 - 1
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)], dim=1)


class KeypointFeatures(nn.Module):
    """Tokens to keypoint positions."""

    positions: Tensor

    def __init__(self, config: FeaturesConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        self.position = nn.Parameter(torch.zeros(config.patches, config.width))
        self.input = nn.Linear(config.channels, config.width)
        self.hidden = nn.Linear(config.width, config.width)
        self.maps = nn.Linear(config.width, config.keypoints)
        self.register_buffer("positions", patch_positions(config.grid), persistent=False)
        _initialise(self, generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """Keypoint positions.

        Args:
            tokens: ``(B, L, C)`` standardised tokens.

        Returns:
            ``(B, 2 M)`` float32 in [−1, 1]: x of all keypoints, then y.

        Raises:
            ValueError: another shape.
        """
        check_shape("tokens", tokens, ("B", self.config.patches, self.config.channels))
        hidden = nn.functional.gelu(self.input(tokens) + self.position)
        hidden = nn.functional.gelu(self.hidden(hidden))
        # Patches last: along another axis, the softmax of a row is rounded by the batch and the number of threads.
        attention = self.maps(hidden).float().transpose(1, 2).contiguous().softmax(dim=2)
        places = nn.functional.linear(attention, self.positions.T)
        return places.transpose(1, 2).flatten(1)


class KeypointDecoder(nn.Module):
    """Rebuilds tokens from keypoints: for each patch, from its place and its offsets to all keypoints.

    Args:
        config: of the keypoints.
        proprio_size: numbers of proprioception; a small network turns them into `ROBOT_PLACES` places in the picture,
            which count like keypoints. 0: there is none.
        generator: of the first weights.
    """

    positions: Tensor

    def __init__(self, config: FeaturesConfig, proprio_size: int = 0, generator: torch.Generator | None = None):
        super().__init__()
        self.config, self.proprio_size = config, proprio_size
        width, places = config.decoder_width, config.keypoints + (ROBOT_PLACES if proprio_size else 0)
        self.position = nn.Parameter(torch.zeros(config.patches, width))
        self.offsets = nn.Linear(3 * places, width)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, config.channels)
        if proprio_size:
            self.robot_hidden = nn.Linear(proprio_size, width)
            self.robot_places = nn.Linear(width, 2 * ROBOT_PLACES)
        self.register_buffer("positions", patch_positions(config.grid), persistent=False)
        _initialise(self, generator)

    def forward(self, keypoints: Tensor, proprio: Tensor | None = None) -> Tensor:
        """Tokens ``(B, L, C)`` from keypoints ``(B, 2 M)`` and standardised proprioception ``(B, P)``.

        Raises:
            ValueError: proprioception of another size, or none where the decoder was made for some.
        """
        points = keypoints.unflatten(1, (2, self.config.keypoints))
        if self.proprio_size:
            if proprio is None:
                raise ValueError(f"no proprioception, this decoder was made for {self.proprio_size} numbers of it")
            check_shape("proprio", proprio, ("B", self.proprio_size))
            robot = self.robot_places(nn.functional.gelu(self.robot_hidden(proprio)))
            points = torch.cat([points, robot.unflatten(1, (2, ROBOT_PLACES))], dim=2)
        offsets = points[:, None] - self.positions[None, :, :, None]
        # A bump about one patch wide makes "is it here?" a linear question.
        near = torch.exp(-offsets.square().sum(dim=2) / (2 * (2.0 / self.config.grid[0]) ** 2))
        hidden = self.offsets(torch.cat([offsets.flatten(2), near], dim=2)) + self.position
        hidden = nn.functional.gelu(hidden)
        hidden = nn.functional.gelu(self.hidden(hidden))
        return self.output(hidden)


def _initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    """Small weights: attention starts out even, and a keypoint finds its thing from wherever that is.

    With larger weights the maps start out peaked at random patches, and keypoints stay there.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = part.weight[0].numel() ** -0.5
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            nn.init.uniform_(part.bias, -bound, bound, generator=generator)
    for name, parameter in module.named_parameters():
        if name == "position":
            nn.init.normal_(parameter, std=0.2, generator=generator)
