"""Where the milliseconds of a step go, in the dream's environment and in the real one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch

from benchmarks.speed.clock import Entrant, precise
from benchmarks.speed.entrants import random_chunks, started_dream
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.models.batch_invariance import WholeBlocks
from rla_gym.rewards import VideoReward
from rla_gym.tasks import Task

PICTURES = 8
"""Frames decoded at a time."""


def dream_stages(bundle: Bundle, batch: int, precision: str, seed: int) -> list[Entrant]:
    """What a step of B dreams consists of, as `rla_gym.dream.dream.Dream` and its environment call it.

    "condition", "euler step" (one), "decode", "features" (of the observation), "reward"; and "picture", which only
    people ask for.
    """
    dream = started_dream(bundle, batch)
    flow, tokens, felt = bundle.flow, dream.tokens, dream.proprio if bundle.config.proprio_size else None
    chunks = torch.from_numpy(random_chunks(bundle, batch, seed))
    latent = torch.zeros(batch, *dream.latent_shape)
    time = torch.ones(1)
    reward = VideoReward(bundle, batch)
    reward.reset(torch.arange(batch), dream.reference, tokens)

    def network(run: Callable[[], object]) -> Callable[[], object]:
        def call() -> object:
            with torch.inference_mode(), WholeBlocks() if precision == "float32" else nullcontext():
                return run()

        return precise(call, precision)

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        conditioning = flow.condition(tokens, chunks, proprio=felt)
    stages = [
        Entrant("condition", network(lambda: flow.condition(tokens, chunks, proprio=felt)), batch),
        Entrant("euler step", network(lambda: flow.velocity(latent, time, conditioning)), batch),
        Entrant("decode", network(lambda: bundle.autoencoder.decode(latent, tokens)), batch),
        # These two, and pictures, are float32 in every environment.
        Entrant("features", lambda: bundle.feature_map(tokens), batch),
        Entrant("reward", lambda: reward.step(tokens, dream.frame), batch),
    ]
    if bundle.image_decoder is not None:
        few = tokens[:PICTURES]
        stages.append(Entrant("picture", lambda: bundle.decode_images(few), len(few)))
    return stages


def real_stages(bundle: Bundle, task: Task, batch: int, precision: str, seed: int) -> list[Entrant]:
    """What a step of the real environment consists of: "physics" of a chunk and "render" of a frame of one simulator,
    and "encode" of B frames."""
    states = bundle.references.states.numpy()
    task.reset(seed)
    if states.shape[1]:
        task.set_state(states[0])
    chunk = bundle.unscale_actions(random_chunks(bundle, 1, seed))[0]
    frames = np.repeat(task.render()[None], batch, axis=0)

    def physics() -> None:
        for action in chunk:
            task.step(action)

    return [
        Entrant("physics", physics, 1),
        Entrant("render", task.render, 1),
        Entrant("encode", precise(lambda: bundle.encode_frames(frames), precision), batch),
    ]
