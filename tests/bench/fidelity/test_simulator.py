"""Fidelity: errors in millimetres against the simulator, with controls that must come out as they should."""

import numpy as np
import pytest

from rla_gym.bench.fidelity.probe import ProbeConfig, StateProbe, train_probe
from rla_gym.bench.fidelity.simulator import dreamed_positions, drift, fidelity, ratio_interval, thing_errors
from rla_gym.bench.fidelity.starts import make_handles
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import TokenStore
from rla_gym.tasks import make_task


@pytest.fixture(scope="module")
def probe(encoded: TokenStore) -> StateProbe:
    return train_probe(encoded, ProbeConfig(steps=150, batch_size=32))


def test_perfect_positions_have_no_error_and_persistence_counts_motion(encoded: TokenStore, probe: StateProbe) -> None:
    handles = make_handles(encoded, make_task("push-cube"), "recorded", 6, 4, 3, part="train")
    truth = np.concatenate([handles.objects[..., [0, 1, 3, 4]], handles.proprio[..., :2]], axis=2)
    perfect = thing_errors(probe, handles, truth, encoded)
    assert max(perfect["cube"]["error"]) == 0 and max(perfect["pusher"]["error"]) == 0
    frozen = thing_errors(probe, handles, np.repeat(truth[:, :1], 4, axis=1), encoded)
    assert frozen["pusher"]["error"] == pytest.approx(frozen["pusher"]["persistence"])
    assert frozen["target"]["persistence"] == pytest.approx([0, 0, 0, 0])


def test_drift_sees_a_cube_that_creeps_to_the_target(encoded: TokenStore, probe: StateProbe) -> None:
    handles = make_handles(encoded, make_task("push-cube"), "still", 6, 4, 3, part="train")
    truth = np.concatenate([handles.objects[..., [0, 1, 3, 4]], handles.proprio[..., :2]], axis=2)
    spec = encoded.info["spec"]
    found = drift(probe, handles, truth, spec, "cube", "target")
    assert found["goalward_mm_per_chunk"] == pytest.approx(0, abs=0.4)
    creeping = truth.copy()
    gap = truth[:, :1, 2:4] - truth[:, :1, :2]
    unit = gap / np.linalg.norm(gap, axis=2, keepdims=True)
    creeping[..., :2] += unit * 0.005 * np.arange(4)[None, :, None]
    found = drift(probe, handles, creeping, spec, "cube", "target")
    assert found["goalward_mm_per_chunk"] == pytest.approx(5.0, abs=0.4)


def test_all_kinds_are_measured_on_a_real_dream(bundle: Bundle, encoded: TokenStore, probe: StateProbe) -> None:
    found = fidelity(bundle, probe, encoded, make_task("push-cube"), count=4, part="train")
    assert set(found["kinds"]) == {"recorded", "perturbed", "other", "random", "still"}
    entry = found["kinds"]["recorded"]["cube"]
    assert len(entry["error"]) == 7 and all(np.isfinite(entry["error"]))


def test_the_dream_starts_at_the_recorded_state(bundle: Bundle, encoded: TokenStore, probe: StateProbe) -> None:
    handles = make_handles(encoded, make_task("push-cube"), "recorded", 5, 4, 2, part="train")
    found = dreamed_positions(bundle, probe, encoded, handles)
    expected = probe(encoded.normalized(handles.rows)).numpy()
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)
    assert np.abs(found[:, 1] - found[:, 0]).max() > 0


def test_ratio_interval_covers_the_truth_and_narrows_with_handles() -> None:
    rng = np.random.default_rng(0)
    persistence = rng.uniform(50, 150, 2000)
    error = 0.2 * persistence + rng.normal(0, 5, 2000)
    episodes = np.arange(2000)
    ratio, low, high = ratio_interval(error, persistence, episodes)
    assert low < 0.2 < high and ratio == pytest.approx(0.2, abs=0.005)
    _, wide_low, wide_high = ratio_interval(error[:50], persistence[:50], episodes[:50])
    assert wide_high - wide_low > 3 * (high - low)
    # Starts of one episode that tell the same count as one.
    same = [np.repeat(values[:50], 40) for values in (error, persistence, episodes)]
    assert ratio_interval(*same) == pytest.approx([ratio_interval(error[:50], persistence[:50], episodes[:50])[0],
                                                   wide_low, wide_high])  # fmt: skip
