"""Files of Stable-Baselines3: which algorithm one is of, its model, and the statistics its observations pass.

Such a file holds pickles, and so does a `VecNormalize` file: loading one runs what is in it. SB3 loads them here as it
always does, so give only files from a source that you trust. What is read before that (the algorithm) is plain JSON.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

from gymnasium import spaces

from rla_gym.utils.optional import require

TRUST = "files of Stable-Baselines3 are pickles, which run code when they are loaded: load only those you trust"

OF_CONTRIB = {
    "tqc": "TQC",
    "qrdqn": "QRDQN",
    "crossq": "CrossQ",
    "ars": "ARS",
    "recurrent": "RecurrentPPO",
    "maskable": "MaskablePPO",
}
"""Algorithms of sb3_contrib by a part of their policy's module."""
SIGNATURES = (
    ("cg_max_steps", "TRPO"),
    ("top_quantiles_to_drop_per_net", "TQC"),
    ("clip_range", "PPO"),
    ("gae_lambda", "A2C"),
    ("target_entropy", "SAC"),
    ("target_noise_clip", "TD3"),
    ("exploration_fraction", "DQN"),
    ("delta_std", "ARS"),
)
"""A setting that only this algorithm saves, by the first that fits. (DDPG is TD3 with other defaults.)"""
IN_CONTRIB = ("TRPO", *OF_CONTRIB.values())


def recognise(path: Path) -> tuple[str, dict[str, Any]]:
    """Algorithm of a file of Stable-Baselines3 and the settings that it saved, by its JSON alone: nothing is unpickled.

    Raises:
        ValueError: no such file, or an algorithm that is none of SB3's or sb3_contrib's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            settings: dict[str, Any] = json.loads(archive.read("data"))
            policy = settings["policy_class"]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is no agent of Stable-Baselines3 ({error}): expected what `model.save(...)` writes"
        ) from error
    module = policy.get("__module__", "") if isinstance(policy, dict) else ""
    if module.startswith("sb3_contrib."):
        for part, algorithm in OF_CONTRIB.items():
            if part in module.split("."):
                return algorithm, settings
    for setting, algorithm in SIGNATURES:
        if setting in settings:
            return algorithm, settings
    raise ValueError(
        f"{path}: its algorithm is not recognised (policy of the module {module!r}); give module:function, a function "
        "that loads it and returns it"
    )


def normalizer_of(path: Path) -> Path | None:
    """The `VecNormalize` file that belongs to the agent `path`, None where there is none.

    For a.zip: a.pkl, a_vecnormalize.pkl or a_vec_normalize.pkl; for p_1000_steps.zip also p_vecnormalize_1000_steps.pkl
    (SB3's CheckpointCallback); where it is the only agent of its folder also vecnormalize.pkl or vec_normalize.pkl.
    """
    stem, folder = path.stem, path.parent
    names = [f"{stem}.pkl", f"{stem}_vecnormalize.pkl", f"{stem}_vec_normalize.pkl"]
    parts = stem.rsplit("_", 2)
    if len(parts) == 3 and parts[1].isdigit() and parts[2] == "steps":
        names.append(f"{parts[0]}_vecnormalize_{parts[1]}_steps.pkl")
    if len(list(folder.glob("*.zip"))) == 1:
        names += ["vecnormalize.pkl", "vec_normalize.pkl"]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def load_model(path: Path, algorithm: str, settings: dict[str, Any]) -> Any:
    """The model of a file that `recognise` knows, on the CPU; a ValueError where SB3 cannot load it."""
    library = "sb3_contrib" if algorithm in IN_CONTRIB else "stable_baselines3"
    try:
        kind = getattr(import_module(library), algorithm)
    except ImportError as error:
        if library == "stable_baselines3":
            require("stable_baselines3", extra="rl")
        raise ImportError(f"{path} is of {algorithm}, which sb3-contrib has: pip install sb3-contrib") from error
    changed: dict[str, Any] = {}
    if "replay_buffer_class" in settings:
        # Nothing is trained: no gigabytes for transitions, and no buffer (HER's) that wants an environment.
        changed = {"buffer_size": 1, "replay_buffer_class": None, "replay_buffer_kwargs": {}}
    try:
        return kind.load(path, device="cpu", **changed)
    except Exception as error:  # whatever a file and its pickles can go wrong with
        raise ValueError(
            f"{path} was recognised as {algorithm}, but {library} cannot load it: {type(error).__name__}: {error}; "
            f"save it again with the installed versions ({TRUST})"
        ) from error


def load_normalizer(path: Path, space: spaces.Space[Any]) -> Any:
    """The `VecNormalize` of a file, for observations of `space`; None where it leaves observations alone.

    Raises:
        ValueError: something else is in the file, or it is for other observations.
    """
    vec_env = require("stable_baselines3.common.vec_env", extra="rl")
    try:
        with open(path, "rb") as file:
            found = pickle.load(file)  # what VecNormalize.load does, without an environment
    except Exception as error:  # as above
        raise ValueError(f"{path} is no VecNormalize: {type(error).__name__}: {error} ({TRUST})") from error
    if not isinstance(found, vec_env.VecNormalize):
        raise ValueError(f"{path} holds {type(found).__name__}: expected a VecNormalize of Stable-Baselines3")
    if not found.norm_obs:
        return None
    shapes = [getattr(each, "shape", None) for each in (found.observation_space, space)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{path} normalises observations of {found.observation_space}, its agent takes {space}")
    return found
