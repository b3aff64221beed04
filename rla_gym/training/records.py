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
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from rla_gym.training.saved_state import FORMAT, STATE, TENSORS, read_state, read_state_tensors
from rla_gym.utils.digests import check_intact, read_object, with_digest
from rla_gym.utils.disk import need_room
from rla_gym.utils.files import atomic_path, parse_json, sha256_file, sync_folder, temporary_path, write_json
from rla_gym.utils.outputs import Output, output
from rla_gym.utils.tensors import check_file_inside
from rla_gym.utils.typed import build, shown

STATE_FILES = (STATE, TENSORS)
"""Files of one checkpoint, in the order of removal: without state.json there is none."""


@dataclass(frozen=True)
class Pointer:
    """Content of latest.json."""

    step: int
    folder: str

    def __post_init__(self) -> None:
        if not 0 < self.step < 10**12 or self.folder != f"step_{self.step:08d}":
            raise ValueError(
                f"step {self.step} and folder {self.folder[:60]!r}, expected such as 500 and step_00000500"
            )


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
        found, intact = read_object(pointer)
        advice = f"point it at a step_* folder of {self.out}, or train into another folder"
        latest: Pointer = build(Pointer, found, pointer, advice)
        check_intact(pointer, intact, advice)
        folder = self.out / latest.folder
        check_file_inside(folder, self.out)
        if not (folder / STATE).exists():
            raise FileNotFoundError(
                f"{pointer} names {folder}, which is missing or incomplete: restore that folder, or point latest.json "
                "at another step_* folder"
            )
        return folder

    def writing(self) -> AbstractContextManager[Output]:
        """The folder as this process's own while a training writes there, see `rla_gym.utils.outputs.output`."""
        return output(self.out, "train")

    def prepare(self) -> None:
        """Makes the folder, removes what a killed run left unfinished, and refuses files that a run would replace."""
        if os.path.lexists(self.out / "log.jsonl") and not (self.out / "log.jsonl").is_file():
            raise FileExistsError(f"{self.out / 'log.jsonl'} is no regular file: move it, or train into another folder")
        with self.writing() as out:
            out.claim(("log.jsonl", "latest.json"))
            planned = [path.name for path in self.out.iterdir() if re.fullmatch(r"step_\d{8}", path.name)]
            for name in (name for name in planned if name not in out):
                if int(name[5:]) > self._latest_step():
                    raise FileExistsError(
                        f"{self.out / name} is in the way: `rla-gym train` did not write it, and would write its own; "
                        "move it, or train into another folder"
                    )

    def _latest_step(self) -> int:
        folder = self.latest()
        return 0 if folder is None else int(folder.name[5:])

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
        """Writes the checkpoint of `step` whole, points latest.json at it and drops the oldest ones.

        Raises:
            FileExistsError: a folder of that name is there that no training wrote.
            OSError: the disk has no room; the latest checkpoint stays.
        """
        folder = self.out / f"step_{step:08d}"
        names = [f"{folder.name}/{name}" for name in STATE_FILES]
        # Cloned: safetensors refuses tensors that share memory, and tied weights do.
        owned = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        with self.writing() as out:
            need_room(self.out, sum(tensor.nbytes for tensor in owned.values()), f"the checkpoint {folder}")
            if folder.exists() and folder.name not in out:
                raise FileExistsError(
                    f"{folder} is in the way: `rla-gym train` did not write it; move it, or train into another folder"
                )
            out.claim([*names, "latest.json"])
            temporary = temporary_path(folder)
            try:
                temporary.mkdir()
                with atomic_path(temporary / TENSORS) as place:
                    save_file(owned, place, metadata={"format": "pt"})
                stored = {"sha256": sha256_file(temporary / TENSORS), "bytes": (temporary / TENSORS).stat().st_size}
                content = {"format": FORMAT, "step": step, **state, "tensors": stored}
                write_json(temporary / STATE, with_digest(plain(content)))
                out.unlink(names)  # of a run that was killed between the rename and latest.json, now repeated
                os.replace(temporary, folder)
                sync_folder(self.out)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            write_json(self.out / "latest.json", with_digest({"step": step, "folder": folder.name}))
            own = [path.name for path in sorted(self.out.glob("step_*")) if path.name in out]
            for name in [name for name in own if name <= folder.name][: -self.keep]:
                out.remove([f"{name}/{file}" for file in STATE_FILES])
        return folder

    def load(self, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """State (as written) and tensors (CPU) of a checkpoint folder; errors as `read_state_tensors`."""
        state = read_state(folder)
        return state, read_state_tensors(folder, state)

    def log(self, entry: Mapping[str, Any]) -> None:
        """Appends one line to log.jsonl."""
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(entry)) + "\n")

    def step(self) -> int:
        """Steps of the newest whole checkpoint; 0 where the run has not saved yet."""
        latest = self.latest()
        return 0 if latest is None else int(read_state(latest)["step"])

    def steps_a_second(self) -> float | None:
        """The speed that the log was last told; None where it has no such line."""
        found = None
        for _, entry in self._log_lines():
            speed = entry.get("steps_per_second")
            found = float(speed) if isinstance(speed, int | float) and 0 < speed < 1e9 else found
        return found

    def _log_lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Lines of the log and the objects that they hold; what is none (cut short by a kill) is left out."""
        path = self.out / "log.jsonl"
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
            try:
                entry = parse_json(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield line, entry

    def rewind_log(self, step: int) -> None:
        """Drops the lines after `step`, which the resumed run writes again, and what is no line of it (cut short)."""
        path = self.out / "log.jsonl"
        if not path.is_file():
            return
        kept = [
            line + "\n"
            for line, entry in self._log_lines()
            if isinstance(entry.get("step"), int) and entry["step"] <= step
        ]
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
    folder = Path(out) if (Path(out) / STATE).exists() else records.latest()
    if folder is None:
        raise FileNotFoundError(f"no checkpoint in {out}: expected latest.json beside step_* folders; train first")
    _, tensors = records.load(folder)
    return weights_of(tensors, ema)


def weights_of(tensors: Mapping[str, Tensor], ema: bool = True) -> dict[str, dict[str, Tensor]]:
    """The weights among a checkpoint's tensors, as {module: state_dict}; averaged, or with `ema` False the last."""
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
            found.append(f"{prefix}{key}: {shown(was)} -> {shown(now)}")
    return found


def plain(value: Any) -> Any:
    """JSON has no NaN or infinities: a metric without a value is written as null."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
