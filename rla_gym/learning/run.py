"""The demo: every seed's run, then the video, the figure, the table and result.json."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.figures import draw_learning_curve
from rla_gym.learning.kept import SETTINGS, Kept
from rla_gym.learning.parts import timed
from rla_gym.learning.plan import Plan, stages
from rla_gym.learning.report import as_dict, table
from rla_gym.learning.seed_run import SeedRun, agent_name
from rla_gym.learning.speed import dream_speed, with_precision
from rla_gym.learning.video import write_video
from rla_gym.utils.files import read_json, sha256_file, write_json
from rla_gym.utils.outputs import output
from rla_gym.utils.progress import duration
from rla_gym.utils.provenance import versions

RESULT, FIGURE, VIDEO = "result.json", "learning_curve.png", "dream_vs_reality.mp4"
UNFINISHED = ".stages"
"""Folder in `config.out` that keeps finished stages until all are."""


def run(config: DemoConfig) -> dict[str, Any]:
    """Do all of it; see `rla_gym.learning.main`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        bundle, out = load_checkpoint(config.ckpt), Path(config.out)
        plan = Plan(stages(config, len(bundle.references.select(config.dream_references))))
        print(f"about {duration(plan.left())} on an idle machine; the estimate follows this one", flush=True)
        config = with_precision(resumed_precision(config, out / UNFINISHED / SETTINGS), bundle)
        with output(out, "demo") as folder:
            folder.check(written(config, plan))
            kept = Kept(out / UNFINISHED, settings_of(config, bundle), plan.stages)
            if kept.other:
                print(f"{out} began with other settings ({', '.join(kept.other)}): beginning anew", flush=True)
            folder.claim(written(config, plan))
            results = []
            for seed in config.seeds:
                result, agent = SeedRun(config, bundle, seed, plan, kept).run()
                results.append(result)
                if seed == config.seeds[0] and config.videos:
                    with timed(result.seconds, "video"), plan.run(f"video-{seed}") as progress:
                        write_video(out / VIDEO, agent, bundle, config, seed, progress.update)
            draw_learning_curve(out / FIGURE, results)
            summary = as_dict(config, bundle, results, dream_speed(config, bundle))
            write_json(out / RESULT, summary)
            kept.remove()
            folder.seal()
        print(table(summary), flush=True)
        print(f"wrote {', '.join(name for name in results_of(config) if (out / name).is_file())} in {out}", flush=True)
        return summary
    finally:
        torch.set_num_threads(threads)


def results_of(config: DemoConfig) -> list[str]:
    """Names of the files that are the demo's results."""
    return [RESULT, FIGURE, *([VIDEO] if config.videos else []), *(agent_name(config, seed) for seed in config.seeds)]


def written(config: DemoConfig, plan: Plan) -> list[str]:
    """Names of all files that the demo writes."""
    kept = Kept(Path(UNFINISHED), {}, plan.stages)
    return [*results_of(config), *(path.as_posix() for path in kept.files)]


def resumed_precision(config: DemoConfig, settings: Path) -> DemoConfig:
    """`config` with the precision of the run that it resumes, which may have been the faster one then."""
    found = read_json(settings).get("precision") if settings.is_file() else None
    return replace(config, precision=found) if config.precision == "auto" and found else config


def settings_of(config: DemoConfig, bundle: Bundle) -> dict[str, Any]:
    """What the results of a stage depend on: those of another run with the same are as good as its own."""
    free = ("out", "threads", "workers", "videos", "held_out_references")
    settings = {name: value for name, value in asdict(config).items() if name not in free}
    checkpoint = None if bundle.path is None else sha256_file(bundle.path / "config.json")
    return {**settings, "checkpoint": checkpoint, "versions": versions()}
