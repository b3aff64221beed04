"""How far dreams are from held-out recordings, in tokens: needs no simulator, so it is for recordings of any robot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.bench.fidelity.simulator import ratio_interval
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.sampling import chunk_actions, sample_chunks
from rla_gym.data.tokens import TokenStore
from rla_gym.dream.dream import Dream
from rla_gym.training.metrics import moving_patches
from rla_gym.utils.files import atomic_path
from rla_gym.utils.frames import HOLD, titled
from rla_gym.utils.optional import require
from rla_gym.utils.progress import Progress

BATCH = 64
"""Dreams side by side."""


def held_out_part(store: TokenStore) -> str:
    """The part of the split to measure on: "test", or "validation" where there is no test episode.

    Raises:
        ValueError: neither has any.
    """
    for part in ("test", "validation"):
        if len(store.split(part)):
            return part
    raise ValueError(
        f"none of the {len(store.lengths)} episodes of {store.path} is held out (5 % each by a hash of the seed are "
        "test and validation): record more episodes"
    )


def recorded_fidelity(
    bundle: Bundle, store: TokenStore, count: int = 200, chunks: int = 6, seed: int = 0, **options: Any
) -> dict[str, Any]:
    """Errors of dreams under the recorded actions from `count` held-out starts, after each chunk.

    Args:
        bundle, store: a checkpoint, and tokens in its coordinates.
        chunks: dreamed one after another; fewer where no held-out episode is so long.
        seed: of the starts.
        options: of `Dream` (steps, temperature).

    Returns:
        JSON-able: `part`, `starts`, and lists over the chunks of `error` and `persistence` (mean L1 of standardised
        tokens, and that if nothing moved), `ratio` and `moving_ratio` ([ratio, low, high], 95 % by bootstrap over
        episodes; the latter on the quarter of patches that moved most) and, where it is predicted, `proprio_ratio`.

    Raises:
        ValueError: no episode is held out, or none that is holds a whole chunk.
    """
    part, size = held_out_part(store), bundle.config.chunk
    episodes = store.split(part)
    chunks = min(chunks, max(1, (int(store.lengths[episodes].max()) - 1) // size))
    rows = sample_chunks(store, episodes, count, np.random.default_rng([seed, 23]), size, chunks)
    errors, stills, movings, moving_stills, felts, felt_stills = (np.zeros((chunks, count)) for _ in range(6))
    with Progress(count, f"dreaming from held-out starts ({part})", "start") as progress:
        for begin in range(0, count, BATCH):
            some = slice(begin, min(begin + BATCH, count))
            chosen = rows[some]
            dream = Dream(bundle, len(chosen), **options)
            first, proprio = store.normalized(chosen), torch.from_numpy(store.proprio[chosen])
            dream.reset_to(first, proprio)
            began = bundle.standardize_proprio(proprio)
            for index in range(chunks):
                actions = chunk_actions(store, chosen + index * size, size)
                state = dream.step(torch.from_numpy(actions))
                later = chosen + (index + 1) * size
                true = store.normalized(later)
                error, still = ((tokens.cpu() - true).abs().mean(-1) for tokens in (state.tokens, first))
                moved = moving_patches(true - first)
                errors[index, some], stills[index, some] = error.mean(1), still.mean(1)
                movings[index, some], moving_stills[index, some] = _mean_of(error, moved), _mean_of(still, moved)
                felt = bundle.standardize_proprio(torch.from_numpy(store.proprio[later]))
                if felt.shape[1]:
                    felts[index, some] = (state.proprio.cpu() - felt).abs().mean(1)
                    felt_stills[index, some] = (began - felt).abs().mean(1)
            progress.update(len(chosen))
    of = store.episode_of(rows)
    found = {
        "part": part,
        "starts": count,
        "chunk": size,
        "error": errors.mean(1).tolist(),
        "persistence": stills.mean(1).tolist(),
        "ratio": [ratio_interval(*pair, of) for pair in zip(errors, stills, strict=True)],
        "moving_ratio": [ratio_interval(*pair, of) for pair in zip(movings, moving_stills, strict=True)],
    }
    if felt_stills.any():
        found["proprio_ratio"] = [ratio_interval(*pair, of) for pair in zip(felts, felt_stills, strict=True)]
    return found


def _mean_of(values: Tensor, mask: Tensor) -> np.ndarray:
    """Sum over the patches of a mask over the mean number of them: a start where nothing moves weighs nothing."""
    masked: np.ndarray = ((values * mask).sum(1) / mask.float().sum(1).mean().clamp(min=1e-9)).numpy()
    return masked


def recorded_table(found: dict[str, Any]) -> str:
    """What `recorded_fidelity` measured as a Markdown table."""
    felt = "proprio_ratio" in found
    lines = [
        f"Dreams under the recorded actions, {found['starts']} starts of {found['part']} episodes:",
        "",
        f"| chunks | token error / nothing moves | ratio | ratio, moving patches |{' ratio, proprioception |' * felt}",
        f"|---|---|---|---|{'---|' * felt}",
    ]
    for index, (error, still) in enumerate(zip(found["error"], found["persistence"], strict=True)):
        cells = [f"{index + 1}", f"{error:.3f} / {still:.3f}", interval(found["ratio"][index])]
        cells.append(interval(found["moving_ratio"][index]))
        if felt:
            cells.append(interval(found["proprio_ratio"][index]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "ratio: below 1 is better than a dream in which nothing moves; 95 % over episodes"])


def interval(values: list[float]) -> str:
    """[ratio, low, high] as people read it."""
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]"


def write_recorded_video(
    path: Path, bundle: Bundle, store: TokenStore, data: Path | None = None, videos: int = 3, **options: Any
) -> bool:
    """Write an MP4 of dreams beside the recordings, from the first frames of held-out episodes, under their actions.

    Args:
        data: the data set, for the recorded frames; None: those decoded from the recorded tokens.
        videos: episodes.
        options: of `Dream`.

    Returns:
        False, and nothing is written, where the checkpoint has no image decoder.
    """
    if bundle.image_decoder is None:
        return False
    imageio = require("imageio.v2", extra="data")
    episodes = store.split(held_out_part(store))
    episodes = episodes[store.lengths[episodes] > bundle.config.chunk][:videos]
    with Progress(len(episodes), "video", "episode") as progress, atomic_path(path) as temporary:
        writer = imageio.get_writer(str(temporary), fps=bundle.config.control_hz, macro_block_size=2)
        for number, episode in enumerate(episodes, start=1):
            for picture in _pictures(bundle, store, data, int(episode), number, options):
                writer.append_data(picture)
            progress.update()
        writer.close()
    return True


def _pictures(
    bundle: Bundle, store: TokenStore, data: Path | None, episode: int, number: int, options: dict[str, Any]
) -> Iterator[np.ndarray]:
    """Dream and recording side by side at every chunk of one episode, each as long as a chunk lasts."""
    size, first = bundle.config.chunk, int(store.starts[episode])
    count = (int(store.lengths[episode]) - 1) // size
    dream = Dream(bundle, 1, **options)
    start = np.array([first])
    dream.reset_to(store.normalized(start), torch.from_numpy(store.proprio[start]))
    rows = first + size * np.arange(count + 1)
    if data is None:
        truth, title = bundle.decode_images(store.normalized(rows)), "recording, decoded"
    else:
        with EpisodeDataset(data) as dataset:
            truth, title = dataset.frames(episode)[rows - first], "recording"
    for chunk in range(count + 1):
        if chunk:
            dream.step(torch.from_numpy(chunk_actions(store, rows[chunk - 1 : chunk], size)))
        sides = (dream.images()[0], f"dream: episode {number}, chunk {chunk}"), (truth[chunk], title)
        picture = np.concatenate([titled(frame, text) for frame, text in sides], axis=1)
        yield from [picture] * (size if chunk < count else HOLD)
