"""Lists of held-out starts, checked in: a recorded episode, by its seed, and one of its frames.

    python -m benchmarks.fidelity.handles --tokens runs/tokens --out benchmarks/handles/push-cube.json

A list names no rows, so it fits every token store that has these episodes, alone or merged with others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from rla_gym.data import TokenStore
from rla_gym.utils.files import read_json, write_json
from rla_gym.utils.provenance import commit

FOLDER = Path(__file__).resolve().parents[1] / "handles"


@dataclass(frozen=True)
class HandleList:
    """H starts, in random order, so that the first n are a sample as well.

    Attributes:
        task: of the episodes.
        part: of the split that they belong to.
        seed: of the draw, and of all actions that are not recorded.
        chunk, chunks: control steps of a chunk; chunks that a handle is driven for.
        least: chunks that every start has recorded actions for; some have more.
        dataset: hash of the data set that they were drawn from.
        episodes: seeds of the recorded episodes (H,).
        frames: frames of these to start from (H,).
        others: seeds (H,) of other episodes, whose actions from their first frame on are a counterfactual.
    """

    task: str
    part: str
    seed: int
    chunk: int
    chunks: int
    least: int
    dataset: str
    episodes: tuple[int, ...]
    frames: tuple[int, ...]
    others: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.episodes)

    def first(self, count: int) -> HandleList:
        """The first `count` starts; a ValueError if there are not so many."""
        if not 1 <= count <= len(self):
            raise ValueError(f"count={count}: this list of {self.task} has {len(self)} starts")
        return replace(self, episodes=self.episodes[:count], frames=self.frames[:count], others=self.others[:count])

    def rows(self, store: TokenStore) -> np.ndarray:
        """Rows (H,) int64 of the starts in `store`.

        Raises:
            ValueError: another task, an episode that the store does not have, or one that is shorter there.
        """
        if store.info["task"] != self.task:
            raise ValueError(f"{store.path} has episodes of {store.info['task']}, the handles are of {self.task}")
        episodes = places_of(store, self.episodes)
        rows: np.ndarray = store.starts[episodes] + np.array(self.frames)
        over = np.array(self.frames) + self.least * self.chunk >= store.lengths[episodes]
        if over.any():
            seed = self.episodes[int(np.flatnonzero(over)[0])]
            raise ValueError(f"episode {seed} of {store.path} is shorter than when the handles were drawn: draw anew")
        return rows

    def write(self, path: Path) -> None:
        """As JSON."""
        write_json(path, {"commit": commit(), **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> HandleList:
        """A list that `write` wrote.

        Raises:
            FileNotFoundError: no such file; the text has the command that makes one.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"no handles at {path}: draw some with `python -m benchmarks.fidelity.handles --tokens TOKENS "
                f"--out {path}`"
            )
        found: dict[str, Any] = read_json(path)
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        values: dict[str, Any] = {field.name: (found | lists)[field.name] for field in fields(cls)}
        return cls(**values)


def places_of(store: TokenStore, seeds: tuple[int, ...]) -> np.ndarray:
    """Indices (n,) in `store` of the episodes with these seeds; a ValueError names one that is missing."""
    places = {int(seed): place for place, seed in enumerate(store.seeds)}
    missing = [seed for seed in seeds if seed not in places]
    if missing:
        raise ValueError(
            f"{store.path} has no episode of seed {missing[0]} ({len(missing)} of {len(seeds)} are missing): give the "
            "store that the handles were drawn from, or one that it was merged into"
        )
    return np.array([places[seed] for seed in seeds], np.int64)


def draw_handles(
    store: TokenStore,
    count: int,
    chunk: int,
    chunks: int = 12,
    least: int = 6,
    long_share: float = 0.5,
    part: str = "test",
    seed: int = 0,
) -> HandleList:
    """Draw `count` different starts, spread over the episodes of `part`.

    Args:
        chunk, chunks, least: see `HandleList`.
        long_share: share of starts that have recorded actions for all `chunks`, as far as there are so many.

    Raises:
        ValueError: the episodes have fewer such frames.
    """
    rng, episodes = np.random.default_rng([seed, 41]), store.split(part)
    taken: list[tuple[int, int]] = []
    for steps, wanted in ((chunks * chunk, round(long_share * count)), (least * chunk, count)):
        taken += _spread(store, episodes, steps, wanted - len(taken), taken, rng)
    if len(taken) < count:
        raise ValueError(
            f"the {len(episodes)} {part} episodes of {store.path} have {len(taken)} frames with {least} chunks of "
            f"{chunk} actions behind them, {count} were asked for: ask for fewer, or record more episodes"
        )
    longest = episodes[store.lengths[episodes] > chunks * chunk]
    givers = longest if len(longest) > 1 else episodes
    taken = [taken[i] for i in rng.permutation(count)]
    others = [int(rng.choice(givers[givers != episode])) for episode, _ in taken]
    return HandleList(
        task=store.info["task"],
        part=part,
        seed=seed,
        chunk=chunk,
        chunks=chunks,
        least=least,
        dataset=store.info["dataset"],
        episodes=tuple(int(store.seeds[episode]) for episode, _ in taken),
        frames=tuple(frame for _, frame in taken),
        others=tuple(int(store.seeds[episode]) for episode in others),
    )


def _spread(
    store: TokenStore,
    episodes: np.ndarray,
    steps: int,
    wanted: int,
    taken: list[tuple[int, int]],
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """Up to `wanted` (episode, frame) with `steps` actions behind them: one of every episode, then a second, ..."""
    left = {int(e): rng.permutation(max(0, int(store.lengths[e]) - steps)).tolist() for e in episodes}
    for episode, frame in taken:
        if frame in left[episode]:
            left[episode].remove(frame)
    found: list[tuple[int, int]] = []
    while len(found) < wanted and any(left.values()):
        for episode in rng.permutation([episode for episode, frames in left.items() if frames])[: wanted - len(found)]:
            found.append((int(episode), left[int(episode)].pop()))
    return found


@dataclass(frozen=True, kw_only=True)
class Args:
    """What is drawn from what."""

    tokens: Path
    """Token store of the task's episodes."""
    out: Path | None = None
    """Where the list goes; None: benchmarks/handles/TASK.json."""
    count: int = 500
    chunk: int = 4
    """Control steps of a chunk."""
    chunks: int = 12
    """Chunks that a handle is driven for."""
    least: int = 6
    """Chunks that every start has recorded actions for."""
    part: str = "test"
    seed: int = 0


def file_of(task: str) -> str:
    """A task's name as the name of a file."""
    return task.replace(":", "-") + ".json"


def main(args: Args) -> None:
    """Draw and write."""
    store = TokenStore.open(args.tokens)
    handles = draw_handles(store, args.count, args.chunk, args.chunks, args.least, part=args.part, seed=args.seed)
    path = args.out or FOLDER / file_of(handles.task)
    handles.write(path)
    rows = handles.rows(store)
    left = store.lengths[store.episode_of(rows)] - 1 - np.array(handles.frames)
    print(
        f"{len(handles)} starts in {len(set(handles.episodes))} {args.part} episodes, "
        f"{int((left >= args.chunks * args.chunk).sum())} with recorded actions for {args.chunks} chunks: {path}"
    )


if __name__ == "__main__":
    main(tyro.cli(Args))
