"""Does a dream know when it is wrong? Its uncertainties against its true error, on held-out episodes.

    python -m benchmarks.calibration --ckpt push-cube --tokens runs/tokens --count 200

From held-out recorded states the simulator and the dream are driven by the same actions, recorded and counterfactual
(`rla_gym.bench.fidelity.starts`). The true error of a dreamed step is the distance "l2" between the dreamed tokens and
those of the frame that the simulator shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor

from benchmarks.record import run_record
from rla_gym.bench.fidelity.starts import KINDS, Handles, make_handles
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import check_coordinates
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.data import TokenStore
from rla_gym.dream.dream import Dream
from rla_gym.dream.uncertainty import SPACES, DataDistance, DisagreementConfig
from rla_gym.rewards import token_distance
from rla_gym.tasks import Task, make_task
from rla_gym.utils.files import atomic_path, write_json
from rla_gym.utils.optional import require
from rla_gym.utils.statistics import cluster_interval, spearman

BLOCK = 32
"""Handles dreamed at a time."""
BINS = 8
MEASURES = {
    "disagreement": "disagreement of the step",
    "disagreement_total": "disagreement so far",
    "latent": "disagreement of the step's latents",
    "latent_total": "disagreement of latents so far",
    "data_distance": "distance to the data",
    "step": "number of the step alone",
}

RAW = ("error", "still", "disagreement", "latent", "data_distance", "episode")
"""What the file keeps of every step; the rest follows from these."""


@dataclass(frozen=True)
class Args:
    """Settings of the measurement."""

    ckpt: str = "push-cube"
    """Checkpoint: folder, built-in name or hub id."""
    tokens: Path = Path("runs/tokens")
    """Token store of episodes recorded in the checkpoint's task."""
    count: int = 200
    """Held-out starts of each kind of actions."""
    chunks: int = 6
    """Chunks dreamed from each."""
    samples: int = DisagreementConfig.samples
    """M, samples whose disagreement is measured."""
    seed: int = 0
    """Of starts, actions, noise and bootstrap."""
    out: Path = Path("benchmarks/results/calibration-push-cube.json")
    plot: Path | None = None
    """Also draw the picture there (PNG)."""


def true_tokens(bundle: Bundle, task: Task, store: TokenStore, handles: Handles) -> Tensor:
    """Standardised tokens (H, n, L, C) of what the simulator shows after each chunk of the handles."""
    found = []
    for row, chunks in zip(handles.rows, bundle.unscale_actions(handles.chunks), strict=True):
        task.set_state(store.states[row])
        frames = []
        for chunk in chunks:
            for action in chunk:
                task.step(action)
            frames.append(task.render())
        found.append(bundle.encode_frames(np.stack(frames)))
    return torch.stack(found)


def dream_handles(
    bundle: Bundle, store: TokenStore, handles: Handles, truth: Tensor, samples: int, seed: int
) -> dict[str, np.ndarray]:
    """Error and uncertainties of the dreamed steps, each (H, n) float32, and "still", the error of standing still.

    "episode" (H,) is that of each start.
    """
    distance = DataDistance(bundle, handles.chunks.shape[2])
    blocks = []
    for first in range(0, len(handles.rows), BLOCK):
        here = slice(first, first + BLOCK)
        rows = handles.rows[here]
        dreams = {space: Dream(bundle, len(rows), disagreement=DisagreementConfig(samples, space)) for space in SPACES}
        start = store.normalized(rows)
        for dream in dreams.values():
            dream.seed(seed * len(handles.rows) + np.arange(first, first + len(rows)))
            dream.reset_to(start, torch.from_numpy(store.proprio[rows]))
        steps: list[dict[str, Tensor | np.ndarray]] = []
        for index in range(handles.chunks.shape[1]):
            chunks = handles.chunks[here, index]
            before = dreams["tokens"].state()
            after = {space: dream.step(chunks) for space, dream in dreams.items()}
            assert after["tokens"].disagreement is not None and after["latent"].disagreement is not None
            steps.append(
                {
                    "error": token_distance(after["tokens"].tokens, truth[here, index], "l2"),
                    "still": token_distance(start, truth[here, index], "l2"),
                    "disagreement": after["tokens"].disagreement,
                    "latent": after["latent"].disagreement,
                    "data_distance": distance(before.tokens, before.proprio, chunks),
                }
            )
        blocks.append({name: np.stack([np.asarray(step[name]) for step in steps], axis=1) for name in steps[0]})
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    for name in ("disagreement", "latent"):
        found[f"{name}_total"] = np.sqrt(np.cumsum(found[name] ** 2, axis=1))
    found["step"] = np.broadcast_to(np.arange(1.0, found["error"].shape[1] + 1), found["error"].shape)
    found["episode"] = store.episode_of(handles.rows)
    return found


def correlations(found: dict[str, np.ndarray], seed: int) -> dict[str, dict[str, list[float]]]:
    """Spearman's correlation of each measure with the error: of the first step, the last step and all steps."""
    error, episodes = found["error"], found["episode"]
    return {
        name: {
            "first": cluster_interval(spearman, [found[name][:, 0], error[:, 0]], episodes, seed=seed),
            "last": cluster_interval(spearman, [found[name][:, -1], error[:, -1]], episodes, seed=seed),
            "all": cluster_interval(spearman, [found[name], error], episodes, seed=seed),
        }
        for name in MEASURES
    }


def bins(measure: np.ndarray, error: np.ndarray, episodes: np.ndarray, seed: int) -> list[dict[str, float]]:
    """Mean error in `BINS` bins of as many steps each, by a measure; both (H, n), of the `episodes` (H,)."""
    owners = np.broadcast_to(episodes[:, None], error.shape).ravel()
    order = np.argsort(measure, axis=None, kind="stable")
    result = []
    for part in np.array_split(order, min(BINS, len(order))):
        inside = error.ravel()[part]
        mean, low, high = cluster_interval(lambda values: float(values.mean()), [inside], owners[part], seed=seed)
        result.append({"measure": float(measure.ravel()[part].mean()), "error": mean, "low": low, "high": high})
    return result


def cost(bundle: Bundle, samples: int, batch: int = BLOCK, steps: int = 3) -> dict[str, float]:
    """Milliseconds of a step of `batch` dreams: bare, and with each uncertainty besides."""
    chunks = np.zeros((batch, bundle.config.chunk, bundle.config.action_size), np.float32)

    def timed(run: Callable[[], object]) -> float:
        run()
        spent = []
        for _ in range(steps):
            began = time.perf_counter()
            run()
            spent.append(time.perf_counter() - began)
        return 1000 * float(np.median(spent))

    bare, distance = Dream(bundle, batch), DataDistance(bundle, bundle.config.chunk)
    found = {"bare": timed(partial(bare.step, chunks))}
    for space in SPACES:
        dream = Dream(bundle, batch, disagreement=DisagreementConfig(samples, space))
        found[space] = timed(partial(dream.step, chunks))
    found["data_distance"] = found["bare"] + timed(lambda: distance(bare.tokens, bare.proprio, chunks))
    return found


def draw(path: Path, groups: dict[str, dict[str, np.ndarray]], seed: int) -> None:
    """Write a PNG: the mean true error in bins of each uncertainty, one line for each kind of actions."""
    figure = require("matplotlib.figure", extra="plot").Figure(figsize=(11, 3.4), layout="constrained")
    panels = (
        ("disagreement", slice(0, 1), "first step"),
        ("disagreement_total", slice(None), "all steps"),
        ("data_distance", slice(None), "all steps"),
    )
    for axes, (name, steps, title) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        for kind, found in groups.items():
            points = bins(found[name][:, steps], found["error"][:, steps], found["episode"], seed)
            place, error, low, high = (
                np.array([point[key] for point in points]) for key in ("measure", "error", "low", "high")
            )
            rho = spearman(found[name][:, steps], found["error"][:, steps])
            axes.plot(place, error, marker="o", markersize=3, label=f"{kind}, ρ = {rho:.2f}")
            axes.fill_between(place, low, high, alpha=0.15)
        axes.set(title=title, xlabel=MEASURES[name])
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize="small")
    figure.axes[0].set_ylabel("true error, l2 of tokens")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def main(args: Args) -> None:
    """Measure, write and print."""
    torch.set_num_threads(1)
    bundle, store = load_checkpoint(args.ckpt), TokenStore.open(args.tokens)
    check_coordinates(store, bundle)
    task = make_task(bundle.config.task, **bundle.config.task_options)
    kinds: dict[str, dict[str, np.ndarray]] = {}
    for kind in KINDS:
        handles = make_handles(store, task, kind, args.count, bundle.config.chunk, args.chunks, "test", args.seed)
        truth = true_tokens(bundle, task, store, handles)
        kinds[kind] = dream_handles(bundle, store, handles, truth, args.samples, args.seed)
    task.close()
    groups = grouped(kinds)
    measured = {
        name: {
            "error": found["error"].mean(axis=0).tolist(),
            "still": found["still"].mean(axis=0).tolist(),
            "spearman": correlations(found, args.seed),
            "bins": {
                measure: bins(found[measure], found["error"], found["episode"], args.seed) for measure in MEASURES
            },
        }
        for name, found in groups.items()
    }
    raw = {kind: {name: np.round(found[name], 4).tolist() for name in RAW} for kind, found in kinds.items()}
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(args).items()}
    milliseconds = {"batch": BLOCK, **cost(bundle, args.samples)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        args.out,
        {**run_record(), "settings": settings, "step_ms": milliseconds, "measured": measured, "raw": raw},
    )
    if args.plot is not None:
        draw(args.plot, {name: groups[name] for name in ("recorded", "counterfactual")}, args.seed)
    print(table(measured, milliseconds))


def grouped(kinds: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """The kinds, and "counterfactual": all but the recorded one; "all" of them."""

    def joined(names: Sequence[str]) -> dict[str, np.ndarray]:
        return {measure: np.concatenate([kinds[name][measure] for name in names]) for measure in kinds[names[0]]}

    others = [kind for kind in kinds if kind != "recorded"]
    return {**kinds, "counterfactual": joined(others), "all": joined(list(kinds))}


def table(measured: dict[str, Any], milliseconds: dict[str, float]) -> str:
    """Markdown: correlations with the true error, and what the uncertainties cost."""
    lines = ["| actions | measure | first step | last step | all steps |", "|---|---|---|---|---|"]
    for group in ("recorded", "counterfactual", "all"):
        for name, title in MEASURES.items():
            row = measured[group]["spearman"][name]
            cells = ["{:.2f} ({:.2f} to {:.2f})".format(*row[part]) for part in ("first", "last", "all")]
            lines.append(f"| {group} | {title} | {' | '.join(cells)} |")
    times = ", ".join(f"{name} {value:.0f}" for name, value in milliseconds.items() if name != "batch")
    return "\n".join([*lines, "", f"milliseconds of a step of {milliseconds['batch']:.0f} dreams: {times}"])


if __name__ == "__main__":
    main(tyro.cli(Args))
