"""Action chunks to one vector: a small MLP on each frame and a GRU over time, one encoder for each robot."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from rla_gym.models.shapes import check_shape
from rla_gym.models.transformer import full_precision


class ActionEncoder(nn.Module):
    """Encoder of one robot's chunks: Linear, GELU, Linear on each action, then a one-layer GRU."""

    def __init__(self, action_size: int, width: int, frame_channels: int = 64) -> None:
        super().__init__()
        self.action_size = action_size
        self.per_frame_mlp = nn.Sequential(
            nn.Linear(action_size, frame_channels), nn.GELU(), nn.Linear(frame_channels, frame_channels)
        )
        self.gru = nn.GRU(frame_channels, width, batch_first=True)

    def forward(self, chunk: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """GRU state (B, width) after the last valid action of each row.

        `chunk` is (B, K, action_size), right-padded; `lengths` (B,) int64 in 1..K, None if every row has K
        actions. A GRU never looks ahead, so reading its output at `lengths - 1` equals running it on packed
        sequences.
        """
        # Recurrences gain nothing from 16-bit arithmetic at this size and lose accuracy over the chunk.
        with torch.autocast(chunk.device.type, enabled=False):
            outputs, last = self.gru(full_precision(self.per_frame_mlp(chunk)))
            if lengths is None:
                return last[0]
            rows = torch.arange(chunk.shape[0], device=chunk.device)
            return outputs[rows, lengths - 1]


class ActionEncoders(nn.ModuleDict):
    """Action encoders by robot id ("0", "1", ...), with one output width.

    Args:
        robots: action size of each robot id.
        max_horizon: longest chunk.
        strict: refuse chunks of another width or longer than `max_horizon`. If False, as the release does it:
            only the first `max_horizon` actions count, joints beyond the robot's are cut, missing ones filled
            with zeros.
    """

    def __init__(
        self, robots: Mapping[str, int], width: int, frame_channels: int, max_horizon: int, strict: bool
    ) -> None:
        super().__init__({name: ActionEncoder(size, width, frame_channels) for name, size in robots.items()})
        if not robots:
            raise ValueError('robots is empty, expected an action size for each robot id, such as {"0": 7}')
        self.robots, self.width, self.max_horizon, self.strict = dict(robots), width, max_horizon, strict

    def encode(
        self, chunk: torch.Tensor, lengths: torch.Tensor | None = None, robots: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Action vectors (B, width).

        Args:
            chunk: (B, K, A) float32 in [-1, 1], right-padded where `lengths` is given.
            lengths: (B,) int64, valid actions of each row, 1 to K; None if all K are valid.
            robots: (B,) int64 robot ids; an id without encoder (such as -1) gives a zero vector. None means
                robot 0, or the only robot.

        Raises:
            ValueError: wrong shape, width or length.
        """
        check_shape("chunk", chunk, ("batch", "actions", "action size"))
        batch, actions, _ = chunk.shape
        if self.strict and not 1 <= actions <= self.max_horizon:
            raise ValueError(f"chunk has {actions} actions, expected 1 to max_horizon = {self.max_horizon}")
        if lengths is not None:
            check_shape("lengths", lengths, (batch,))
        if robots is None:
            name = "0" if "0" in self else next(iter(self))
            return self._one_robot(name, chunk, lengths)
        check_shape("robots", robots, (batch,))
        vectors = chunk.new_zeros(batch, self.width)
        for name in self.robots:
            rows = (robots == int(name)).nonzero().squeeze(-1)
            if len(rows):
                selected = self._one_robot(name, chunk[rows], None if lengths is None else lengths[rows])
                vectors = vectors.index_copy(0, rows, selected)
        return vectors

    def _one_robot(self, name: str, chunk: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        size = self.robots[name]
        if self.strict and chunk.shape[2] != size:
            raise ValueError(f"chunk has shape {tuple(chunk.shape)}, expected (batch, actions, {size})")
        if lengths is not None:
            shortest, longest = int(lengths.min()), int(lengths.max())
            if shortest < 1 or longest > chunk.shape[1]:
                raise ValueError(f"lengths run from {shortest} to {longest}, expected 1 to {chunk.shape[1]}")
        chunk = chunk[:, : self.max_horizon, :size]
        if chunk.shape[2] < size:
            chunk = F.pad(chunk, (0, size - chunk.shape[2]))
        return self[name](chunk, None if lengths is None else lengths.clamp(max=self.max_horizon))
