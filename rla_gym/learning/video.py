"""Dream beside reality: the same actions, from the same recorded state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.dream.dream import Dream
from rla_gym.envs.spaces import observe
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.evaluate import Predictor
from rla_gym.learning.seeds import stream_seed
from rla_gym.tasks import Task, make_task
from rla_gym.utils.files import atomic_path
from rla_gym.utils.frames import HOLD, captioned, titled
from rla_gym.utils.optional import require


def write_video(
    path: Path,
    policy: Predictor,
    bundle: Bundle,
    config: DemoConfig,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> bool:
    """Write `config.videos` episodes as an MP4, at the task's own speed; False where nothing can be shown.

    `tick` is called after each of them. A caption says from where on dreams are longer than those that were trained in.

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
                tick()
            writer.close()
    finally:
        task.close()
    return True


def labelled_pictures(
    policy: Predictor, bundle: Bundle, task: Task, config: DemoConfig, episode: int, number: int
) -> Iterator[np.ndarray]:
    """Pictures (H', W', 3) uint8 of one episode, dream left and reality right, with text above and a caption below."""
    picture: np.ndarray | None = None
    trained = bundle.config.max_episode_steps if config.horizon is None else config.horizon
    for chunk, dreamed, real, solved in episode_frames(policy, bundle, task, config, episode):
        titles = (f"dream: episode {number}, chunk {chunk}", "reality: " + ("solved" if solved else "same actions"))
        caption = f"the agent was trained in dreams of {trained} chunks"
        if chunk > trained:
            caption = f"past the {trained} chunks of the dreams that the agent was trained in"
        both = np.concatenate([titled(dreamed, titles[0]), titled(real, titles[1])], axis=1)
        picture = captioned(both, caption, "firebrick" if chunk > trained else "dimgray")
        yield picture
    if picture is not None:
        yield from [picture] * HOLD


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
