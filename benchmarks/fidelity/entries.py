"""The models that are measured: checkpoints, and folders of `benchmarks.baselines.train`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.interface import State, WorldModel, component_count, parameter_count
from benchmarks.baselines.latent_flow import LatentFlow
from benchmarks.baselines.recorded import Recorded
from benchmarks.baselines.train import Args as TrainArgs
from benchmarks.baselines.train import setting_of
from benchmarks.baselines.trained import load_model
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import check_coordinates
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.data import EpisodeDataset, TokenStore
from rla_gym.training.batches import proprio_statistics
from rla_gym.utils.files import read_json

CURVE = "curve.json"
FLOWS = ("rla-wm", "rla-wm-unanchored", "fm-wm")
"""Models that can be sampled at another temperature than the one that they are used at."""


class Measured(Recorded):
    """Recorded episodes whose proprioception is standardised as it was for a model's training.

    Args:
        mean, std: (P,) of the store that the model was trained on.
    """

    def __init__(self, store: TokenStore, dataset: EpisodeDataset | None, mean: Tensor, std: Tensor) -> None:
        super().__init__(store, dataset)
        self.mean, self.std = mean, std

    @cached_property
    def proprio(self) -> Tensor | None:
        """Standardised proprioception (N, P) float32 of all rows; None where nothing was recorded."""
        if not self.store.proprio.shape[1]:
            return None
        return ((torch.from_numpy(self.store.proprio) - self.mean) / self.std).float()


@dataclass(frozen=True)
class Entry:
    """One trained model.

    Attributes:
        name: models of one name differ in their training seed alone.
        label: name, and seed where there are several.
        place: where it was read from.
        seed: of its training, None where it is not known.
        model: on its device.
        recorded: episodes as it wants to see them.
        chunk: K that it was trained for.
        sampled: the same model as it is sampled from; None for a model that draws nothing.
        facts: JSON-able: parameters and budget.
    """

    name: str
    label: str
    place: str
    seed: int | None
    model: WorldModel
    recorded: Recorded
    chunk: int
    sampled: WorldModel | None
    facts: dict[str, Any]

    def start(self, rows: np.ndarray, device: torch.device) -> State:
        """The recorded state at `rows` (B,), on the device."""
        return on_device(self.recorded.start(self.model, rows), device)


def on_device(state: State, device: torch.device) -> State:
    """The same state, elsewhere."""
    proprio = None if state.proprio is None else state.proprio.to(device)
    memory = {name: value.to(device) for name, value in state.memory.items()}
    return State(state.tokens.to(device), proprio, memory)


def split_name(spec: str) -> tuple[str | None, str]:
    """Name and place of "NAME=PLACE", or None and the place."""
    name, equals, place = spec.partition("=")
    return (name, place) if equals else (None, spec)


def load_entries(
    specs: tuple[str, ...],
    store: TokenStore,
    dataset: EpisodeDataset | None,
    encoder: Path | None,
    sampler: tuple[int, float],
    device: torch.device,
) -> list[Entry]:
    """Models by "PLACE" or "NAME=PLACE"; labels tell those of one name apart.

    Args:
        dataset: frames, for models of pixels.
        encoder: its file, for models of pixels.
        sampler: evaluations and temperature at which flows are sampled.

    Raises:
        ValueError: two models of one name and seed, or a model of other tokens.
    """
    found = []
    for spec in specs:
        name, place = split_name(spec)
        folder = Path(place)
        if (folder / CURVE).is_file():
            found.append(load_trained(name, folder, store, dataset, encoder, sampler))
        else:
            found.append(load_bundle(name, place, load_checkpoint(place), store, dataset, sampler))
    names = [entry.name for entry in found]
    labelled = [
        replace(entry, label=entry.name if names.count(entry.name) == 1 else f"{entry.name} ({entry.seed})")
        for entry in found
    ]
    labels = [entry.label for entry in labelled]
    double = {label for label in labels if labels.count(label) > 1}
    if double:
        raise ValueError(f"{', '.join(sorted(double))} is given more than once: name models apart as NAME=PLACE")
    for entry in labelled:
        for model in (entry.model, entry.sampled):
            for network in () if model is None else model.networks().values():
                network.to(device)
    return labelled


def load_bundle(
    name: str | None,
    place: str,
    bundle: Bundle,
    store: TokenStore,
    dataset: EpisodeDataset | None,
    sampler: tuple[int, float],
) -> Entry:
    """RLA-WM of a checkpoint, with the checkpoint's own sampler."""
    check_coordinates(store, bundle)
    model = LatentFlow.from_bundle(bundle)
    return Entry(
        name=name or bundle.config.name,
        label="",
        place=place,
        seed=None,
        model=model,
        recorded=Measured(store, dataset, bundle.proprio_mean, bundle.proprio_std),
        chunk=bundle.config.chunk,
        sampled=model.sampling(*sampler),
        facts={"model": model.name, **sizes(model), "checkpoint": bundle.config.name},
    )


def sizes(model: WorldModel) -> dict[str, int]:
    """How many numbers it has: trained ones, and principal components."""
    return {"parameters": parameter_count(model), "components": component_count(model)}


def load_trained(
    name: str | None,
    folder: Path,
    store: TokenStore,
    dataset: EpisodeDataset | None,
    encoder: Path | None,
    sampler: tuple[int, float],
) -> Entry:
    """A model that `benchmarks.baselines.train` trained.

    Raises:
        ValueError: its training is not finished, or its tokens have other coordinates than the store's.
    """
    curve = read_json(folder / CURVE)
    if not curve["finished"]:
        raise ValueError(f"the training in {folder} is not finished: give its command again")
    settings: dict[str, Any] = {
        field.name: Path(curve["settings"][field.name]) if field.name in PATHS else curve["settings"][field.name]
        for field in fields(TrainArgs)
        if curve["settings"].get(field.name) is not None
    }
    trained_on = store
    if (settings["tokens"] / "index.json").is_file():
        trained_on = TokenStore.open(settings["tokens"])
        if trained_on.coordinates != store.coordinates:
            raise ValueError(
                f"the model in {folder} was trained on {trained_on.path}, whose channels or statistics differ from "
                f"those of {store.path}: encode the one like the other (`rla-gym encode --like`)"
            )
    here: dict[str, Any] = {"tokens": trained_on.path, "data": None, "out": folder}
    if encoder is not None:
        here["encoder"] = encoder
    setting = setting_of(TrainArgs(**{**settings, **here}))
    model = load_model(curve["model"], setting)
    sampled: WorldModel | None = model if model.stochastic else None
    if isinstance(model, LatentFlow) and model.name in FLOWS:
        sampled = model.sampling(*sampler)
    budget = {stage: [found["steps"], found["seconds_a_step"]] for stage, found in curve["trainings"].items()}
    facts = {"model": curve["model"], **sizes(model), "steps_and_seconds_a_step": budget}
    given = {name: settings.get(name) for name in ("minutes", "samples")}
    return Entry(
        name=name or curve["model"],
        label="",
        place=str(folder),
        seed=setting.seed,
        model=model,
        recorded=Measured(store, dataset, *proprio_statistics(trained_on)),
        chunk=setting.chunk,
        sampled=sampled,
        facts={**facts, **given},
    )


PATHS = ("tokens", "out", "data", "encoder", "autoencoder", "costs")
"""Settings of a training that are paths."""
