"""References from recordings that a checkpoint does not carry: a token store, or episodes that its encoder reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.references import PARTS, References
from rla_gym.data.episodes import FILE_NAME, EpisodeDataset
from rla_gym.data.store import TokenStore, first_rows, split_episodes
from rla_gym.utils.checks import expanded

STORE = "tokens"
"""Folder inside a data set's folder where its token store may lie."""
BATCH = 64
"""Frames encoded at a time."""


def load_references(dataset: str | Path | References, bundle: Bundle) -> References:
    """Recorded episodes of the checkpoint's task as references for it.

    Frames without a token store are encoded here, tens to hundreds a second: where many environments use them, load
    them once and give each the result.

    Args:
        dataset: a token store, whose tokens stay on disk and are read as they are used; a data set's folder, whose
            `tokens` folder is taken if there is one and whose frames are encoded if not; an .hdf5 file, whose frames
            are encoded; or references.
        bundle: the checkpoint.

    Raises:
        FileNotFoundError: neither a token store nor episodes there, or the checkpoint has no encoder.
        ValueError: another task, frame size, action bounds, encoder or channel map; the text says which. Or an episode
            that was changed since it was recorded.
    """
    if isinstance(dataset, References):
        references, place = dataset, "the given references"
    else:
        references, place = _read(expanded(dataset), bundle), str(dataset)
    _check_shapes(references, bundle, place)
    return references


def encode_references(episodes: EpisodeDataset, bundle: Bundle) -> References:
    """All episodes, their frames encoded by the checkpoint's encoder and channel map; errors as `load_references`."""
    _check_spec(episodes.spec, bundle, str(episodes.path))
    _ = episodes.digests  # a ValueError where an episode is not what was recorded
    total = int(episodes.lengths.sum())
    starts = first_rows(episodes.lengths)
    rows: dict[str, np.ndarray] = {}
    tokens: list[Tensor] = []
    for index, start in enumerate(starts):
        frames = episodes.frames(index)
        if frames.shape[1:3] != tuple(bundle.config.frame_size):
            raise ValueError(
                f"{episodes.path}: frames of {frames.shape[1]}x{frames.shape[2]} pixels, checkpoint "
                f"{bundle.config.name!r} takes {bundle.config.frame_size[0]}x{bundle.config.frame_size[1]}: record or "
                "resize them so"
            )
        tokens += [bundle.stored_tokens(frames[at : at + BATCH]).clone() for at in range(0, len(frames), BATCH)]
        arrays = episodes.arrays(index)
        for name in ("actions", "proprio", "states", "objects"):
            values = arrays[name]
            width = 0 if values is None else values.shape[1]
            kept = rows.setdefault(name, np.zeros((total, width), np.float64 if name == "states" else np.float32))
            if values is not None:
                kept[start : start + len(values)] = values
    parts = np.zeros(len(episodes), np.int64)
    for number, part in enumerate(PARTS):
        parts[split_episodes(episodes.seeds, part)] = number
    return References(
        tokens=torch.cat(tokens),
        starts=torch.from_numpy(starts),
        lengths=torch.from_numpy(np.asarray(episodes.lengths, np.int64)),
        successes=torch.from_numpy(np.asarray(episodes.successes, bool)),
        seeds=torch.from_numpy(np.asarray(episodes.seeds, np.int64)),
        parts=torch.from_numpy(parts),
        **{name: torch.from_numpy(values) for name, values in rows.items()},
    )


def check_store(store: TokenStore, bundle: Bundle) -> None:
    """A ValueError unless the store's tokens are of the checkpoint's task, encoder and channel map."""
    config, encoder = bundle.config, store.info["encoder"]
    if encoder["hash"] != config.encoder_hash:
        raise ValueError(
            f"the tokens of {store.path} were made by {encoder['name']} ({encoder['hash'][:12]}), checkpoint "
            f"{config.name!r} takes those of {config.encoder_name} ({config.encoder_hash[:12]}): encode the data set "
            "with that encoder (`rla-gym encode`), or where references are wanted, give its .hdf5 file: frames are "
            "then encoded anew"
        )
    _check_spec({**store.info["spec"], "name": store.info["task"]}, bundle, str(store.path))
    if store.grid != tuple(config.grid):
        raise ValueError(f"{store.path} has a grid of {store.grid} patches, checkpoint {config.name!r} {config.grid}")
    pca, components = store.pca, bundle.pca_components
    same = pca is None and components is None
    if pca is not None and components is not None:
        own = components.cpu().numpy()
        same = pca.components.shape == own.shape and np.allclose(pca.components, own, atol=1e-5)
    if not same:
        raise ValueError(
            f"the tokens of {store.path} went through another channel map than those of checkpoint {config.name!r}, "
            "as every store fits its own: give the store that it was trained on, one made like it (`rla-gym encode "
            "--like`), or where references are wanted, the data set's .hdf5 file, whose frames are then encoded with "
            "the checkpoint's map"
        )


def check_coordinates(store: TokenStore, bundle: Bundle) -> None:
    """`check_store`, and a ValueError unless the store standardises its tokens as the checkpoint does.

    For who hands `store.normalized` to the checkpoint's networks: stores without a channel map differ in this alone.
    """
    check_store(store, bundle)
    for name in ("mean", "std"):
        if not np.allclose(getattr(store, name), getattr(bundle, name).cpu().numpy(), rtol=1e-4, atol=1e-5):
            raise ValueError(
                f"{store.path} standardises its tokens by another {name} than checkpoint {bundle.config.name!r}, as "
                "every store measures its own: give the store that it was trained on, or one made like it "
                "(`rla-gym encode --like`)"
            )


def _read(path: Path, bundle: Bundle) -> References:
    inner = path / STORE
    if (path / "index.json").is_file() or (inner / "index.json").is_file():
        if (path / "index.json").is_file():
            store = TokenStore.open(path)
        elif (path / FILE_NAME).is_file():
            with EpisodeDataset(path) as episodes:
                store = TokenStore.open(inner, episodes)
        else:
            store = TokenStore.open(inner)
        check_store(store, bundle)
        return References.from_store(store)
    if not (path.is_file() or (path / FILE_NAME).is_file()):
        raise FileNotFoundError(
            f"dataset={str(path)!r}: expected a token store (a folder with index.json), a data set's folder (with "
            f"{FILE_NAME}), an .hdf5 file, or References; `rla-gym collect` records episodes and `rla-gym encode` "
            "makes a token store of them"
        )
    with EpisodeDataset(path) as episodes:
        return encode_references(episodes, bundle)


def _check_spec(spec: Mapping[str, Any], bundle: Bundle, place: str) -> None:
    """A ValueError unless episodes were recorded in the checkpoint's task with the same pixels and actions.

    Files of other making may lack parts of their spec; what they lack is not compared.
    """
    config = bundle.config
    wanted: dict[str, Any] = {
        "name": config.task,
        "frame_size": list(config.frame_size),
        "action_low": list(config.action_low),
        "action_high": list(config.action_high),
        "control_hz": config.control_hz,
    }
    differ = [
        f"{name} is {spec[name]!r}, expected {value!r}"
        for name, value in wanted.items()
        if name in spec and not _alike(spec[name], value)
    ]
    options = {**spec.get("options", {})}
    differ += [
        f"{name} is {options.get(name, 'the default')!r}, expected {config.task_options.get(name, 'the default')!r}"
        for name in sorted({*options, *config.task_options} - {"max_steps", "frame_size", "success"})
        if options.get(name) != config.task_options.get(name)
    ]
    if differ:
        raise ValueError(
            f"{place} was not recorded as checkpoint {config.name!r} needs it: {'; '.join(differ)}. Give episodes of "
            f"{config.task!r}, or another checkpoint"
        )


def _alike(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return bool(found == wanted)
    first, second = np.atleast_1d(np.asarray(found, float)), np.atleast_1d(np.asarray(wanted, float))
    return first.shape == second.shape and bool(np.allclose(first, second, atol=1e-6))


def _check_shapes(references: References, bundle: Bundle, place: str) -> None:
    """A ValueError unless tokens, proprioception and actions have the checkpoint's shapes."""
    own, config = bundle.references, bundle.config
    if references.tokens.shape[1:] != own.tokens.shape[1:]:
        raise ValueError(
            f"{place}: tokens of {tuple(references.tokens.shape[1:])} patches and channels, checkpoint {config.name!r} "
            f"takes {tuple(own.tokens.shape[1:])}"
        )
    for name, width, needed in (
        ("proprio", config.proprio_size, bool(config.proprio_size)),
        ("actions", config.action_size, False),
    ):
        found = getattr(references, name).shape[1]
        # Videos without actions can be started from and rewarded against; a predicted proprioception needs its start.
        if found not in ((width,) if needed else (width, 0)) and not (name == "proprio" and not width):
            raise ValueError(f"{place}: {name} has {found} numbers, checkpoint {config.name!r} takes {width}")
