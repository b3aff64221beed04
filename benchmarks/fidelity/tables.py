"""Tables of models: how wrong each is, and how much less wrong RLA-WM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.fidelity.actions import RECORDED
from benchmarks.fidelity.summary import COUNTERFACTUAL, PERSISTENCE
from benchmarks.markdown import markdown
from benchmarks.report.html import interval
from benchmarks.report.targets import baselines, horizon_place, scores, wins

KINDS = (RECORDED, COUNTERFACTUAL)
MAIN = "dino-wm"
"""The peer whose tasks README lists one by one."""
MEANINGS = (
    "Tokens: L1 on the patches that moved; thing: its position as a probe reads it, where it did move; SSIM of frames, "
    "all decoded by one decoder but those of models that draw their own; energy score of eight samples, on moving "
    "tokens: of a model that draws nothing it is the error of its one prediction. SSIM and energy score are of the "
    "first {images} and {sampled} starts of each kind of actions."
)


def models(found: dict[str, Any]) -> str:
    """README's: RLA-WM against the published regression on every task, and against every peer over all tasks."""
    first = next(iter(found.values()))
    titles = " | ".join(measures(first).values())
    rows = [
        f"| {task} | {leads(result, MAIN)} | {against_recorded(result)} |"
        for task, result in found.items()
        if MAIN in result["models"]
    ]
    note = (
        f"Percent by which {first['reference']}'s error is lower than that of `{MAIN}`, with 95 % intervals over "
        f"episodes and training seeds; below 0 it is the worse one. After {chunks(first)} chunks, with recorded / with "
        f"other actions from the same held-out starts. {meanings(first)} Of SSIM it is what is missing to 1, a part of "
        "which is the decoder's. Intervals are those of the difference, over the other model's mean. Last column: "
        "its own errors of tokens and thing with other actions, over those with recorded ones; sought was at most 1.3."
    )
    title = f"**Is it better than its peers?** {budget(list(found.values()))}"
    tasks = [markdown(f"| task | {titles} | other / recorded |", rows, note)] if rows else []
    return "\n\n".join([title, *tasks, over_tasks(found)])


def over_tasks(found: dict[str, Any]) -> str:
    """Every peer's mean over the tasks that it was trained on, and how often RLA-WM is ahead."""
    results = list(found.values())
    titles, rows = " | ".join(measures(results[0]).values()), []
    for peer in dict.fromkeys(peer for result in results for peer in peers(result)):
        having = [result for result in results if peer in result["models"]]
        cells = [
            " / ".join(mean_lead([lead_of(result, number, peer, kind) for result in having]) for kind in KINDS)
            for number in range(len(measures(results[0])))
        ]
        seeds = sorted({len(result["models"][peer]) for result in having})
        trained = f"{len(having)} | {seeds[0] if len(seeds) == 1 else f'{seeds[0]} to {seeds[-1]}'}"
        rows.append(f"| {peer} | {trained} | {' | '.join(cells)} | {tally(having, peer)} |")
    note = (
        "The same against all models, means over their tasks, each with so many training seeds; in the "
        "last column how often the interval leaves out 0, tokens, thing and SSIM taken together, on one side, on "
        "neither, on the other. Ahead of every model in all of these: "
        f"{sum(wins(result) for result in results)} of {len(results)} tasks. Errors of each model on each task: "
        "[docs/models.md](docs/models.md), from `benchmarks/results/fidelity/`; `python -m benchmarks.report` makes a "
        "page of all measures, tests and pictures."
    )
    return markdown(f"| against | tasks | seeds | {titles} | ahead / even / behind |", rows, note)


def every_model(found: dict[str, Any]) -> str:
    """The page of all models: their errors by task, and how much lower RLA-WM's are."""
    first = next(iter(found.values()))
    titles = " | ".join(measures(first).values())
    errors, ahead = [], []
    for task, result in found.items():
        for model in (result["reference"], *peers(result)):
            cells = [pair(result, name, model) for name in measures(result)]
            errors.append(f"| {task} | {title_of(result, model)} | {' | '.join(cells)} |")
        ahead += [f"| {task} | {model} | {leads(result, model)} |" for model in peers(result)]
    note = (
        f"After {chunks(first)} chunks, with recorded / with other actions from the same held-out starts. "
        f"{meanings(first)} All but SSIM over the error if nothing moved. In brackets behind a model: training seeds, "
        "and starts where it was measured on fewer, being slow."
    )
    title = f"# All models of the comparison\n\n{budget(list(found.values()))}\n\n"
    text = title + markdown(f"| task | model | {titles} |", errors, note)
    note = (
        f"Percent by which {first['reference']}'s error is lower than the other model's, with 95 % intervals of the "
        "difference over episodes, and training seeds where there are several, over the other model's mean; below 0 it "
        "is the worse one; of SSIM what is missing to 1, a part of which is the decoder's."
    )
    return f"{text}\n\n{markdown(f'| task | against | {titles} |', ahead, note)}"


def meanings(result: Mapping[str, Any]) -> str:
    """What the columns are."""
    settings = result["settings"]
    return MEANINGS.format(images=settings["images"], sampled=settings["sampled"])


def peers(result: Mapping[str, Any]) -> list[str]:
    """What RLA-WM is compared with."""
    return [model for model in baselines(result) if model != PERSISTENCE]


def chunks(result: Mapping[str, Any]) -> int:
    """After how many chunks models are compared."""
    horizon: int = result["horizons"][horizon_place(result)]
    return horizon


def tally(results: Sequence[dict[str, Any]], peer: str) -> str:
    """How often the interval leaves out 0, over tokens, thing and SSIM, recorded and other actions."""
    counts = Counter(
        told for result in results for (_, _, other), told in scores(result).items() if other == peer and told
    )
    return " / ".join(str(counts[told]) for told in ("ahead", "even", "behind"))


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


def leads(result: Mapping[str, Any], other: str) -> str:
    """A cell a measure, recorded / other actions: percent by which the reference's error is lower, with interval."""
    found = [[lead_of(result, number, other, kind) for kind in KINDS] for number in range(len(measures(result)))]
    return " | ".join(" / ".join("–" if each is None else interval(each, 2) for each in cell) for cell in found)


def against_recorded(result: Mapping[str, Any]) -> str:
    """The reference's errors of tokens and thing with other actions over those with recorded ones, and intervals."""
    found = [
        result["counterfactual"].get(measure, {}).get(result["reference"], {}).get(COUNTERFACTUAL)
        for measure in list(measures(result))[:2]
    ]
    return " / ".join("–" if each is None else interval(each[horizon_place(result)], 3) for each in found)


def lead_of(result: Mapping[str, Any], number: int, other: str, kind: str) -> list[float | None] | None:
    """Percent by which the reference's error is lower than another model's, low and high; None if not measured.

    Args:
        number: of the measure in `measures`, whose things have other names on other tasks.
    """
    measure, place = list(measures(result))[number], horizon_place(result)
    changes = result["differences"].get(kind, {}).get(measure, {}).get(other)
    if changes is None or changes[place] is None:
        return None
    base = result["means"][kind][measure][other]["value"][place][0]
    scale = 100 / (1 - base) if result["measures"][measure]["better"] == "higher" else -100 / base
    bounds = sorted(scale * changes[place][name] for name in ("low", "high") if changes[place][name] is not None)
    return [scale * changes[place]["difference"], *(bounds or (None, None))]


def mean_lead(found: Sequence[Sequence[float | None] | None]) -> str:
    """Mean over tasks of what was measured."""
    values = [each[0] for each in found if each is not None and each[0] is not None]
    return f"{sum(values) / len(values):.2g}" if values else "–"


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
