"""What `benchmarks.fidelity` found of one task, and over all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fidelity.actions import RECORDED
from benchmarks.fidelity.handles import file_of
from benchmarks.fidelity.summary import COUNTERFACTUAL, PERSISTENCE, TRUTH
from benchmarks.fidelity.tables import measures
from benchmarks.report.figures import Line, curves, line_of, model_styles
from benchmarks.report.html import Cell, block, folded, interval, note, number, section, table
from benchmarks.report.media import media
from benchmarks.report.targets import BOUND, baselines, horizon_place, judged, scores, verdict, wins

NAMES = {
    "tokens_l1": "tokens, L1", "tokens_l2": "tokens, L2", "tokens_cosine": "tokens, 1 − cosine",
    "tokens_motion": "motion energy", "moving_l1": "moving tokens, L1", "moving_l2": "moving tokens, L2",
    "moving_cosine": "moving tokens, 1 − cosine", "moving_motion": "motion energy, moving tokens",
    "ssim": "SSIM", "psnr": "PSNR, dB", "lpips": "LPIPS", "tokens_energy": "energy score, tokens",
    "moving_energy": "energy score, moving tokens", "tokens_best": "best sample, tokens",
    "moving_best": "best sample, moving tokens", "goalward_mm": "goal-ward motion, mm",
    "goalward_bias_mm": "goal-ward motion less the truth, mm", "drift_mm": "goal-ward drift where nothing moved, mm",
}  # fmt: skip


def name_of(measure: str) -> str:
    """A measure in words: "cube_energy_mm" is "cube, energy score, mm"."""
    if measure in NAMES:
        return NAMES[measure]
    thing, _, unit = measure.rpartition("_")
    unit = "degrees" if unit == "deg" else unit
    for suffix, words in (("_energy", ", energy score"), ("_best", ", best sample"), ("_moved", " where it moved")):
        if thing.endswith(suffix):
            return f"{thing.removesuffix(suffix)}{words}, {unit}"
    return f"{thing}, {unit}"


def tasks_section(results: Sequence[Mapping[str, Any]]) -> str:
    """Who wins where."""
    rows = []
    for found in results:
        told = list(scores(found).values())
        cells = [str(sum(each == kind for each in told)) for kind in ("ahead", "even", "behind")]
        rows.append([found["task"], *cells, Cell("yes", "ahead") if wins(found) else Cell("no", "behind")])
    count = sum(wins(found) for found in results)
    titles = measures(results[0])  # things have other names on other tasks
    return section(
        "All tasks",
        table(["task", "ahead", "not told apart", "behind", "ahead of every baseline in everything"], rows),
        note(
            f"{results[0]['reference']} against every trained baseline, at {horizon_of(results[0])} chunks, recorded "
            f"and counterfactual: {', '.join(titles[name] for name in judged(results[0]))}. Ahead of "
            f"all in all on {count} of {len(results)} tasks."
        ),
    )


def horizon_of(found: Mapping[str, Any]) -> int:
    """Chunks at which the models of a result are compared."""
    horizon: int = found["horizons"][horizon_place(found)]
    return horizon


def fidelity_section(found: Mapping[str, Any], strips: Path | None = None) -> str:
    """All of one task."""
    handles, settings = found["handles"], found["settings"]
    folder = strips or Path(settings["strips"] or Path("runs") / "fidelity" / Path(file_of(found["task"])).stem)
    kinds = [kind for kind in found["means"] if kind != COUNTERFACTUAL]
    pooled = [kind for kind in (RECORDED, COUNTERFACTUAL) if kind in found["means"]]
    return section(
        f"Fidelity: {found['task']}",
        note(
            f"{handles['count']} starts in {handles['episodes']} {handles['part']} episodes, chunks of "
            f"{handles['chunk']} control steps; kinds of actions: {', '.join(kinds)}. Intervals are of 95 %, by "
            "resampling episodes and training seeds. Commit "
            f"{str(found['commit'])[:18]}, seeds {found['seeds']}, {number(found['minutes'])} minutes."
        ),
        block("Models", models_table(found)),
        block(f"Who is ahead after {horizon_of(found)} chunks", *(ahead_table(found, kind) for kind in pooled)),
        block("Errors by horizon", *(horizon_curves(found, kind) for kind in pooled)),
        block(f"By kind of actions, after {horizon_of(found)} chunks", *(kinds_table(found, m) for m in judged(found))),
        block(f"Counterfactual over recorded error (to stay below {BOUND})", counterfactual_table(found)),
        block("Goal-ward motion", goal_table(found)),
        block(
            "Everything", *(folded(f"{kind}: all measures", everything_table(found, kind)) for kind in found["means"])
        ),
        block("Frames", media(folder)),
    )


def models_table(found: Mapping[str, Any]) -> str:
    """What was trained how."""
    rows = []
    for label, run in found["runs"].items():
        budget = f"{run['minutes']:g} minutes" if run.get("minutes") else "–"
        budget = f"{run['samples']:,} samples" if run.get("samples") else budget
        rows.append([label, run["model"], f"{run['parameters']:,}", str(run["seed"]), budget, run["place"]])
    return table(["run", "model", "parameters", "seed", "budget", "from"], rows)


def ahead_table(found: Mapping[str, Any], kind: str) -> str:
    """Means of the judged measures, and the paired difference of the reference from each other model."""
    place, reference = horizon_place(found), found["reference"]
    rows = []
    for model in found["models"]:
        cells: list[str] = [model]
        for measure in judged(found):
            mean = found["means"][kind][measure].get(model)
            cells.append(interval(mean["value"][place]) if mean else "–")
            change = found["differences"][kind].get(measure, {}).get(model)
            if model not in baselines(found) or change is None or change[place] is None:
                cells.append("")
                continue
            told = change[place]
            text = interval([told["difference"], told["low"], told["high"]], 2)
            p = "" if told["p"] is None else f", p {'< 0.001' if told['p'] < 0.001 else number(told['p'], 2)}"
            cells.append(Cell(text + p, verdict(found, kind, measure, model, place) or ""))
        rows.append(cells)
    columns = ["model"]
    for measure in judged(found):
        columns += [name_of(measure), f"{reference} less this"]
    return table(columns, rows, f"{kind} actions; green: {reference} is ahead, red: behind, by intervals without 0")


def horizon_curves(found: Mapping[str, Any], kind: str) -> str:
    """Curves over horizons: errors over those of persistence, and what has no such ratio as it is."""
    thing, means = found["thing"], found["means"][kind]
    wanted = ["moving_l1", f"{thing}_moved_mm", f"{thing}_deg", "moving_energy", "ssim"]
    panels = []
    for measure in wanted:
        if measure not in means:
            continue
        ratio = found["measures"][measure]["relative_to"] is not None
        lines: dict[str, Line] = {}
        for model, mean in means[measure].items():
            if (model == TRUTH and not measure.startswith(f"{thing}_") and ratio) or (model == PERSISTENCE and ratio):
                continue
            told = mean["ratio" if ratio else "value"]
            points = [(h, each) for h, each in zip(found["horizons"], told, strict=True) if each is not None]
            if points:
                lines[model] = line_of(points)
        panels.append((name_of(measure), "over persistence" if ratio else "", lines))
    if not panels:
        return ""
    styles = model_styles(list(found["models"]), (TRUTH, PERSISTENCE))
    half = (len(panels) + 1) // 2 if len(panels) > 3 else len(panels)
    parts = [panels[:half], panels[half:]]
    return f"<p>{kind} actions</p>" + "".join(
        curves(part, styles, "chunks", xticks=found["horizons"]) for part in parts if part
    )


def kinds_table(found: Mapping[str, Any], measure: str) -> str:
    """One measure by model and kind of actions: over persistence where that makes sense."""
    place, kinds = horizon_place(found), list(found["means"])
    part = "ratio" if found["measures"][measure]["relative_to"] else "value"
    rows = []
    for model in found["models"]:
        cells = [model]
        for kind in kinds:
            mean = found["means"][kind][measure].get(model)
            cells.append(interval(mean[part][place], 2) if mean and part in mean else "–")
        rows.append(cells)
    return table(["model", *kinds], rows, name_of(measure) + (", over persistence" if part == "ratio" else ""))


def counterfactual_table(found: Mapping[str, Any]) -> str:
    """Errors under other actions over those under recorded ones, from the same starts."""
    place, measures = horizon_place(found), [name for name in judged(found) if name in found["counterfactual"]]
    rows = []
    for model in found["models"]:
        if model in (TRUTH, PERSISTENCE):
            continue
        cells: list[str] = [model]
        for measure in measures:
            told = found["counterfactual"][measure].get(model, {}).get(COUNTERFACTUAL)
            ratio = told[place] if told else None
            kind = "" if ratio is None else "ahead" if ratio[0] <= BOUND else "behind"
            cells.append(Cell(interval(ratio), kind))
        rows.append(cells)
    return table(["model", *map(name_of, measures)], rows) if measures else ""


def goal_table(found: Mapping[str, Any]) -> str:
    """Whether models push things to the goal that truly do not go there."""
    place, rows = horizon_place(found), []
    for kind, means in found["means"].items():
        if "goalward_bias_mm" not in means:
            continue
        for model in found["models"]:
            bias, drift = (means.get(name, {}).get(model) for name in ("goalward_bias_mm", "drift_mm"))
            follows = found["follows"][kind].get(model)
            rows.append(
                [
                    f"{kind}: {model}",
                    interval(bias["value"][place], 2) if bias else "–",
                    number(follows[place], 2) if follows else "–",
                    interval(drift["value"][place], 2) if drift else "–",
                    str(drift["handles"][place]) if drift else "–",
                ]
            )
    columns = ["actions: model", "predicted less true motion, mm", "rank correlation", "drift, mm", "starts"]
    told = note("Drift: goal-ward motion that is predicted where nothing truly moved; starts: of these.")
    return folded("All kinds and models", told, table(columns, rows)) if rows else ""


def everything_table(found: Mapping[str, Any], kind: str) -> str:
    """All measures at all horizons."""
    rows = [
        [f"{name_of(measure)}: {model}", *(interval(each) for each in mean["value"]), str(mean["handles"])]
        for measure, models in found["means"][kind].items()
        for model, mean in models.items()
    ]
    return table(["measure: model", *(f"{h} chunks" for h in found["horizons"]), "starts"], rows)
