"""What all models of one comparison share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from benchmarks.baselines.models import STAGES


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Data, and the sizes that a step's cost depends on."""

    tokens: Path
    """Token store that `rla-gym encode` wrote."""
    data: Path | None = None
    """The data set whose frames the tokens are; video diffusion needs it."""
    encoder: Path | None = None
    """Encoder's file for video diffusion; None: the token store's own."""
    preset: Literal["nano", "tiny", "base", "paper"] = "nano"
    """Sizes of RLA-WM's networks, which the others match."""
    batch_size: int = 32
    """Samples a step."""
    precision: Literal["no", "bf16"] = "bf16"
    """bf16: autocast."""
    chunk: int = 4
    """Control steps of one chunk."""
    threads: int = 1
    """Threads of torch."""

    def common(self) -> dict[str, Any]:
        """These settings alone, by name, as `benchmarks.baselines.train.Args` takes them."""
        return {field.name: getattr(self, field.name) for field in fields(Shared)}


def check_models(models: Iterable[str], data: Path | None) -> None:
    """A KeyError for a model that is not trained here, a ValueError for none, or video diffusion without frames."""
    asked = tuple(models)
    trained = [name for name, stages in STAGES.items() if stages]
    for name in asked:
        if name not in trained:
            raise KeyError(f"no trained model {name!r}; there are {', '.join(trained)}")
    if not asked:
        raise ValueError(f"no models are given; there are {', '.join(trained)}")
    if "video-diffusion" in asked and data is None:
        raise ValueError("video-diffusion needs the recorded frames: give --data, or --models without it")
