"""A checkpoint's card: what it is, what it was made from and how good it is, as Markdown for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rla_gym.checkpoint.bundle import Bundle, BundleConfig
from rla_gym.checkpoint.resolve import built_in_names
from rla_gym.checkpoint.verdicts import metric_lines

LINE = 250
"""Characters; an entry that fits is told in one line."""
LISTED = 8
"""Values of a list that are shown; config.json has all."""


def card_markdown(bundle: Bundle) -> str:
    """The checkpoint's card as Markdown."""
    config = bundle.config
    known = config.name in built_in_names()
    counts = ", ".join(
        f"{int((bundle.references.parts == index).sum())} {part}"
        for index, part in enumerate(("training", "validation", "test"))
    )
    lines = [
        f"# {config.name}",
        "",
        f"A world model of the task {config.task}: residual latent actions (arXiv 2605.07079) between tokens of "
        f"{config.encoder_name}, {config.grid[0]}x{config.grid[1]} patches of {config.autoencoder.channels} channels.",
        "",
        "```python",
        "import gymnasium as gym",
        "import rla_gym",
        "",
        f'env = gym.make("RLAWorld-v0", ckpt="{config.name if known else "path/of/this/folder"}")'
        f"{'  # or the path of this folder' if known else ''}",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| chunk | {config.chunk} control steps of {config.action_size} numbers, {config.control_hz:g} Hz |",
        f"| episode | {config.max_episode_steps} chunks |",
        f"| prediction | {_prediction(config)} |",
        f"| reward | {config.reward.mode}, {config.reward.metric} over {config.reward.patches} patches |",
        f"| reference episodes | {counts} |",
        "",
    ]
    for title, card in (("Data", config.data_card), ("Training", config.training_card)):
        if card:
            lines += [f"## {title}", "", *bullets(card), ""]
    if config.metrics:
        lines += ["## Measured", "", "On held-out episodes of the data set."]
        for kind, metrics in config.metrics.items():
            lines += ["", f"### {kind}", "", *(metric_lines(metrics) if isinstance(metrics, Mapping) else [])]
        lines.append("")
    return "\n".join(lines)


def _prediction(config: BundleConfig) -> str:
    if config.flow.anchor and config.temperature == 0:
        return "regressed tokens, which are the flow's central sample: temperature 0"
    return f"flow evaluated {config.steps} times, temperature {config.temperature:g}"


def bullets(card: Mapping[str, Any], depth: int = 0) -> list[str]:
    """A nested Markdown list of what JSON holds; small mappings stand in one line, large ones below their name."""
    lines = []
    for name, value in card.items():
        bullet, text = f"{'  ' * depth}- {name}:", as_text(value)
        if isinstance(value, Mapping) and (len(text) > LINE or any(isinstance(v, Mapping) for v in value.values())):
            lines += [bullet, *bullets(value, depth + 1)]
        else:
            lines.append(f"{bullet} {text}")
    return lines


def as_text(value: Any) -> str:
    """A JSON value in one line: numbers to four digits, long lists cut short."""
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {as_text(entry)}" for name, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(map(as_text, value[:LISTED]))
        return f"[{shown}]" if len(value) <= LISTED else f"{len(value)} values: {shown}, ..."
    return str(value)
