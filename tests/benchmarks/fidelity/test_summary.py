"""The summary of raw measures."""

import numpy as np
import pytest

from benchmarks.fidelity.summary import COUNTERFACTUAL, PERSISTENCE, TRUTH, summarize

RNG = np.random.default_rng(0)


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
