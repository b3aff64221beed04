"""Collect episodes of a task in several processes: resumable, and a function of the seed alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from rla_gym.collect.plan import plan_episode
from rla_gym.collect.rollout import record_episode
from rla_gym.data.card import CARD_NAME, CARD_TEXT_NAME, make_card, write_card
from rla_gym.data.episodes import FILE_NAME, SETTINGS_NAME, EpisodeDataset
from rla_gym.data.formats.robomimic import merge_parts, write_episode
from rla_gym.data.index import index_path
from rla_gym.data.spec import check_episode
from rla_gym.tasks.options import recordable
from rla_gym.tasks.workers import answering, receive, requests, spawned
from rla_gym.utils.digests import read_object
from rla_gym.utils.files import atomic_path, check_readable, remove_temporaries, write_json
from rla_gym.utils.optional import require
from rla_gym.utils.outputs import is_sealed, output
from rla_gym.utils.progress import Progress

PARTS_NAME = "parts"


@dataclass(frozen=True)
class CollectConfig:
    """What to collect. `workers` and `out` do not change the episodes; everything else does.

    Raises:
        ValueError: a value out of its range.
    """

    task: str
    episodes: int
    play: float = 0.4  # share of play episodes
    goal_blind: float = 0.0  # share of goal-blind episodes
    noise: float = 0.3  # mean noise level of all but play
    seed: int = 0
    workers: int = 2
    out: str | Path = "episodes"
    interrupted: float = 0.0  # fraction of episodes of pushes interrupted by other motion; the rest are experts
    options: Mapping[str, Any] = field(default_factory=dict)  # of the task, as `make_task` takes them

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.workers < 1 or self.seed < 0 or self.noise < 0:
            raise ValueError(f"episodes and workers must be at least 1, seed and noise at least 0; got {self}")
        shares = {"play": self.play, "goal_blind": self.goal_blind, "interrupted": self.interrupted}
        if min(shares.values()) < 0 or sum(shares.values()) > 1 + 1e-9:
            raise ValueError(f"these are shares, each at least 0, their sum at most 1; got {shares}")

    def settings(self) -> dict[str, Any]:
        """What the episodes depend on."""
        fields = {**asdict(replace(self, options={})), "options": recordable(self.options)}
        found = {name: value for name, value in fields.items() if name not in ("workers", "out")}
        if not self.options:
            del found["options"]
        if not self.interrupted:  # folders begun before there were such episodes go on
            del found["interrupted"]
        return found


def collect(config: CollectConfig) -> Path:
    """Collect `config.episodes` episodes into the folder `config.out` and return it.

    The folder holds `episodes.hdf5`, `card.json`, `card.md` and `collect.json`. While collecting, each whole
    episode is a file in `parts/`; a run that was killed goes on from there when called again, and a finished
    one returns at once. Workers are spawned: a script must call this under `if __name__ == "__main__":`.

    A task without scripted demonstrators, as most of Gymnasium's and robosuite's are, is recorded in play alone,
    whatever the fractions; a line on stdout says so.

    Raises:
        ValueError: the folder was begun with other settings, the task lacks a demonstrator that is asked for or an
            option, or an option cannot be recorded, such as a success rule that is a lambda.
        FileExistsError: files that `collect` did not write are in its way.
        BlockingIOError: another process collects there.
        OSError: the disk has no room, or the folder cannot be written to; episodes so far are kept.
        RenderingError: MuJoCo cannot render here; the text says what to set and install.
        RuntimeError: a worker failed; the text has the episode and the worker's traceback.
    """
    out = Path(config.out)
    parts = out / PARTS_NAME
    settings = config.settings()
    _check_settings(out, settings)
    if (out / FILE_NAME).is_file() and is_sealed(out):
        return out
    config, spec = _for_its_task(config)
    with output(out, "collect") as folder:
        _check_settings(out, settings)  # of a process that had the folder until now
        if not (out / FILE_NAME).is_file():
            index_name = index_path(out / FILE_NAME).name
            folder.claim((SETTINGS_NAME, PARTS_NAME, CARD_NAME, CARD_TEXT_NAME, FILE_NAME, index_name))
            write_json(out / SETTINGS_NAME, settings)
            parts.mkdir(exist_ok=True)
            _remove_parts(config, parts, finished=False)
            _collect_parts(config, parts)
            _merge(config, out, parts, spec)
        if PARTS_NAME in folder:
            _remove_parts(config, parts, finished=True)
            folder.seal()
    return out


def _remove_parts(config: CollectConfig, parts: Path, finished: bool) -> None:
    """Remove what killed workers left half written and, when `finished`, all that workers wrote, but nothing else."""
    paths = [*(part_path(parts, index) for index in range(config.episodes)), parts / FILE_NAME]
    remove_temporaries(*paths)
    if finished:
        for path in paths:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # somebody put something else there
            parts.rmdir()


def part_path(parts: Path, index: int) -> Path:
    """Where a worker puts episode `index` until the parts are merged."""
    return parts / f"{index:06d}.hdf5"


def _check_settings(out: Path, asked: dict[str, Any]) -> None:
    """Refuse to go on in a folder that was begun with other settings."""
    place = out / SETTINGS_NAME
    if not place.is_file():
        if (out / FILE_NAME).exists():
            raise ValueError(
                f"{out / FILE_NAME} exists but no {place.name} tells how it was made: choose another folder"
            )
        return
    begun, _ = read_object(place)
    differing = [
        f"{name}: {begun.get(name)!r} there, {asked.get(name)!r} asked for"
        for name in sorted({*begun, *asked})
        if begun.get(name) != asked.get(name)
    ]
    if differing:
        raise ValueError(
            f"{out} was begun with other settings ({'; '.join(differing)}): use the same, choose another "
            "folder, or remove that one"
        )


def _for_its_task(config: CollectConfig) -> tuple[CollectConfig, dict[str, Any]]:
    """The same with the fractions that the task can have and what other processes can make it of; and the task's spec.

    Checks that the task has every demonstrator that may be drawn, and that it steps, before any process starts.
    """
    from rla_gym.tasks import canonical_name, make_task

    config = replace(config, task=canonical_name(config.task), options=recordable(config.options))
    task = make_task(config.task, **config.options)
    spec, available = task.spec.to_dict(), list(task.demonstrators)
    # What a library compiles at its first step is compiled here once, rather than in every worker.
    task.step((task.spec.action_low + task.spec.action_high) / 2)
    task.close()
    if available == ["play"]:
        if config.play < 1:
            print(
                f"{spec['name']} has no scripted demonstrator: every episode is play, smooth random actions "
                "(--play 1 --goal-blind 0)",
                flush=True,
            )
        config = replace(config, play=1.0, goal_blind=0.0, interrupted=0.0)
    fractions = {
        "expert": 1 - config.play - config.goal_blind - config.interrupted,
        "play": config.play,
        "goal-blind": config.goal_blind,
        "interrupted": config.interrupted,
    }
    missing = [kind for kind, fraction in fractions.items() if fraction > 1e-9 and kind not in available]
    if missing:
        raise ValueError(
            f"task {config.task!r} has no {' and no '.join(missing)} demonstrator, only {', '.join(available)}: set "
            f"their fractions to 0 (now {', '.join(f'{kind}={value:g}' for kind, value in fractions.items())})"
        )
    return config, spec


def _read_part(path: Path) -> dict[str, Any] | None:
    """Frames, seconds and success of a whole part; None where there is none. A broken part is removed.

    Raises:
        OSError: the system does not let it be read, which says nothing about what is in it.
    """
    h5py = require("h5py", extra="data")
    if not path.is_file():
        return None
    try:
        with h5py.File(path, "r") as file:
            attributes = file["episode"].attrs
            return {
                "frames": int(attributes["num_samples"]) + 1,
                "success": bool(attributes["success"]),
                "seconds": float(file.attrs["seconds"]),
            }
    except (OSError, KeyError, RuntimeError) as error:
        check_readable(path)
        if isinstance(error, OSError) and error.errno is not None:
            raise
        path.unlink()  # half on disk after a power cut: collect it again
        return None


def _collect_parts(config: CollectConfig, parts: Path) -> None:
    """Hand out the episodes that are not there yet, one at a time, to whichever worker is free."""
    done = [part for index in range(config.episodes) if (part := _read_part(part_path(parts, index)))]
    todo = [index for index in range(config.episodes) if not part_path(parts, index).is_file()]
    if not todo:
        return
    began, new_frames = time.perf_counter(), 0
    with (
        Progress(config.episodes, f"collect {config.task}", "episode", len(done)) as bar,
        spawned(_work, (config, parts), min(config.workers, len(todo))) as workers,
    ):
        queue = iter(todo)
        busy: dict[Connection, int] = {}
        for connection in workers:
            busy[connection] = next(queue)
            connection.send(busy[connection])
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                part = receive(ready, busy.pop(ready), workers[ready])
                done.append(part)
                new_frames += part["frames"]
                following = next(queue, None)
                if following is not None:
                    busy[ready] = following
                    ready.send(following)
                bar.update(
                    frames_a_second=f"{new_frames / (time.perf_counter() - began):.0f}",
                    of_one_process=f"{frames_per_second(done):.0f}",
                    success=f"{np.mean([part['success'] for part in done]):.2f}",
                )


def frames_per_second(parts: list[dict[str, Any]]) -> float:
    """Frames recorded a second of one process's time, rendered."""
    return float(sum(part["frames"] for part in parts) / max(sum(part["seconds"] for part in parts), 1e-9))


def _work(config: CollectConfig, parts: Path, connection: Connection) -> None:
    """A worker: one task, and episodes by index."""
    from rla_gym.tasks import make_task

    with answering(connection):
        task = make_task(config.task, **config.options)
        for index in requests(connection):
            connection.send(_collect_one(config, task, parts, index))
        task.close()


def _collect_one(config: CollectConfig, task: Any, parts: Path, index: int) -> dict[str, Any]:
    h5py = require("h5py", extra="data")
    began = time.perf_counter()
    plan = plan_episode(config.seed, index, config.play, config.goal_blind, config.noise, config.interrupted)
    episode = record_episode(task, plan)
    check_episode(episode, task.spec.to_dict(), f"episode {index} of task {config.task}")
    seconds = time.perf_counter() - began
    with atomic_path(part_path(parts, index)) as temporary, h5py.File(temporary, "w") as file:
        write_episode(file.create_group("episode"), episode, task.spec.frame_name)
        file.attrs["seconds"] = seconds
    return {"frames": len(episode), "success": episode.success, "seconds": seconds}


def _merge(config: CollectConfig, out: Path, parts: Path, spec: dict[str, Any]) -> None:
    """Join the parts and write the card; `episodes.hdf5` comes last, so that it stands for a finished run."""
    paths = [part_path(parts, index) for index in range(config.episodes)]
    records = [record for path in paths if (record := _read_part(path))]
    rate = frames_per_second(records)
    merged = parts / FILE_NAME
    digests = merge_parts(merged, paths, spec)
    with EpisodeDataset(merged) as dataset:
        dataset.digests = tuple(digests)
        card = make_card(dataset, config.settings(), rate, merged.stat().st_size)
    write_card(out, card)
    os.replace(merged, out / FILE_NAME)
    dataset.write_index(out / FILE_NAME)
    print(
        f"{out / FILE_NAME}: {card['episodes']} episodes, {card['frames']} frames, {card['bytes'] / 1e6:.1f} "
        f"MB, success {card['success_rate']:.2f}; {rate:.1f} frames a second a process, rendered",
        flush=True,
    )
