"""Reads what `benchmarks.baselines.costs` measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.baselines.models import Stage
from benchmarks.baselines.setting import Setting
from rla_gym.training.records import differences
from rla_gym.utils.files import read_json


def sizes_of(setting: Setting, precision: str, threads: int) -> dict[str, Any]:
    """What a step's cost depends on and is the same in all tasks of a comparison, as JSON has it."""
    flow = asdict(setting.configs.flow)
    own = {name: value for name, value in flow.items() if name not in ("robots", "proprio_size")}
    frame = [int(side) for side in setting.recorded.store.info["spec"]["frame_size"]]
    common = {"batch_size": setting.batch_size, "precision": precision, "threads": threads, "chunk": setting.chunk}
    return {**common, "frame_size": frame, "flow": own, "autoencoder": asdict(setting.configs.autoencoder)}


def known_cost(path: Path, model: str, stage: Stage, setting: Setting, precision: str, threads: int) -> float:
    """Seconds a step of a model's training, from the file that `costs` wrote.

    Raises:
        KeyError: the model or its training was not measured.
        ValueError: it was measured at other sizes.
    """
    measured, wanted = read_json(path), sizes_of(setting, precision, threads)
    other = "; ".join(differences(measured["sizes"], wanted))
    if other:
        raise ValueError(
            f"the costs in {path} are of other sizes than this training, measured -> given: {other}: measure them anew"
        )
    found = measured["seconds_a_step"].get(model, {})
    if stage.folder not in found:
        raise KeyError(f"{path} has no cost of {model}, {stage.folder}: measure with it among --models")
    return float(found[stage.folder])
