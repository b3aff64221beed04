"""README's tables of speed, and what the result says about the targets."""

from __future__ import annotations

from statistics import median
from typing import Any

NAMES = {
    "dream": "**RLA-WM, dream**",
    "environment": "**its environment** (features, reward)",
    "rla-wm, compiled": "RLA-WM, torch.compile",
    "dream, pictures": "RLA-WM, every frame decoded",
    "fm-wm": "FM-WM",
    "dino-wm": "DINO-WM",
    "dino-wm-frames": "DINO-WM, frame by frame",
    "dino-wm-stable-worldmodel": "DINO-WM of stable-worldmodel",
    "lewm": "LeWM",
    "video-diffusion": "video diffusion, frames encoded",
    "video-diffusion, frames alone": "video diffusion",
    "real": "simulator, rendered and encoded (float32)",
}
"""Rows of README's table; flows from noise are added as they are called."""
AGAINST = {"real": "environment", "video-diffusion, frames alone": "dream, pictures"}
"""What a row is compared with, where that is not the dream: what does as much."""
SHARE, DISTURBED = 0.9, "†"
"""Least share of a core that a timing has undisturbed, and the mark of those that had less."""


def race_of(found: dict[str, Any], batch: int, precision: str) -> dict[str, Any]:
    """The race at one batch size."""
    return next(race for race in found["races"] if (race["batch"], race["precision"]) == (batch, precision))


def headlines(found: dict[str, Any]) -> dict[str, Any]:
    """What the targets are about, by precision, at the focus batch; each ratio is [median, least, most] over rounds.

    `video_diffusion` and `video_diffusion_frames`: predicted frames a second of RLA-WM over those of video diffusion,
    as tokens and as pictures. `real`: control steps a second over the simulator's. `of_peak`: share of the peak.
    `batch_exponent`, `token_exponent`: of cost. `euler`: by temperature and chunks the fewest steps that are no worse
    than 2 % of the most, with the ratio of the energy score.
    """
    focus, result = found["settings"]["focus"], dict[str, Any]()
    for precision in found["peaks"]:
        race = race_of(found, focus, precision)
        ratios, batch = race["ratios"], found["exponents"]["batch"][precision]
        result[precision] = {
            "batch": focus,
            "video_diffusion": ratios["dream"].get("video-diffusion"),
            "video_diffusion_frames": ratios.get("dream, pictures", {}).get("video-diffusion, frames alone"),
            "real": ratios["environment"].get("real"),
            "of_peak": race["of_peak"]["dream"],
            "batch_exponent": batch.get("dream"),
            "token_exponent": {
                name: row["exponent"] for name, row in found["exponents"]["tokens"][precision]["models"].items()
            },
        }
    if found["quality"] is not None:
        result["euler"] = few_steps(found["quality"]["rows"])
    return result


def few_steps(rows: list[dict[str, Any]], allowed: float = 1.02) -> list[dict[str, Any]]:
    """By temperature and chunks the fewest evaluations whose energy score is at most `allowed` times that of most."""
    found = []
    for temperature, chunks in dict.fromkeys((row["temperature"], row["chunks"]) for row in rows):
        same = [row for row in rows if (row["temperature"], row["chunks"]) == (temperature, chunks)]
        fit = min((row for row in same if row["to_last"]["energy"][0] <= allowed), key=lambda row: row["steps"])
        found.append(
            {
                "temperature": temperature,
                "chunks": chunks,
                "steps": fit["steps"],
                "rule": rule_of(fit),
                "to_last": fit["to_last"]["energy"],
            }
        )
    return found


def speed(found: dict[str, Any]) -> str:
    """README's block: rates, where the time goes, growth of cost and, if it was measured, few Euler steps."""
    machine, own = found["machine"], found["checkpoint"]
    video = found["models"].get("video-diffusion", {}).get("evaluations")
    drawn = "" if video is None else f", video diffusion {_count(video, 'evaluation')} of its U-Net"
    parts = [
        f"**How fast is it?** Chunks of {own['chunk']} control steps a second, with "
        f"{_count(machine['threads'], 'thread')} on as many cores of {machine['processor']}. In brackets: how many "
        "times as fast the dream is (for the simulator the dream's environment, for bare video diffusion the dream "
        "with pictures). All models have as many parameters within 10 %. For a prediction, RLA-WM and FM-WM take "
        f"{_count(own['steps'], 'Euler step')} where no number is given{drawn}.",
    ]
    parts += [rates(found, precision) for precision in found["peaks"]]
    if any(DISTURBED in part for part in parts):
        parts.append(f"{DISTURBED}: other work took more than a tenth of its core meanwhile.")
    told = [stages(found), memory(found), growth(found), _origin(found["settings"]), found.get("beside", "")]
    parts.append(" ".join(filter(None, told)))
    if found["quality"] is not None:
        parts.append(euler(found))
    return "\n\n".join(parts)


def rates(found: dict[str, Any], precision: str) -> str:
    """Rates by batch."""
    races = {race["batch"]: race for race in found["races"] if race["precision"] == precision}
    focus = found["settings"]["focus"]
    timed = {name for race in races.values() for name in race["timed"] if "matmul" not in name}
    order = [*NAMES, *sorted(timed - NAMES.keys() - {"rla-wm"})]
    lines = [
        f"| {precision}, batch | {' | '.join(str(batch) for batch in races)} | GFLOP a chunk | of peak at {focus} |",
        "|" + "---|" * (len(races) + 3),
    ]
    for name in (name for name in order if name in timed):
        cells = [_rate(race, name) for race in races.values()]
        share = races[focus]["of_peak"].get(name)
        work = found["models"].get(name, found["models"]["rla-wm"] if name == "rla-wm, compiled" else {})
        flops = f"{work['flops_per_chunk'] / 1e9:.2g}" if work else ""
        percent = "" if share is None else f"{share:.0%}"
        lines.append(f"| {NAMES.get(name, name)} | {' | '.join(cells)} | {flops} | {percent} |")
    return "\n".join(lines)


def stages(found: dict[str, Any]) -> str:
    """Milliseconds a chunk of each stage."""
    texts = []
    for precision, entry in found["stages"].items():
        rows = [
            f"{name} {1000 / timed['per_second']:.2f}" for name, timed in entry["timed"].items() if "matmul" not in name
        ]
        texts.append(f"{precision}: {', '.join(rows)}")
    batch = next(iter(found["stages"].values()))["batch"]
    return f"Milliseconds a chunk at batch {batch}, {'; '.join(texts)}."


def memory(found: dict[str, Any]) -> str:
    """What steps need besides the weights."""
    focus, precision = found["settings"]["focus"], next(iter(found["peaks"]))
    told = {name: entry for name, entry in race_of(found, focus, precision)["memory_mb"].items() if entry}
    shown = [name for name in ("dream", "environment", "dino-wm", "video-diffusion", "real") if name in told]
    if not shown:
        return "This system does not tell what memory a step needs."
    parts = ", ".join(f"{name} {told[name]['peak'] - told[name]['before']:.0f}" for name in shown)
    return f"Megabytes that one step of batch {focus} needs for a time, {precision}: {parts}."


def growth(found: dict[str, Any]) -> str:
    """Exponents of cost."""
    texts = []
    for precision, batch in found["exponents"]["batch"].items():
        dream, tokens = batch.get("dream"), found["exponents"]["tokens"][precision]["models"]
        grown = ", ".join(f"{name} {row['exponent']:.2f}" for name, row in tokens.items())
        patches = next(iter(tokens.values()))["patches"]
        large = "" if dream is None or dream["from_16"] is None else f" ({dream['from_16']:.2f} from 16 on)"
        own = "" if dream is None else f"the batch to the power of {dream['exponent']:.2f}{large} and as "
        texts.append(f"{precision}: as {own}the number of patches ({patches[0]} to {patches[-1]}) to that of {grown}")
    return f"Cost of the dream grows, {'; '.join(texts)}."


def euler(found: dict[str, Any]) -> str:
    """Energy scores and rates by Euler steps."""
    quality, focus = found["quality"], found["settings"]["focus"]
    precision, timed = next(iter(quality["timed"].items()))
    rows = {(row["temperature"], row["chunks"], (row["steps"], rule_of(row))): row for row in quality["rows"]}
    temperatures, numbers, samplers = (list(dict.fromkeys(key[i] for key in rows)) for i in range(3))
    most = max(steps for steps, rule in samplers if rule == "euler")
    heads = [f"T = {t:g}, {_count(n, 'chunk')}" for t in temperatures for n in numbers]
    lines = [
        f"| evaluations | {' | '.join(heads)} | chunks/s at {focus}, {precision} |",
        "|" + "---|" * (len(heads) + 2),
    ]
    for step, rule in samplers:
        cells = []
        for temperature in temperatures:
            for number in numbers:
                row = rows[temperature, number, (step, rule)]
                ratio, low, high = row["to_last"]["energy"]
                share = row["energy"] / quality["still"][str(number)]["energy"]
                cells.append(f"{share:.3f} ({ratio:.3f} [{low:.3f}, {high:.3f}])")
        rate = f"{timed[str(step)]['per_second']:.0f}" if str(step) in timed else "–"
        name = f"{step}, Euler steps" if rule == "euler" else f"{step}, midpoint rule"
        lines.append(f"| {name} | {' | '.join(cells)} | {rate} |")
    note = (
        "Energy score of dreamed tokens over that of standing still (without noise, T = 0, the ratio of distances to "
        f"the truth), on {quality['starts']} starts of {quality['part']} episodes; in brackets over that of "
        f"{_count(most, 'Euler step')}, 95 % intervals by bootstrap over episodes."
    )
    return "\n".join([*lines, "", note])


def rule_of(row: dict[str, Any]) -> str:
    """ "euler" or "midpoint"."""
    return str(row.get("rule", "euler"))


def _rate(race: dict[str, Any], name: str) -> str:
    """Chunks a second, and how many times what it is compared with does as many."""
    if name not in race["timed"]:
        return "–"
    rate = race["timed"][name]["per_second"]
    mark = DISTURBED if core_share(race["timed"][name]["turns"]) < SHARE else ""
    own = AGAINST.get(name, "dream")
    ratio = race["ratios"].get(own, {}).get(name)
    if ratio is None or name in ("dream", "environment", "dream, pictures"):
        return f"{_digits(rate)}{mark}"
    return f"{_digits(rate)}{mark} ({_digits(ratio[0])}×)"


def core_share(turns: list[dict[str, float]]) -> float:
    """How much of one core it had in the median turn; above 1 where it runs on several."""
    return median(turn["cpu_seconds"] / turn["seconds"] for turn in turns)


def _digits(value: float) -> str:
    """Two digits or more."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _origin(settings: dict[str, Any]) -> str:
    return (
        f"Medians of {_count(settings['rounds'], 'round')} in which all took turns (`benchmarks/results/speed.json`: "
        "every turn, memory, what was left out and why; `python -m benchmarks.speed`)."
    )
