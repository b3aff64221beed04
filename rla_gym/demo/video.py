"""Dream beside reality: the same actions, from the same recorded state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rla_gym.bundle import Bundle
from rla_gym.demo.config import DemoConfig
from rla_gym.demo.evaluate import Predictor
from rla_gym.demo.seeds import stream_seed
from rla_gym.dream import Dream
from rla_gym.envs.spaces import observe
from rla_gym.extras import require
from rla_gym.files import atomic_path
from rla_gym.tasks import Task, make_task

HOLD = 8
"""Frames that the last picture of an episode stands still."""
ENLARGED, MARGIN, TITLE = 3, 8, 28
"""Factor of the frames' size; pixels around them, and of the line of text above."""


def write_video(path: Path, policy: Predictor, bundle: Bundle, config: DemoConfig, seed: int) -> bool:
    """Write `config.videos` episodes as an MP4, at the task's own speed; False where nothing can be shown.

    The agent sees and acts in the dream; the simulator is put into the same recorded state and given the same actions.
    Needs an image decoder and recorded simulator states.
    """
    if bundle.image_decoder is None or not bundle.references.states.shape[1]:
        return False
    chosen = bundle.references.select(config.held_out_references)
    generator = np.random.Generator(np.random.Philox(key=stream_seed("dream-evaluation", seed)))
    episodes = generator.permutation(chosen)[: config.videos]
    imageio = require("imageio.v2", extra="data")
    task = make_task(bundle.config.task, **bundle.config.task_options)
    try:
        with atomic_path(path) as temporary:
            writer = imageio.get_writer(str(temporary), fps=bundle.config.control_hz, macro_block_size=2)
            for number, episode in enumerate(episodes, start=1):
                for picture in labelled_pictures(policy, bundle, task, config, int(episode), number):
                    writer.append_data(picture)
            writer.close()
    finally:
        task.close()
    return True


def labelled_pictures(
    policy: Predictor, bundle: Bundle, task: Task, config: DemoConfig, episode: int, number: int
) -> Iterator[np.ndarray]:
    """Pictures (H', W', 3) uint8 of one episode, dream left and reality right, with text above."""
    picture: np.ndarray | None = None
    for chunk, dreamed, real, solved in episode_frames(policy, bundle, task, config, episode):
        titles = (f"dream: episode {number}, chunk {chunk}", "reality: " + ("solved" if solved else "same actions"))
        picture = np.concatenate([titled(dreamed, titles[0]), titled(real, titles[1])], axis=1)
        yield picture
    if picture is not None:
        yield from [picture] * HOLD


def titled(frame: np.ndarray, title: str) -> np.ndarray:
    """`frame` (H, W, 3) uint8 enlarged, with a margin around it and a line of text above."""
    image, draw = (require(f"PIL.{name}", extra="plot") for name in ("Image", "ImageDraw"))
    height, width = (ENLARGED * size for size in frame.shape[:2])
    page = image.new("RGB", (width + 2 * MARGIN, height + TITLE + MARGIN), "white")
    page.paste(image.fromarray(frame).resize((width, height), image.Resampling.NEAREST), (MARGIN, TITLE))
    draw.Draw(page).text((MARGIN, MARGIN // 2), title, fill="black", font_size=TITLE - MARGIN)
    return np.asarray(page)


def episode_frames(
    policy: Predictor, bundle: Bundle, task: Task, config: DemoConfig, episode: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray, bool]]:
    """Number of the chunk, dreamed frame, real frame and whether reality was solved so far, at each control step.

    Frames within a chunk are dreams of its first actions alone; only whole chunks are fed back.
    """
    references, size = bundle.references, bundle.config.chunk
    dream = Dream(bundle, 1, config.steps, config.temperature)
    state = dream.reset(np.ones(1, bool), np.array([episode]), np.zeros(1, np.int64))
    task.reset(0)
    task.set_state(references.states[int(references.starts[episode])].numpy())
    solved = task.success()
    yield 0, dream.images()[0], task.render(), solved
    for chunk in range(1, bundle.config.max_episode_steps + 1):
        observation = observe(bundle, "features", state.tokens, state.proprio)
        actions = policy.predict(observation, deterministic=True)[0].reshape(1, size, -1)
        for length, action in enumerate(bundle.unscale_actions(actions)[0], start=1):
            task.step(action)
            solved = solved or task.success()
            part = copy.copy(dream)
            part.step(actions[:, :length])
            yield chunk, part.images()[0], task.render(), solved
        state = dream.step(actions)
