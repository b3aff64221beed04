"""`rla-gym eval`: how far a checkpoint's dreams are from the simulator, on held-out episodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rla_gym.utils.checks import Count, NonNegative, Whole
from rla_gym.utils.threads import use_threads

if TYPE_CHECKING:
    from rla_gym.checkpoint.bundle import Bundle
    from rla_gym.data.store import TokenStore


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Print errors of dreams on held-out episodes, and write a video of dreams beside recordings.

    In tokens under the recorded actions, for any checkpoint; where its task has a simulator also in millimetres, with
    recorded and with counterfactual actions. For that a state probe is trained on true tokens and true states first (a
    minute or two); its own error is printed.
    """

    tokens: Path
    """Token store of episodes recorded in the checkpoint's task."""
    ckpt: str = "push-cube"
    """Checkpoint: folder, built-in name or hub id."""
    count: Count = 200
    """Held-out starts (of each kind of actions)."""
    probe_steps: Count = 4000
    """Optimiser steps of the probe."""
    steps: Count | None = None
    """Evaluations of the flow for a prediction; None: the checkpoint's."""
    temperature: NonNegative | None = None
    """Factor of the noise; None: the checkpoint's."""
    seed: Whole = 0
    """Of starts, actions and probe."""
    out: Path | None = None
    """Also write everything to this JSON file, which must not be there yet."""
    video: Path | None = None
    """Video of dreams beside held-out recordings; None: dream_vs_recording.mp4, with a number where that exists."""
    videos: Whole = 3
    """Episodes in it; 0: no video."""
    data: Path | None = None
    """The data set of the tokens, whose frames the video then shows; None: frames decoded from the tokens."""
    threads: Count = 1
    """Threads of torch."""

    def run(self) -> None:
        """Measure and print tables."""
        from rla_gym.bench.fidelity.recorded import recorded_fidelity, recorded_table, write_recorded_video
        from rla_gym.checkpoint.reference_data import check_coordinates
        from rla_gym.checkpoint.store import load_checkpoint
        from rla_gym.data.store import TokenStore
        from rla_gym.tasks.simulated import is_simulated
        from rla_gym.training.records import plain
        from rla_gym.utils.files import write_json
        from rla_gym.utils.outputs import refuse_file
        from rla_gym.utils.provenance import commit, versions

        video = free_path(Path("dream_vs_recording.mp4")) if self.video is None else self.video
        for path in (self.out, video):
            if path is not None:
                refuse_file(path)
        use_threads(self.threads)
        bundle, store = load_checkpoint(self.ckpt), TokenStore.open(self.tokens)
        check_coordinates(store, bundle)
        options: dict[str, Any] = {"steps": self.steps, "temperature": self.temperature}
        found: dict[str, Any] = {"recorded": recorded_fidelity(bundle, store, self.count, seed=self.seed, **options)}
        print(recorded_table(found["recorded"]), flush=True)
        if self.videos:
            if write_recorded_video(video, bundle, store, self.data, self.videos, **options):
                print(f"dreams beside recordings: {video}", flush=True)
            else:
                print("no video, as the checkpoint has no image decoder: `rla-gym train image-decoder`, and export")
        if is_simulated(bundle.config.task):
            found |= self._in_simulator(bundle, store, options)
            print(fidelity_table(found))
        else:
            print(f"{bundle.config.task} has no simulator: nothing is measured in millimetres, or with other actions")
        if self.out is not None:
            settings = {"count": self.count, "seed": self.seed, "probe_steps": self.probe_steps}
            made = {"checkpoint": bundle.config.name, "commit": commit(), "versions": versions()}
            write_json(self.out, plain({**made, **settings, **found}))
            print(f"written to {self.out}")

    def _in_simulator(self, bundle: Bundle, store: TokenStore, options: dict[str, Any]) -> dict[str, Any]:
        """What `fidelity` measures against the simulator."""
        from rla_gym.bench.fidelity.probe import ProbeConfig, train_probe
        from rla_gym.bench.fidelity.simulator import fidelity
        from rla_gym.tasks import make_task

        # Before the probe takes its minutes: it may not run here.
        task = make_task(bundle.config.task, **bundle.config.task_options)
        try:
            probe = train_probe(store, ProbeConfig(steps=self.probe_steps, seed=self.seed))
            return fidelity(bundle, probe, store, task, self.count, self.seed, **options)
        finally:
            task.close()


def free_path(path: Path) -> Path:
    """`path`, or the first of path-2, path-3 ... that does not exist."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def fidelity_table(found: dict[str, Any]) -> str:
    """What `fidelity` measured as a Markdown table: millimetres after the first and the last chunk."""
    floors = ", ".join(f"{thing} {error:.1f}" for thing, error in found["probe_floor_mm"].items())
    lines = [
        f"probe's own error on true held-out tokens, mm: {floors}",
        "",
        "| actions | thing | starts | after 1 chunk: dream / nothing moves | after the last: dream / nothing moves |",
        "|---|---|---|---|---|",
    ]
    for kind, entry in found["kinds"].items():
        for thing, row in entry.items():
            if thing == "drift" or not row["contact_handles"]:
                continue
            cells = [f"{row['contact_error'][i]:.1f} / {row['contact_persistence'][i]:.1f} mm" for i in (1, -1)]
            lines.append(f"| {kind} | {thing} | {row['contact_handles']} | {cells[0]} | {cells[1]} |")
    drifts = {kind: entry["drift"] for kind, entry in found["kinds"].items() if "drift" in entry}
    told = ", ".join(f"{kind} {row['goalward_mm_per_chunk']:+.2f} (n={row['handles']})" for kind, row in drifts.items())
    note = "starts: those where the thing truly moved."
    if told:
        note += f" Where nothing truly moved, the dream moves it toward the goal by, mm a chunk: {told}"
    return "\n".join([*lines, "", note])
