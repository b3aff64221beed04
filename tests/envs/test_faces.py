"""One core, every face: with the same seed and actions an environment does the same, to the last bit, in all of them.

Nothing here is approximate: on the CPU in float32 the differences between faces, batches and numbers of threads are
zero, after 200 steps (in the slow tests; 60 in the others) as after one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real import RLARealEnv
from rla_gym.envs.real_batch import RLARealVectorEnv
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.vector import RLAWorldVectorEnv
from rla_gym.envs.world import RLAWorldEnv
from tests.envs.streams import Stream, of_row, one_end, same, sb3_streams, single_stream, vector_streams

SEED, STEPS, MANY_STEPS = 40, 60, 200
# Under this threshold some episodes succeed at once, and others go on to the end of their reference.
OPTIONS: dict[str, Any] = {"metric": "features", "success_threshold": 0.04, "end_with_reference": True}
CASES = [("sb3", 1), ("Disabled", 1), ("NextStep", 3), ("SameStep", 8), ("sb3", 8), ("NextStep", 16)]


def actions(seed: int, number: int) -> np.ndarray:
    return np.random.default_rng((seed, number)).uniform(-1, 1, 8).astype(np.float32)


def streams_of(face: str, bundle: Bundle, num_envs: int, steps: int, **options: Any) -> list[Stream]:
    """What `num_envs` dreams tell through SB3's face, or through Gymnasium's in an autoreset mode."""
    if face == "sb3":
        return sb3_streams(RLAWorldVecEnv(bundle, num_envs, **options), SEED, actions, steps)
    env = RLAWorldVectorEnv(bundle, num_envs, autoreset_mode=face, **options)
    return vector_streams(env, SEED, actions, steps)


def assert_same(streams: list[Stream], expected: dict[int, Stream], face: str = "") -> None:
    """Environments tell what those of `expected` tell, as far as they go: in some modes a reset takes a step."""
    for row, stream in expected.items():
        stream = one_end(stream) if face == "sb3" else stream
        count = min(len(stream), len(streams[row]))
        assert count > 0.7 * len(stream)
        for number in range(count):
            assert same(stream[number], streams[row][number]), f"environment {row}, entry {number}"


def singles(bundle: Bundle, rows: tuple[int, ...], steps: int) -> dict[int, Stream]:
    """What single environments tell, by their number in a batch."""
    return {
        row: single_stream(RLAWorldEnv(bundle, temperature=1.0, **OPTIONS), SEED + row, actions, steps) for row in rows
    }


@pytest.fixture(scope="module")
def alone(bundle: Bundle) -> dict[int, Stream]:
    return singles(bundle, (0, 2, 15), STEPS)


@pytest.fixture(scope="module")
def long_alone(bundle: Bundle) -> dict[int, Stream]:
    return singles(bundle, (0, 2, 63), MANY_STEPS)


def test_the_compared_episodes_end_in_every_way(alone: dict[int, Stream]) -> None:
    steps = [entry for stream in alone.values() for entry in stream if entry[0] == "step"]
    assert {entry[3:5] for entry in steps} >= {(False, False), (True, False), (False, True)}
    for stream in alone.values():
        lengths = np.diff([number for number, entry in enumerate(stream) if entry[0] == "begin"])
        assert len(lengths) > 4 and len(set(lengths.tolist())) > 2


@pytest.mark.slow
def test_the_long_episodes_end_in_every_way(long_alone: dict[int, Stream]) -> None:
    for stream in long_alone.values():
        assert {entry[3:5] for entry in stream if entry[0] == "step"} >= {(False, False), (True, False), (False, True)}
        lengths = np.diff([number for number, entry in enumerate(stream) if entry[0] == "begin"])
        assert len(lengths) > 15 and len(set(lengths.tolist())) > 3


@pytest.mark.parametrize(("face", "num_envs"), CASES)
def test_every_face_tells_the_same_in_every_batch(
    face: str, num_envs: int, alone: dict[int, Stream], bundle: Bundle
) -> None:
    streams = streams_of(face, bundle, num_envs, STEPS, temperature=1.0, **OPTIONS)
    assert_same(streams, {row: stream for row, stream in alone.items() if row < num_envs}, face)


@pytest.mark.slow
@pytest.mark.parametrize("face", ["sb3", "NextStep", "SameStep", "Disabled"])
def test_so_it_is_for_long_and_in_large_batches(face: str, long_alone: dict[int, Stream], bundle: Bundle) -> None:
    assert_same(streams_of(face, bundle, 64, MANY_STEPS, temperature=1.0, **OPTIONS), long_alone, face)


@pytest.mark.parametrize("face", ["sb3", "NextStep"])
@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.0}, {"chunk": 3}, {"uncertainty": "both"}, {"obs_mode": "pixels"}, {"metric": "l2"}],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_so_it_is_with_every_option(face: str, options: dict[str, Any], bundle: Bundle) -> None:
    chosen, steps = {"temperature": 1.0, **OPTIONS, **options}, 20
    size = 2 * int(chosen.get("chunk", 4))

    def shorter(seed: int, number: int) -> np.ndarray:
        return actions(seed, number)[:size]

    single = single_stream(RLAWorldEnv(bundle, **chosen), SEED + 2, shorter, steps)
    if face == "sb3":
        streams = sb3_streams(RLAWorldVecEnv(bundle, 3, **chosen), SEED, shorter, steps)
    else:
        streams = vector_streams(RLAWorldVectorEnv(bundle, 3, **chosen), SEED, shorter, steps)
    assert_same(streams, {2: single}, face)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_change_nothing(two_threads: None, alone: dict[int, Stream], bundle: Bundle) -> None:
    # Few steps: where other work has the cores, two threads wait for each other at every sum.
    streams = streams_of("sb3", bundle, 3, 2, temperature=1.0, **OPTIONS)
    assert_same(streams, {row: alone[row][:3] for row in (0, 2)}, "sb3")


@pytest.mark.slow
@pytest.mark.parametrize("num_envs", [1, 3, 8, 64])
def test_threads_change_nothing_for_long(
    num_envs: int, two_threads: None, long_alone: dict[int, Stream], bundle: Bundle
) -> None:
    streams = streams_of("NextStep", bundle, num_envs, MANY_STEPS, temperature=1.0, **OPTIONS)
    assert_same(streams, {row: stream for row, stream in long_alone.items() if row < num_envs})


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_resets_by_hand_change_nothing(mode: str, bundle: Bundle) -> None:
    """Environments are reset at random, some with a new seed, while others go on."""
    options = {"temperature": 1.0, "success_threshold": 0.04, "time_limit": 1000}
    batch = RLAWorldVectorEnv(bundle, 3, autoreset_mode=mode, **options)
    singles = [RLAWorldEnv(bundle, **options) for _ in range(3)]
    batch.reset(seed=SEED)
    for row, env in enumerate(singles):
        env.reset(seed=SEED + row)
    generator = np.random.default_rng(0)
    for number in range(20):
        mask = generator.random(3) < 0.3
        if mask.any():
            seed = number if generator.random() < 0.5 else None
            observations, infos = batch.reset(seed=seed, options={"reset_mask": mask})
            for row in np.flatnonzero(mask).tolist():
                expected = singles[row].reset(seed=None if seed is None else seed + row)
                assert same(expected, (observations[row], of_row(infos, row)))
        chosen = np.stack([actions(row, number) for row in range(3)])
        observations, rewards, *_, infos = batch.step(chosen)
        for row, env in enumerate(singles):
            observation, reward, *_, info = env.step(chosen[row])
            assert same((observation, reward, info), (observations[row], float(rewards[row]), of_row(infos, row)))


@pytest.mark.parametrize("start", ["reference", "task"])
def test_real_simulators_tell_the_same_through_every_face(start: str, checkpoint: Path) -> None:
    options: dict[str, Any] = {"start": start, "time_limit": 3}
    alone = {row: single_stream(RLARealEnv(checkpoint, **options), SEED + row, actions, 8) for row in (0, 2)}
    assert_same(sb3_streams(RLARealVecEnv(checkpoint, 3, 0, **options), SEED, actions, 8), alone, "sb3")
    for mode in ("NextStep", "SameStep", "Disabled"):
        env = RLARealVectorEnv(checkpoint, 3, workers=0, autoreset_mode=mode, **options)
        assert_same(vector_streams(env, SEED, actions, 8), alone)


def test_speed_may_be_had_instead(bundle: Bundle) -> None:
    """Without it rows may differ, but by rounding alone."""
    exact, other = (
        streams_of("sb3", bundle, 1, 20, temperature=1.0, batch_invariant=switch, **OPTIONS)[0]
        for switch in (True, False)
    )
    assert len(exact) == len(other)
    for first, second in zip(exact, other, strict=True):
        np.testing.assert_allclose(first[1], second[1], atol=1e-4)
