"""README's table of models, and what it says about their budget and their distance."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import markdown
from benchmarks.report.html import interval
from benchmarks.report.targets import horizon_place


def models(found: dict[str, Any]) -> str:
    """RLA-WM against its peers, by task."""
    rows = []
    for task, result in found.items():
        place, kinds = horizon_place(result), ("recorded", "counterfactual")
        for model in result["models"]:
            cells = []
            thing = result["thing"]
            for measure in ("moving_l1", f"{thing}_moved_mm", "ssim", "moving_energy"):
                if measure not in result["measures"]:
                    cells += ["–", "–"]
                    continue
                part = "ratio" if result["measures"][measure]["relative_to"] else "value"
                means = [result["means"][kind][measure].get(model) for kind in kinds]
                cells += [interval(mean[part][place], 2) if mean else "–" for mean in means]
            seeds = len(result["models"][model])
            rows.append(f"| {task} | {model}{f' ({seeds})' if seeds > 1 else ''} | {' | '.join(cells)} |")
    first = next(iter(found.values()))
    lead = ". ".join(filter(None, (leads(task, result) for task, result in found.items())))
    title = f"**Is it better than its peers?** {budget(first)}\n\n"
    return title + markdown(
        "| task | model | moving tokens | the same, other actions | thing | the same, other actions | SSIM | the same, "
        "other actions | energy score | the same, other actions |",
        rows,
        f"After {first['horizons'][horizon_place(first)]} chunks, with recorded and with other actions from the same "
        "held-out starts. Tokens: L1 on the patches that moved, thing: its position as a probe reads it, where it "
        "truly moved, both over the error if nothing moved; SSIM of frames, all decoded by one decoder but those of "
        "models that draw their own; energy score of eight samples on moving tokens, as a ratio too: of a model that "
        "draws nothing it is the error of its one prediction. In brackets behind a model: training seeds. 95 % "
        "intervals over episodes and training seeds "
        f"(`benchmarks/results/fidelity/`; `python -m benchmarks.report` makes a page of all measures, tests and "
        f"pictures). {lead}{'.' if lead else ''}",
    )


def budget(result: dict[str, Any]) -> str:
    """What the models of a comparison have in common, and what RLA-WM has beside its parameters."""
    runs = list(result["runs"].values())
    minutes = {run.get("minutes") for run in runs}
    cost = f"{minutes.pop():g} minutes of one core each" if len(minutes) == 1 and None not in minutes else "equal cost"
    least, most = (bound(run["parameters"] for run in runs) / 1e6 for bound in (min, max))
    kept = max(run.get("components", 0) for run in runs) / 1e6
    components = f", beside which latents keep {kept:.1f} million numbers of principal components" if kept else ""
    return (
        f"Models of {least:.2f} to {most:.2f} million parameters{components}, trained for {cost} on the same episodes."
    )


def leads(task: str, result: dict[str, Any], other: str = "dino-wm", measure: str = "moving_energy") -> str:
    """How far the reference's energy score lies below another model's, in percent of the latter; empty without both."""
    place, told = horizon_place(result), []
    for kind in ("recorded", "counterfactual"):
        changes = result["differences"].get(kind, {}).get(measure, {}).get(other)
        means = result["means"].get(kind, {}).get(measure, {}).get(other)
        if changes is None or means is None or changes[place] is None:
            return ""
        base, change = means["value"][place][0], changes[place]
        told.append(interval([-100 * change[name] / base for name in ("difference", "high", "low")], 2) + " %")
    whose = f"{result['reference']}'s energy score on {task}"
    return f"{whose} is lower than {other}'s by {told[0]}, with other actions by {told[1]}"
