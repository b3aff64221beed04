"""What a training run leaves on disk: whole checkpoints, the pointer to the latest one, and a log of JSON lines.

    out/step_00000500/state.safetensors   weights, averaged weights and AdamW moments, flat names
    out/step_00000500/state.json          step, configuration, metrics
    out/latest.json                       {"step": 500, "folder": "step_00000500"}
    out/log.jsonl                         one JSON object a line

A checkpoint is written under a temporary name and renamed, so a killed run never leaves half of one behind.
Nothing is pickled.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rla_gym.files import atomic_path, read_json, write_json

FORMAT = 1


class RunRecords:
    """The folder of one training run.

    Args:
        out: the folder; made when first written to.
        keep: how many of the newest checkpoints stay.
    """

    def __init__(self, out: str | Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1 checkpoint, not {keep}")
        self.out = Path(out)
        self.keep = keep

    def latest(self) -> Path | None:
        """The folder of the newest whole checkpoint, or None where the run has not saved yet."""
        pointer = self.out / "latest.json"
        if not pointer.exists():
            return None
        folder = self.out / str(read_json(pointer)["folder"])
        if not (folder / "state.json").exists():
            raise FileNotFoundError(
                f"{pointer} names {folder}, which is missing or incomplete: restore that folder, or point latest.json "
                "at another step_* folder"
            )
        return folder

    def prepare(self) -> None:
        """Makes the folder and removes what a killed run left unfinished."""
        self.out.mkdir(parents=True, exist_ok=True)
        for unfinished in self.out.glob(".step_*"):
            shutil.rmtree(unfinished)

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
        """Writes the checkpoint of `step` whole, points latest.json at it and drops the oldest ones."""
        folder = self.out / f"step_{step:08d}"
        temporary = self.out / f".step_{step:08d}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        # Cloned: safetensors refuses tensors that share memory, and tied weights do.
        owned = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        save_file(owned, temporary / "state.safetensors", metadata={"format": "pt"})
        _sync(temporary / "state.safetensors")
        write_json(temporary / "state.json", plain({"format": FORMAT, "step": step, **state}))
        _sync(temporary / "state.json")
        if folder.exists():  # a run killed between the rename and latest.json, now repeated
            shutil.rmtree(folder)
        os.replace(temporary, folder)
        write_json(self.out / "latest.json", {"step": step, "folder": folder.name})
        older = [path for path in sorted(self.out.glob("step_*")) if path.name <= folder.name]
        for path in older[: -self.keep]:
            shutil.rmtree(path)
        return folder

    def load(self, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """State (as written) and tensors (CPU) of a checkpoint folder.

        Raises:
            ValueError: another format of the state, or tensors that are cut off.
        """
        state = dict(read_json(folder / "state.json"))
        if state.get("format") != FORMAT:
            raise ValueError(f"{folder} has training-state format {state.get('format')}, this version reads {FORMAT}")
        try:
            return state, load_file(folder / "state.safetensors")
        except SafetensorError as error:
            raise ValueError(
                f"{folder / 'state.safetensors'} is no whole safetensors file ({error}): point latest.json beside that "
                "folder at another step_* folder, or train into another folder"
            ) from error

    def log(self, entry: Mapping[str, Any]) -> None:
        """Appends one line to log.jsonl."""
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(entry)) + "\n")

    def step(self) -> int:
        """Steps of the newest whole checkpoint; 0 where the run has not saved yet."""
        latest = self.latest()
        return 0 if latest is None else int(read_json(latest / "state.json")["step"])

    def steps_a_second(self) -> float | None:
        """The speed that the log was last told; None where it has no such line."""
        path = self.out / "log.jsonl"
        found = None
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                speed = json.loads(line).get("steps_per_second")
            except (json.JSONDecodeError, AttributeError):
                continue  # cut short by a kill
            found = speed if isinstance(speed, int | float) and speed > 0 else found
        return found

    def rewind_log(self, step: int) -> None:
        """Drops the lines after `step` (and a line cut short by a kill): the resumed run writes them again."""
        path = self.out / "log.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if entry["step"] <= step:
                kept.append(line + "\n")
        with atomic_path(path) as temporary:
            Path(temporary).write_text("".join(kept), encoding="utf-8")


def load_weights(out: str | Path, ema: bool = True) -> dict[str, dict[str, Tensor]]:
    """Trained weights of a run's latest checkpoint (or of one step_* folder), as {module: state_dict}, on the CPU.

    Args:
        out: the run's folder, or one of its step_* folders.
        ema: the averaged weights instead of the last ones.

    Raises:
        FileNotFoundError: nothing has been saved there.
    """
    records = RunRecords(out)
    folder = Path(out) if (Path(out) / "state.json").exists() else records.latest()
    if folder is None:
        raise FileNotFoundError(f"no checkpoint in {out}: expected latest.json beside step_* folders; train first")
    _, tensors = records.load(folder)
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in section(tensors, "ema" if ema else "model").items():
        module, _, key = name.partition("/")
        modules.setdefault(module, {})[key] = tensor
    return modules


def section(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix/`, without it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + "/")}


def differences(saved: Mapping[str, Any], present: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`name: saved -> present` for every entry in which two nested JSON dictionaries differ."""
    found: list[str] = []
    for key in sorted(set(saved) | set(present)):
        # A switch that is younger than the run is off in it.
        was, now = saved.get(key, False if present.get(key) is False else None), present.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            found += differences(was, now, f"{prefix}{key}.")
        elif was != now:
            found.append(f"{prefix}{key}: {was!r} -> {now!r}")
    return found


def plain(value: Any) -> Any:
    """JSON has no NaN or infinities: a metric without a value is written as null."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
