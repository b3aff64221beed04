"""What races at one batch size: the dream, its environment, the real simulator and every model of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.interface import State, WorldModel
from benchmarks.baselines.setting import Setting
from benchmarks.baselines.video_diffusion import VideoDiffusion
from benchmarks.speed.clock import Entrant, precise
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.dream.dream import Dream
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.models.batch_invariance import WholeBlocks
from rla_gym.utils.keyed_rng import make_keys

ENDLESS: dict[str, Any] = {"time_limit": 10**9, "terminate_on_success": False}
"""Options of environments whose steps alone are timed, without the resets that random actions would bring."""


def random_chunks(bundle: Bundle, batch: int, seed: int) -> np.ndarray:
    """Chunks (B, K, A) float32, uniform in [-1, 1]."""
    shape = (batch, bundle.config.chunk, bundle.config.action_size)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def started_dream(bundle: Bundle, batch: int, **options: Any) -> Dream:
    """A dream that has begun at the first frames of the references, one after another."""
    dream = Dream(bundle, batch, **options)
    references = np.resize(np.arange(len(bundle.references)), batch)
    dream.reset(np.ones(batch, bool), references, np.zeros(batch, np.int64))
    return dream


def dream_entrants(bundle: Bundle, batch: int, precision: str, seed: int) -> list[Entrant]:
    """Steps: "dream" of `Dream`, "dream, pictures" with every frame decoded besides, "environment" of its environment.

    The environment's step has the features that an agent observes and the reward in it.
    """
    chunks = random_chunks(bundle, batch, seed)
    dream, shown = (started_dream(bundle, batch, precision=precision) for _ in range(2))
    entrants = [Entrant("dream", lambda: dream.step(chunks), batch)]
    if bundle.image_decoder is not None:
        entrants.append(Entrant("dream, pictures", lambda: (shown.step(chunks), shown.images()), batch))
    environment = RLAWorldVecEnv(bundle, batch, precision=precision, **ENDLESS)
    return [*entrants, Entrant("environment", stepping(environment, batch, seed), batch)]


@contextmanager
def real_entrant(bundle: Bundle, batch: int, workers: int, seed: int) -> Iterator[Entrant]:
    """Steps of the real environment, rendering and encoding included; it encodes in float32 alone.

    Raises:
        ImportError: the simulator's package is missing.
        RuntimeError: it cannot render here.
        ValueError: the references have no states to start from.
    """
    environment = RLARealVecEnv(bundle, batch, workers=workers, **ENDLESS)
    try:
        yield Entrant("real", stepping(environment, batch, seed), batch)
    finally:
        environment.close()


def stepping(environment: Any, batch: int, seed: int) -> Callable[[], object]:
    """Steps of an SB3 vector environment, which is reset here, by uniform random actions."""
    environment.seed(seed)
    environment.reset()
    draw = np.random.default_rng(seed)
    shape = (batch, *environment.action_space.shape)
    return lambda: environment.step(draw.uniform(-1, 1, shape).astype(np.float32))


def model_entrants(
    models: Mapping[str, WorldModel], bundle: Bundle, setting: Setting, batch: int, precision: str, seed: int
) -> list[Entrant]:
    """Predictions of the models, each from the same state in the middle of a rollout.

    Video diffusion is there twice: with its frames encoded to the tokens that features and rewards are read from, and
    as "..., frames alone".
    """
    chunks = torch.from_numpy(random_chunks(bundle, batch, seed))
    keys = make_keys(seed + np.arange(batch), np.zeros(batch), np.zeros(batch))
    entrants = []
    for name, model in models.items():
        state = started(model, setting, chunks, keys)
        entrants.append(Entrant(name, predicting(model, state, chunks, keys), batch))
        if isinstance(model, VideoDiffusion):
            entrants.append(Entrant(f"{name}, frames alone", drawing(model, state, chunks, keys), batch))
    return [replace(one, run=precise(one.run, precision)) for one in entrants]


def started(model: WorldModel, setting: Setting, chunks: Tensor, keys: np.ndarray) -> State:
    """A state (B rows) after a first prediction: from there on each costs the same."""
    recorded = setting.recorded
    return model.predict(recorded.start(model, np.resize(recorded.store.starts, len(chunks))), chunks, keys)


def predicting(model: WorldModel, state: State, chunks: Tensor, keys: np.ndarray) -> Callable[[], object]:
    """One prediction."""
    return lambda: model.predict(state, chunks, keys)


def drawing(model: VideoDiffusion, state: State, chunks: Tensor, keys: np.ndarray) -> Callable[[], object]:
    """One prediction without its tokens."""

    def run() -> object:
        with torch.no_grad(), WholeBlocks():
            return model.draw(state.memory["frames"], chunks, state.proprio, keys)

    return run


def compiled(model: WorldModel, state: State, chunks: Tensor, keys: np.ndarray) -> Callable[[], object]:
    """One prediction through `torch.compile`, in whatever precision it is first called.

    Raises:
        RuntimeError: at the first call, where there is no C++ compiler or a part cannot be compiled.
    """
    step = torch.compile(model.step)

    def run() -> object:
        with torch.no_grad():
            return step(state, chunks, keys)

    return run
