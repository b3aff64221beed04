"""What the held-out metrics of a training mean, and whether they are good: a legend and a verdict, stated thresholds.

The thresholds are rules of thumb, set where agents were seen to learn: the built-in checkpoint is good in all of them,
one of `train quick` good or usable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rla_gym.checkpoint.bundle import BundleConfig

GOOD, USABLE, POOR = "good", "usable", "poor"
SAMPLES = r"(?P<chunks>c\d+)_t(?P<temperature>[\d.]+)_s(?P<evaluations>\d+)"


@dataclass(frozen=True)
class Rule:
    """A kind of metric.

    Attributes:
        pattern: of its whole name, without the prefix of metrics on training episodes.
        meaning: one sentence; it may name the pattern's groups.
        good, usable: bounds of the verdicts; None: it has none.
        more_is_better: whether they are lower bounds.
    """

    pattern: str
    meaning: str
    good: float | None = None
    usable: float | None = None
    more_is_better: bool = False

    def verdict(self, value: float) -> str | None:
        """ "good", "usable" or "poor", with the bounds; None where the metric has no verdict."""
        if self.good is None or self.usable is None:
            return None
        sign, word = (-1, "at least") if self.more_is_better else (1, "at most")
        found = GOOD if sign * value <= sign * self.good else USABLE if sign * value <= sign * self.usable else POOR
        return f"{found} (good: {word} {self.good:g}, usable: {word} {self.usable:g})"


SAMPLED = "{chunks} dreamed, temperature {temperature}, {evaluations}"
RULES = (
    Rule(rf"{SAMPLES}_ratio", f"{SAMPLED}: token error over that if nothing moves, all patches", 0.7, 0.95),
    Rule(rf"{SAMPLES}_moving", f"{SAMPLED}: token error over that if nothing moves, patches that move", 0.6, 0.85),
    Rule(rf"{SAMPLES}_proprio", f"{SAMPLED}: the same of proprioception", 0.15, 0.5),
    Rule(
        rf"{SAMPLES}_moving_other_actions",
        "the same with the actions of other episodes: a control, clearly above that with the recorded ones",
    ),
    Rule(
        r"(?P<chunks>c\d+)_decoded_ratio",
        "autoencoder's error from the true latent, over that if nothing moves",
        0.75,
        0.9,
    ),
    Rule(
        r"h(?P<frames>\d+)_r2(_moving)?",
        "residuals over {frames} frames that the autoencoder gives back, R²",
        0.7,
        0.4,
        True,
    ),
    Rule(r"h(?P<frames>\d+)_r2_moving_shuffled", "the same with latents of other pairs: a control, far below"),
    Rule(r"h(?P<frames>\d+)_cosine(_moving)?", "cosine of residuals given back and true"),
    Rule(r"h(?P<frames>\d+)_ratio(_moving)?", "autoencoder's token error over that if nothing moves", 0.7, 0.9),
    Rule(r"explained", "fraction of the tokens' variance that keypoints and proprioception explain", 0.35, 0.1, True),
    Rule(r"psnr", "decoded frames against recorded ones, dB", 27.0, 20.0, True),
    Rule(r"ssim", "structural similarity of decoded frames, 1 is perfect", 0.9, 0.7, True),
    Rule(r"l1(_foreground)?", "error of decoded pixels in [0, 1]"),
)
CONTROL_MARGIN = 0.05
"""What a model's error has to rise by with the actions of other episodes, where it attends to actions at all."""


def explain(name: str) -> tuple[Rule, str] | None:
    """The rule of the metric `name` and its meaning in words; None for one that has no legend."""
    training = name.startswith("train_")
    for rule in RULES:
        if match := re.fullmatch(rule.pattern, name.removeprefix("train_")):
            groups = match.groupdict()
            if "chunks" in groups:
                groups["chunks"] = _counted(groups["chunks"][1:], "chunk")
            if "evaluations" in groups:
                groups["evaluations"] = f"{_counted(groups['evaluations'], 'evaluation')} of the flow"
            meaning = rule.meaning.format(**groups)
            return rule, f"{meaning}; on training episodes" if training else meaning
    return None


def metric_lines(metrics: Mapping[str, Any]) -> list[str]:
    """A Markdown list of the metrics of one training: value, verdict and meaning of each."""
    lines = []
    for name, value in metrics.items():
        if value is None:
            continue
        found = explain(name)
        text = f"- {name}: {value:.4g}"
        if found is not None:
            rule, meaning = found
            verdict = rule.verdict(float(value))
            text += f" ({meaning})" if verdict is None else f", {verdict} ({meaning})"
        lines.append(text)
    return lines


def metric_warnings(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the metrics of trainings, by the training's name: a sentence each, with what to do."""
    found = []
    features, flow = metrics.get("features", {}), metrics.get("flow", {})
    explained = features.get("explained")
    if explained is not None and explained < 0.1:
        worse = ", less than the mean frame does" if explained < 0 else ""
        found.append(
            f"features explain {explained:.3g} of the tokens' variance{worse}: agents see little or nothing of the "
            "objects. Train them longer or with another --features.seed, give more --features.keypoints, or check that "
            "the recorded frames differ"
        )
    for name, value in flow.items():
        if value is None or not re.fullmatch(r"(train_)?c\d+_t0_s1_moving", name):
            continue
        rule, _ = explain(name) or (None, "")
        if rule is not None and rule.usable is not None and value > rule.usable:
            found.append(
                f"{name} is {value:.3g}, where 1 is a dream in which nothing moves: agents will hardly learn in it. "
                "Train the flow longer (--extend), or record more episodes"
            )
        control = flow.get(f"{name}_other_actions")
        if control is not None and control - value < CONTROL_MARGIN:
            found.append(
                f"{name} is {value:.3g} with the recorded actions and {control:.3g} with those of other episodes: the "
                "dream hardly depends on what an agent does. Train the flow longer (--extend), or record more varied "
                "actions"
            )
    return found


def checkpoint_warnings(config: BundleConfig) -> list[str]:
    """What a checkpoint's card warns of: poor metrics, and no success threshold for its default reward."""
    missing = threshold_warning(config.reward.metric, config.reward.patches, config.thresholds)
    return [*metric_warnings(config.metrics), *([missing] if missing else [])]


def threshold_warning(metric: str, patches: str, thresholds: Mapping[str, float]) -> str | None:
    """What follows where a checkpoint has no success threshold for its default reward, and what to do; None: it has."""
    name = f"{metric}/{patches}" if patches != "all" else metric
    if name in thresholds:
        return None
    return (
        f"no success threshold for the distance {name!r}: no dream counts as solved, info['success'] stays False, "
        "success_bonus pays nothing, and RLAWorldGoal-v0 with its default reward needs success_threshold=... . It is "
        "calibrated at export on training episodes with at least two solved frames and one that is not, by their "
        "recorded rewards: record some, or give success_threshold to the environment"
    )


def _counted(number: str, unit: str) -> str:
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
