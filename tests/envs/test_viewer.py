"""Pictures: the window's content and pace, the reference beside the dream, lists of pictures, and the keys."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real import RLARealEnv
from rla_gym.envs.viewer import GAP, Window, beside, keys_to_action, reference_picture
from rla_gym.envs.world import RLAWorldEnv
from rla_gym.tasks.offscreen import RenderingError

pygame = pytest.importorskip("pygame")


@pytest.fixture(autouse=True)
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A virtual display, closed before and afterwards."""
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    pygame.display.quit()


def shown() -> np.ndarray:
    """What the window shows, (H, W, 3) uint8."""
    pixels: np.ndarray = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    return pixels


def picture(seed: int, height: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, 60, 3)).astype(np.uint8)


def test_the_window_shows_the_picture_enlarged() -> None:
    window = Window("title", fps=1000)
    for seed in range(2):
        window.show(picture(seed))
        assert np.array_equal(shown(), picture(seed).repeat(11, 0).repeat(11, 1))
    window.show(picture(2, height=500))
    assert np.array_equal(shown(), picture(2, height=500))
    assert pygame.display.get_caption()[0] == "title"
    window.close()
    window.close()
    assert pygame.display.get_surface() is None


def test_pictures_come_at_their_pace() -> None:
    window = Window("title", fps=20)
    begun = time.monotonic()
    for seed in range(4):
        window.show(picture(seed))
    assert time.monotonic() - begun >= 0.15


def test_a_window_can_be_pickled_and_two_take_turns() -> None:
    first = Window("first", fps=1000)
    first.show(picture(0))
    second = pickle.loads(pickle.dumps(first))
    second.show(picture(1))
    assert np.array_equal(shown()[::11, ::11], picture(1))
    second.close()
    first.show(picture(2))
    assert np.array_equal(shown()[::11, ::11], picture(2))


def test_no_display_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(RenderingError, match="rgb_array"):
        Window("title", fps=10).show(picture(0))


def test_no_pygame_is_told(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(ImportError, match=r"rla_gym\[play\]"):
        RLAWorldEnv(bundle, render_mode="human")


def test_beside() -> None:
    both = beside(picture(0), picture(1))
    assert np.array_equal(both[:, :60], picture(0)) and np.array_equal(both[:, 60 + GAP :], picture(1))


def test_reference_pictures(bundle: Bundle) -> None:
    last = int(bundle.references.lengths[1]) - 1
    tokens = bundle.standardize(bundle.references.tokens[bundle.references.starts[1] + last][None])
    assert np.array_equal(reference_picture(bundle, 1, last), bundle.decode_images(tokens)[0])
    assert np.array_equal(reference_picture(bundle, 1, last + 99), reference_picture(bundle, 1, last))
    assert not np.array_equal(reference_picture(bundle, 1, 0), reference_picture(bundle, 1, last))


def test_keys() -> None:
    keys = keys_to_action(action_size=2, chunk=2)
    assert len(keys) == 8
    assert keys[("a",)].tolist() == [-1, 0, -1, 0] and keys[("w",)].tolist() == [0, 1, 0, 1]
    assert keys[("d", "s")].tolist() == [1, -1, 1, -1]
    many = keys_to_action(action_size=30, chunk=1)
    assert len(many) == 2 * 9 + 4 * 36 and not any(action[9:].any() for action in many.values())


def test_keys_fit_the_environment(bundle: Bundle) -> None:
    env = RLAWorldEnv(bundle)
    assert all(action in env.action_space for action in env.get_keys_to_action().values())


def test_human_mode_shows_every_step(bundle: Bundle) -> None:
    human, plain = (RLAWorldEnv(bundle, render_mode=mode) for mode in ("human", "rgb_array"))
    assert human.metadata["render_fps"] == 2  # chunks of 4 control steps at 10 Hz
    for env in (human, plain):
        env.reset(seed=0)
    assert np.array_equal(shown()[::4, ::4], plain.render())
    for env in (human, plain):
        env.step(np.ones(8, np.float32))
    assert np.array_equal(shown()[::4, ::4], plain.render())
    assert human.render() is None
    human.close()
    assert pygame.display.get_surface() is None


def test_lists_of_pictures(bundle: Bundle) -> None:
    listed, plain = (RLAWorldEnv(bundle, render_mode=mode) for mode in ("rgb_array_list", "rgb_array"))
    expected = []
    for action in (None, np.ones(8, np.float32), -np.ones(8, np.float32)):
        for env in (listed, plain):
            env.reset(seed=0) if action is None else env.step(action)
        expected.append(plain.render())
    assert np.array_equal(listed.render(), expected)
    assert listed.render() == []
    listed.step(np.ones(8, np.float32))
    listed.reset(seed=1)
    assert len(listed.render()) == 1


@pytest.mark.parametrize("kind", [RLAWorldEnv, RLARealEnv])
def test_the_reference_beside(bundle: Bundle, kind: Any) -> None:
    both, plain = (
        kind(bundle, render_mode="rgb_array", render_reference=reference, terminate_on_success=False)
        for reference in (True, False)
    )
    start = {"reference": 3, "frame": 2}
    for env in (both, plain):
        env.reset(seed=0, options=start)
    for step in range(3):
        frame = 2 + step * both.episodes.chunk
        seen = both.render()
        assert seen.shape == (112, 2 * 112 + GAP, 3)
        assert np.array_equal(seen[:, :112], plain.render())
        assert np.array_equal(seen[:, 112 + GAP :], reference_picture(bundle, 3, frame))
        if kind is RLAWorldEnv:  # a dream begins as its reference, and then goes its own way
            assert np.array_equal(seen[:, :112], seen[:, 112 + GAP :]) is (step == 0)
        for env in (both, plain):
            env.step(np.ones(8, np.float32))
    both.close()
    plain.close()


def test_a_real_environment_has_references_only_where_it_starts_from_them(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="start='reference'"):
        RLARealEnv(bundle, start="task", render_reference=True)


def test_references_need_an_image_decoder(checkpoint: Path, bundle: Bundle) -> None:
    blind = replace(bundle, config=replace(bundle.config, image_decoder=None), image_decoder=None)
    with pytest.raises(ValueError, match="no image decoder"):
        RLAWorldEnv(blind, render_mode="rgb_array", render_reference=True)


@pytest.mark.parametrize("mode", ["ansi", "depth_array"])
def test_other_render_modes_are_refused(bundle: Bundle, mode: str) -> None:
    with pytest.raises(ValueError, match="human, rgb_array, rgb_array_list"):
        RLAWorldEnv(bundle, render_mode=mode)


def test_rendering_needs_a_mode_and_an_episode(bundle: Bundle) -> None:
    env = RLAWorldEnv(bundle)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="rgb_array"):
        assert env.render() is None
    with pytest.raises(gym.error.ResetNeeded):
        RLAWorldEnv(bundle, render_mode="rgb_array").render()
