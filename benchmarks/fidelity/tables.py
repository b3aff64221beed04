"""README's tables of models: how wrong each is, and how much less wrong RLA-WM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.fidelity.actions import RECORDED
from benchmarks.fidelity.summary import COUNTERFACTUAL, PERSISTENCE
from benchmarks.markdown import markdown
from benchmarks.report.html import interval
from benchmarks.report.targets import baselines, horizon_place, scores

KINDS = (RECORDED, COUNTERFACTUAL)


def models(found: dict[str, Any]) -> str:
    """RLA-WM and its peers, by task."""
    first = next(iter(found.values()))
    titles = " | ".join(measures(first).values())
    errors, leads = [], []
    for task, result in found.items():
        peers = [model for model in baselines(result) if model != PERSISTENCE]
        for model in (result["reference"], *peers):
            cells = [pair(result, name, model) for name in measures(result)]
            errors.append(f"| {task} | {title_of(result, model)} | {' | '.join(cells)} |")
        for model in peers:
            cells = [lead(result, name, model, kind) for name in measures(result) for kind in KINDS]
            leads.append(f"| {task} | {model} | {' | '.join(cells)} |")
    note = (
        f"After {first['horizons'][horizon_place(first)]} chunks, with recorded / with other actions from the same "
        "held-out starts. Tokens: L1 on the patches that moved; thing: its position as a probe reads it, where it did "
        "move; energy score of eight samples, on moving tokens: of a model that draws nothing it is the error of its "
        "one prediction; all over the error if nothing moved. SSIM of frames, all decoded by one decoder but those of "
        "models that draw their own. In brackets behind a model: training seeds, and starts where it was measured on "
        "fewer, being slow."
    )
    title = f"**Is it better than its peers?** {budget(list(found.values()))}\n\n"
    text = title + markdown(f"| task | model | {titles} |", errors, note)
    if not leads:
        return text
    columns = " | ".join(f"{title}, {kind}" for title in measures(first).values() for kind in ("recorded", "other"))
    title = (
        f"**By how much?** Percent by which {first['reference']}'s error is lower than the other model's, with 95 % "
        "intervals over episodes and training seeds; below 0 it is the worse one.\n\n"
    )
    note = (
        "The same measures; of SSIM what is missing to 1, a part of which is the decoder's. Intervals are those of the "
        f"difference, over the other model's mean. {tally(list(found.values()))} (`benchmarks/results/fidelity/`; "
        "`python -m benchmarks.report` makes a page of all measures, tests and pictures.)"
    )
    return f"{text}\n\n{title}{markdown(f'| task | against | {columns} |', leads, note)}"


def tally(results: Sequence[dict[str, Any]]) -> str:
    """How often the interval leaves out 0, by peer: over tokens, thing and SSIM, recorded and other actions."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        for (_, _, other), told in scores(result).items():
            counts.setdefault(other, Counter())[told or "unknown"] += 1
    parts = [
        f"{other} {' / '.join(str(count[told]) for told in ('ahead', 'even', 'behind'))}"
        for other, count in counts.items()
    ]
    whose = results[0]["reference"]
    return f"Tokens, thing and SSIM together, {whose} is ahead of / even with / behind {', '.join(parts)}."


def measures(result: Mapping[str, Any]) -> dict[str, str]:
    """Measures of the tables, and their titles."""
    return {
        "moving_l1": "moving tokens",
        f"{result['thing']}_moved_mm": "thing",
        "ssim": "SSIM",
        "moving_energy": "energy score",
    }


def title_of(result: Mapping[str, Any], model: str) -> str:
    """The model with its training seeds, and its starts where it was measured on fewer than the reference."""
    place, about = horizon_place(result), []
    seeds = len(result["models"][model])
    about += [f"{seeds}"] if seeds > 1 else []
    counts = [result["means"][RECORDED]["moving_l1"][each]["handles"][place] for each in (model, result["reference"])]
    about += [f"{counts[0]} starts"] if counts[0] < counts[1] else []
    return f"{model} ({', '.join(about)})" if about else model


def pair(result: Mapping[str, Any], measure: str, model: str) -> str:
    """Means with recorded and with other actions; a dash for what was not measured."""
    if measure not in result["measures"]:
        return "–"
    part = "ratio" if result["measures"][measure]["relative_to"] else "value"
    means = [result["means"].get(kind, {}).get(measure, {}).get(model) for kind in KINDS]
    digits = 3 if measure == "ssim" else 2
    return " / ".join("–" if mean is None else f"{mean[part][horizon_place(result)][0]:.{digits}f}" for mean in means)


def lead(result: Mapping[str, Any], measure: str, other: str, kind: str) -> str:
    """Percent by which the reference's error is lower than another model's, with its interval."""
    place = horizon_place(result)
    changes = result["differences"].get(kind, {}).get(measure, {}).get(other)
    if changes is None or changes[place] is None:
        return "–"
    base = result["means"][kind][measure][other]["value"][place][0]
    scale = 100 / (1 - base) if result["measures"][measure]["better"] == "higher" else -100 / base
    bounds = sorted(scale * changes[place][name] for name in ("low", "high") if changes[place][name] is not None)
    return interval([scale * changes[place]["difference"], *(bounds or (None, None))], 2)


def budget(results: Sequence[dict[str, Any]]) -> str:
    """What the models of all comparisons have in common, and what RLA-WM has beside its parameters."""
    runs = [run for result in results for run in result["runs"].values()]
    minutes = {run.get("minutes") for run in runs}
    cost = f"{minutes.pop():g} minutes of one core each" if len(minutes) == 1 and None not in minutes else "equal cost"
    least, most = (bound(run["parameters"] for run in runs) / 1e6 for bound in (min, max))
    kept = max(run.get("components", 0) for run in runs) / 1e6
    components = f", beside which latents keep {kept:.1f} million numbers of principal components" if kept else ""
    return (
        f"Models of {least:.2f} to {most:.2f} million parameters{components}, trained for {cost} on the same episodes."
    )
