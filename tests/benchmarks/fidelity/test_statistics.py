"""Intervals and tests that count episodes, not handles, and that take seeds for what they are."""

import numpy as np
import pytest

from benchmarks.fidelity.statistics import Clusters, difference, ratio_of_means, sign_flip
from benchmarks.fidelity.summary import COUNTERFACTUAL, PERSISTENCE, TRUTH, summarize

RNG = np.random.default_rng(0)


def test_handles_of_one_episode_add_nothing() -> None:
    values = RNG.normal(5, 1, (1, 60))
    once = ratio_of_means(values, None, Clusters(np.arange(60)))
    thrice = ratio_of_means(np.repeat(values, 3, axis=1), None, Clusters(np.repeat(np.arange(60), 3)))
    apart = ratio_of_means(np.repeat(values, 3, axis=1), None, Clusters(np.arange(180)))
    assert once is not None and thrice is not None and apart is not None
    assert thrice == pytest.approx(once)
    assert once[2] - once[1] == pytest.approx(3.92 * values.std() / np.sqrt(60), rel=0.15)
    assert apart[2] - apart[1] < 0.7 * (once[2] - once[1])


def test_seeds_that_differ_widen_the_interval() -> None:
    values = RNG.normal(5, 0.1, (1, 60))
    same = ratio_of_means(np.repeat(values, 3, axis=0), None, Clusters(np.arange(60)))
    apart = ratio_of_means(values + np.array([[-1.0], [0.0], [1.0]]), None, Clusters(np.arange(60)))
    assert same is not None and apart is not None and apart[0] == pytest.approx(same[0])
    assert apart[2] - apart[1] > 10 * (same[2] - same[1])


def test_ratios_count_what_both_have() -> None:
    values, over = np.array([[1.0, 3.0, np.nan, 5.0]]), np.array([[2.0, 6.0, 100.0, np.nan]])
    found = ratio_of_means(values, over, Clusters(np.arange(4)))
    assert found is not None and found[0] == pytest.approx(0.5) and np.isnan(found[1])
    assert ratio_of_means(np.full((1, 4), np.nan), over, Clusters(np.arange(4))) is None


def test_paired_differences_see_what_unpaired_ones_cannot() -> None:
    level = RNG.normal(10, 5, 80)
    first, second = level[None], (level + 0.3 + RNG.normal(0, 0.3, 80))[None]
    found = difference(first, second, Clusters(np.arange(80)))
    assert found is not None and found["handles"] == 80
    assert found["low"] < found["difference"] < found["high"] < 0 and found["p"] < 0.001
    none = difference(first, first[:, ::-1], Clusters(np.arange(80)))
    assert none is not None and none["difference"] == pytest.approx(0) and none["p"] > 0.9
    assert difference(first, np.full_like(first, np.nan), Clusters(np.arange(80))) is None


def test_sign_flips_are_uniform_without_an_effect() -> None:
    p = [sign_flip(np.random.default_rng(seed).normal(size=20), seed, flips=400) for seed in range(200)]
    assert np.mean(np.array(p) < 0.2) == pytest.approx(0.2, abs=0.08)
    assert sign_flip(np.ones(20)) == pytest.approx(1 / 10_001, abs=2e-4)


def test_the_summary_of_models_whose_errors_are_known() -> None:
    episodes = np.repeat(np.arange(10), 2)
    still = RNG.uniform(8, 12, (20, 2)).astype(np.float32)

    def run(factor: float) -> dict[str, np.ndarray]:
        return {"moving_l1": factor * still, "moving_motion": factor * still, "ssim": 1 - 0.01 * factor * still}

    raw = {
        kind: {TRUTH: run(1.0), PERSISTENCE: run(1.0), "a (0)": run(0.1 * k), "a (1)": run(0.3 * k), "b": run(0.5)}
        for kind, k in (("recorded", 1.0), ("still", 2.0), ("random", 3.0))
    }
    runs = {TRUTH: [TRUTH], PERSISTENCE: [PERSISTENCE], "a": ["a (0)", "a (1)"], "b": ["b"]}
    found = summarize(raw, runs, episodes, (1, 2), "a", {"draws": 200})
    a = found["means"]["recorded"]["moving_l1"]["a"]
    assert a["ratio"][0][0] == pytest.approx(0.2) and len(a["seeds"][0]) == 2 and a["handles"] == [20, 20]
    assert found["means"]["recorded"]["moving_motion"]["a"]["ratio"][1][0] == pytest.approx(0.2)
    change = found["differences"]["recorded"]["moving_l1"]["b"][0]
    assert change["difference"] == pytest.approx(-0.3 * still[:, 0].mean(), rel=1e-5) and change["p"] < 0.01
    assert found["differences"]["recorded"]["ssim"]["b"][0]["difference"] > 0
    assert "moving_motion" not in found["differences"]["recorded"]
    ratios = found["counterfactual"]["moving_l1"]["a"]
    assert ratios["still"][0][0] == pytest.approx(2) and ratios["random"][0][0] == pytest.approx(3)
    assert ratios[COUNTERFACTUAL][0][0] == pytest.approx(2.5)
