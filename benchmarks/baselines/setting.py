"""What all trainings of one comparison share, and how the others' sizes are matched to RLA-WM's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.baselines.recorded import Recorded
from benchmarks.baselines.sizes import matched_width, rla_wm_count
from rla_gym.models.encoder import Encoder
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.presets import ModelConfigs


@dataclass(frozen=True)
class Setting:
    """What all trainings of one comparison share.

    Attributes:
        recorded: the episodes.
        configs: RLA-WM's networks, whose sizes the others match.
        out: folder of the model's run.
        chunk, batch_size, seed: K; samples a step; of first weights and batches.
        encoder: the one that made the tokens; needed for video diffusion alone.
        autoencoder: folder of a trained autoencoder's run, where it is not `out`'s own.
        starts: held-out starts of token models.
    """

    recorded: Recorded
    configs: ModelConfigs
    out: Path
    chunk: int = 4
    batch_size: int = 64
    seed: int = 0
    encoder: Encoder | None = None
    autoencoder: Path | None = None
    starts: int = 128

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of the data that configurations of token models name."""
        flow = self.configs.flow
        return {
            "channels": flow.channels,
            "patches": flow.patches,
            "action_size": flow.robots["0"],
            "proprio_size": flow.proprio_size,
        }

    @property
    def blocks(self) -> int:
        """Blocks over patches of a deep baseline: those that regress in an anchored RLA-WM, else those of both its
        stages."""
        flow = self.configs.flow
        return flow.conditioning_blocks if flow.anchor else flow.conditioning_blocks + flow.flow_blocks

    @property
    def plain_flow(self) -> FlowConfig:
        """The paper's flow, from pure noise, without an anchor: as many blocks for the noise as for its conditions."""
        flow, half = self.configs.flow, self.blocks // 2
        if not flow.anchor:
            return flow
        blocks = {"conditioning_blocks": self.blocks - half, "flow_blocks": half}
        return replace(flow, anchor=False, grid_columns=0, copy_heads=0, **blocks)

    def matched(self, build: Callable[[int], Any], network: Callable[[Any], Any], multiple: int = 8) -> Any:
        """The configuration `build(width)` whose `network` has as many parameters as RLA-WM; see `matched_width`."""
        return build(matched_width(lambda width: network(build(width)), rla_wm_count(self.configs), multiple))
