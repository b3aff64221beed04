"""Metrics are explained, and what is wrong with them is said with what to do."""

from __future__ import annotations

import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.checkpoint.verdicts import checkpoint_warnings, explain, metric_lines, metric_warnings, threshold_warning


def test_every_metric_of_the_built_in_checkpoint_is_good_or_has_no_verdict() -> None:
    config = load_checkpoint("push-cube").config
    for metrics in config.metrics.values():
        for name, line in zip(metrics, metric_lines(metrics), strict=True):
            assert explain(name) is not None, name
            assert ", good (" in line or "usable" not in line, line
    assert checkpoint_warnings(config) == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("c1_t0_s1_ratio", 0.62, "0.62, good (good: at most 0.7, usable: at most 0.95) (1 chunk dreamed, temperature "
         "0, 1 evaluation of the flow: token error over that if nothing moves, all patches)"),
        ("train_c6_t1_s4_moving", 0.8, "usable (good: at most 0.6"),
        ("train_c6_t1_s4_moving", 0.8, "6 chunks dreamed, temperature 1, 4 evaluations of the flow"),
        ("train_c6_t1_s4_moving", 0.8, "on training episodes"),
        ("explained", -12.67, "-12.67, poor (good: at least 0.35, usable: at least 0.1)"),
        ("h4_r2_moving", 0.5, "usable"),
        ("made_up", 0.5, "- made_up: 0.5"),
    ],
)  # fmt: skip
def test_a_metric_has_a_legend_and_a_verdict(name: str, value: float, told: str) -> None:
    assert told in metric_lines({name: value})[0]


def test_what_is_poor_warns() -> None:
    fine = {"c1_t0_s1_moving": 0.45, "c1_t0_s1_moving_other_actions": 0.95}
    assert metric_warnings({"features": {"explained": 0.55}, "flow": fine}) == []
    told = metric_warnings({"features": {"explained": -12.67}, "flow": {}})
    assert len(told) == 1 and "explain -12.7 of the tokens' variance, less than the mean frame does" in told[0]
    (told,) = metric_warnings({"flow": {"c6_t0_s1_moving": 0.99}})
    assert "c6_t0_s1_moving is 0.99, where 1 is a dream in which nothing moves" in told
    (told,) = metric_warnings({"flow": {**fine, "c1_t0_s1_moving_other_actions": 0.46}})
    assert "hardly depends on what an agent does" in told


def test_a_checkpoint_without_threshold_for_its_reward_says_what_follows(bundle: Bundle) -> None:
    assert threshold_warning("l2", "moving", bundle.config.thresholds) is None
    told = threshold_warning("objects", "all", bundle.config.thresholds)
    assert told is not None
    for part in ("'objects'", "no dream counts as solved", "RLAWorldGoal-v0", "success_threshold", "record some"):
        assert part in told
