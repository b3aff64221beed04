"""Agents to be measured: any Stable-Baselines3 file, or any policy that a function returns."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from rla_gym.bench.sb3_files import load_model, load_normalizer, normalizer_of, recognise
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.spaces import OBS_MODES, Observation, action_space, observation_space
from rla_gym.utils.files import sha256_file

OF_POLICIES = ("observation_space", "action_space", "obs_mode", "chunk")
"""What a policy may say of the environments that it is for."""


@dataclass(frozen=True)
class Agent:
    """A policy and how it is to be used.

    Attributes:
        name: short, one of a kind among the agents of a run.
        source: file or entry point, as given.
        algorithm: "PPO", ..., or "entry point".
        policy: has SB3's `predict`.
        obs_mode, chunk: of the environments that it was trained in.
        normalizer: an SB3 `VecNormalize` whose statistics its observations pass, or None.
        hashes: SHA-256 of its files, by name.
    """

    name: str
    source: str
    algorithm: str
    policy: Any
    obs_mode: str
    chunk: int
    normalizer: Any = None
    hashes: dict[str, str] | None = None

    def act(self, observation: Observation, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        """Actions (B, chunk * A) and the policy's next state; `starts` (B,) bool, where an episode has just begun."""
        if self.normalizer is not None:
            observation = self.normalizer.normalize_obs(observation)
        recurrent = {"state": state, "episode_start": starts} if _takes_state(self.policy) else {}
        actions, state = self.policy.predict(observation, deterministic=deterministic, **recurrent)
        return actions, state

    @property
    def facts(self) -> dict[str, Any]:
        """What a result says about it."""
        return {
            "source": self.source,
            "algorithm": self.algorithm,
            "obs_mode": self.obs_mode,
            "chunk": self.chunk,
            "normalized": self.normalizer is not None,
            "hashes": self.hashes or {},
        }


def load_agents(sources: Sequence[str], bundle: Bundle) -> list[Agent]:
    """Agents of `sources`: files, or "module:function"; each may be named, as in "mine=runs/ppo/agent.zip".

    Raises:
        ValueError: none are given, or two have one name; and as of `load_agent`.
    """
    if not sources:
        raise ValueError("no agents: give files of Stable-Baselines3 or entry points, --agents a.zip module:function")
    named = [_named(source) for source in sources]
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise ValueError(f"agents {names}: name them apart, --agents mine=runs/ppo/agent.zip")
    return [load_agent(source, bundle, name) for name, source in named]


def load_agent(source: str, bundle: Bundle, name: str | None = None) -> Agent:
    """The agent of a file of Stable-Baselines3, or the policy that a function ("module:function") returns.

    A file's `VecNormalize` is found beside it, see `normalizer_of`. A function is called with the loaded checkpoint;
    its policy may say what environments it is for by the attributes `OF_POLICIES`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no agent, of an unknown algorithm, or of other spaces than the checkpoint's environments
            have; the text says what differs.
    """
    given, source = _named(source)
    path = Path(source).expanduser()
    if path.suffix != ".zip" and ":" in source and not path.exists():
        policy = _entry_point(source, bundle)
        seen, acted, *wanted = (getattr(policy, each, None) for each in OF_POLICIES)
        mode, chunk = _matching(source, bundle, seen, acted, *wanted)
        return Agent(name or given, source, "entry point", policy, mode, chunk)
    if not path.is_file():
        raise FileNotFoundError(f"no agent at {source}: expected a .zip of Stable-Baselines3, or module:function")
    algorithm, settings = recognise(path)
    policy = load_model(path, algorithm, settings)
    mode, chunk = _matching(source, bundle, policy.observation_space, policy.action_space)
    found = normalizer_of(path)
    files = [path] if found is None else [path, found]
    hashes = {file.name: sha256_file(file) for file in files}
    normalizer = None if found is None else load_normalizer(found, policy.observation_space)
    return Agent(name or given, source, algorithm, policy, mode, chunk, normalizer, hashes)


def random_policy(bundle: Bundle, seed: int = 0) -> RandomPolicy:
    """An entry point: uniformly random actions, the floor of every comparison."""
    return RandomPolicy(action_space(bundle, bundle.config.chunk).shape[0], seed)


class RandomPolicy:
    """Uniform actions that do not look at anything: a function of the row and the step, so that the dream and reality
    get the same ones."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed

    def predict(
        self,
        observation: Observation,
        state: int | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, int]:
        """(B, size) float32 in [-1, 1], and the number of steps so far."""
        first, step = next(iter(observation.values())) if isinstance(observation, dict) else observation, state or 0
        actions = np.random.default_rng([self.seed, step]).uniform(-1, 1, (len(first), self.size))
        return actions.astype(np.float32), step + 1


def _named(source: str) -> tuple[str, str]:
    """Name and source: as given ("name=source"), or the file's name, its folder's for "agent.zip", the function's."""
    name, equals, rest = source.partition("=")
    if equals and name and "/" not in name:
        return name, rest
    path = Path(source)
    if path.suffix == ".zip":
        folder = path.resolve().parent.name
        return (folder if path.stem in ("agent", "model", "best_model") and folder else path.stem), source
    return source.rpartition(":")[2] or source, source


def _entry_point(source: str, bundle: Bundle) -> Any:
    module, _, attribute = source.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"agent {source!r}: {error}; expected a file that exists, or module:function, importable from here"
        ) from error
    policy = function(bundle)
    if not callable(getattr(policy, "predict", None)):
        raise ValueError(
            f"agent {source!r} returned {type(policy).__name__}: expected an object with Stable-Baselines3's "
            "predict(observation, deterministic=...) -> (actions, state)"
        )
    return policy


def _matching(
    source: str,
    bundle: Bundle,
    seen: spaces.Space[Any] | None,
    acted: spaces.Space[Any] | None,
    mode: str | None = None,
    chunk: int | None = None,
) -> tuple[str, int]:
    """Observation mode and chunk whose spaces are the agent's; a ValueError that says what differs where none are."""
    config = bundle.config
    modes = OBS_MODES if mode is None else (mode,)
    offered = {each: observation_space(bundle, each) for each in modes}
    fitting = [each for each, space in offered.items() if seen is None or _same(seen, space)]
    if not fitting:
        listed = "; ".join(f"obs_mode={each!r}: {_text(space)}" for each, space in offered.items())
        raise ValueError(
            f"agent {source} takes observations {_text(seen)}, checkpoint {config.name!r} gives {listed}: it was "
            "trained on another checkpoint or on wrapped observations"
        )
    sizes = {each: action_space(bundle, each) for each in range(config.chunk, 0, -1)}
    if chunk is not None:
        sizes = {each: space for each, space in sizes.items() if each == chunk}
    chunks = [each for each, space in sizes.items() if acted is None or _same(acted, space)]
    if not chunks:
        raise ValueError(
            f"agent {source} gives actions {_text(acted) if acted is not None else f'of {chunk} control steps'}, "
            f"checkpoint {config.name!r} takes {_text(action_space(bundle, config.chunk))}: {config.chunk} control "
            f"steps (or fewer) of {config.action_size} numbers"
        )
    return fitting[0], chunks[0]


def _same(first: spaces.Space[Any], second: spaces.Space[Any]) -> bool:
    """Whether an agent of the space `first` can live in `second`; images may have their channels first."""
    if isinstance(first, spaces.Box) and isinstance(second, spaces.Box):
        shapes = {second.shape, second.shape[-1:] + second.shape[:-1]} if second.dtype == np.uint8 else {second.shape}
        return first.shape in shapes and first.dtype == second.dtype
    if isinstance(first, spaces.Dict) and isinstance(second, spaces.Dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    return False


def _text(space: Any) -> str:
    if isinstance(space, spaces.Box):
        return f"Box{space.shape} {space.dtype}"
    if isinstance(space, spaces.Dict):
        return f"Dict({', '.join(f'{key}: {_text(each)}' for key, each in space.items())})"
    return str(space)


def _takes_state(policy: Any) -> bool:
    return {"state", "episode_start"} <= set(inspect.signature(policy.predict).parameters)
