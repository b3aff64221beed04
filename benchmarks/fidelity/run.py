"""The whole measurement of one task."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.baselines.recorded import Recorded
from benchmarks.fidelity.actions import AGENT, KINDS
from benchmarks.fidelity.agent import agent_chunks, load_agent
from benchmarks.fidelity.bench import Bench
from benchmarks.fidelity.entries import Entry, load_entries
from benchmarks.fidelity.handles import HandleList, file_of
from benchmarks.fidelity.images import cached_lpips
from benchmarks.fidelity.inputs import decoder_of, encoder_file, listed, painter, tokenizer
from benchmarks.fidelity.measure import Ruler
from benchmarks.fidelity.options import Args, smoked, strip_folder
from benchmarks.fidelity.pictures import write_index
from benchmarks.fidelity.probe import Reader
from benchmarks.fidelity.results import Table, write_raw, write_tables
from benchmarks.fidelity.runs import Run, all_runs
from benchmarks.fidelity.summary import better, relative_to, summarize
from benchmarks.fidelity.tokens import motion_threshold
from benchmarks.record import run_record
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import EpisodeDataset, TokenStore
from rla_gym.tasks import make_task
from rla_gym.utils.provenance import versions
from rla_gym.utils.threads import use_threads

RESULTS = Path(__file__).resolve().parents[1] / "results" / "fidelity"
PACKAGES = ("rla_gym", "torch", "numpy", "mujoco", "torchmetrics", "diffusers", "stable-baselines3")


def main(args: Args) -> dict[str, Any]:
    """Measure, write and print.

    Raises:
        ValueError: models, handles and tokens that do not fit each other.
        FileNotFoundError: no handles, or no encoder.
    """
    use_threads(args.threads)
    began, device = time.perf_counter(), torch.device(args.device)
    args = smoked(args) if args.smoke else args
    store = TokenStore.open(args.tokens)
    dataset = None if args.data is None else EpisodeDataset(args.data)
    sampler = (args.sampling_steps, args.temperature)
    bundle = decoder_of(args, store)
    entries = load_entries(args.models, store, dataset, encoder_file(args, bundle), sampler, device)
    handles = listed(args, store, entries)
    reader = Reader.train(store, args.probe_steps, args.seed)
    ruler = Ruler(
        reader=reader,
        horizons=args.horizons,
        thresholds={h: motion_threshold(store, h * handles.chunk, args.seed) for h in args.horizons},
        draw=painter(args, store, bundle),
        bf16=args.precision == "bf16",
        lpips=None if args.lpips is None else cached_lpips(args.lpips),
    )
    runs = all_runs(entries, Recorded(store, dataset))
    task = make_task(store.info["task"], **store.info["spec"].get("options", {}))
    try:
        table = Table(len(handles), len(args.horizons))
        bench = Bench(args, handles, store, task, tokenizer(args, store, bundle), ruler, runs, device, table)
        strips = [strip for kind in KINDS for strip in bench.measure(kind)]
        if args.agent is not None:
            strips += bench.measure(AGENT, agent_actions(args.agent, bundle, handles, store))
    finally:
        task.close()
    about = record(args, handles, store, entries, runs, ruler, table)
    episodes = np.unique(handles.episodes, return_inverse=True)[1]
    options = {"seed": args.seed, "draws": args.draws}
    tables = summarize(table.found, about["models"], episodes, args.horizons, about["reference"], options)
    about["minutes"] = (time.perf_counter() - began) / 60
    out = args.out or RESULTS / file_of(handles.task)
    write_tables(out, {**about, **tables})
    starts = {"episodes": list(handles.episodes), "frames": list(handles.frames)}
    write_raw(out.with_suffix(".raw.json.gz"), {**about, "starts": starts, "measured": table.found})
    if strips:
        write_index(strip_folder(args, handles.task), strips)
    print(f"{len(handles)} starts, {len(runs)} runs, {about['minutes']:.1f} minutes: {out}")
    return {**about, **tables}


def agent_actions(path: Path, bundle: Bundle | None, handles: HandleList, store: TokenStore) -> np.ndarray:
    """Chunks (H, n, K, A) of an agent; a ValueError without a checkpoint to dream in."""
    if bundle is None:
        raise ValueError("an agent acts in a checkpoint's dream: give --decoder")
    return agent_chunks(bundle, load_agent(path, bundle), store, handles.rows(store), handles.chunks)


def record(
    args: Args,
    handles: HandleList,
    store: TokenStore,
    entries: list[Entry],
    runs: list[Run],
    ruler: Ruler,
    table: Table,
) -> dict[str, Any]:
    """What was measured with what."""
    models: dict[str, list[str]] = {}
    for run in runs:
        models.setdefault(run.name, []).append(run.label)
    names = [entry.name for entry in entries]
    measures = [name for found in table.found.values() for each in found.values() for name in each]
    return {
        **run_record(),
        "versions": versions(PACKAGES),
        "task": handles.task,
        "settings": asdict(args),
        "seeds": {"handles": handles.seed, "probe, noise and resamples": args.seed},
        "handles": {
            "count": len(handles),
            "episodes": len(set(handles.episodes)),
            "part": handles.part,
            "chunk": handles.chunk,
            "dataset": handles.dataset,
        },
        "store": {"dataset": store.info["dataset"], "encoder": store.info["encoder"]},
        "horizons": list(args.horizons),
        "reference": args.reference if args.reference in names else names[0],
        "thing": ruler.reader.thing,
        "thresholds": {str(horizon): value for horizon, value in ruler.thresholds.items()},
        "models": models,
        "runs": {
            entry.label: {"name": entry.name, "place": entry.place, "seed": entry.seed, **entry.facts}
            for entry in entries
        },
        "measures": {
            name: {"better": better(name), "relative_to": relative_to(name)} for name in dict.fromkeys(measures)
        },
    }
