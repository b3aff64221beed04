"""A training run read back from its folder: configuration, averaged weights and held-out metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from rla_gym.training.records import RunRecords, weights_of
from rla_gym.utils.progress import duration
from rla_gym.utils.tensors import built, fill
from rla_gym.utils.typed import build, check, shown

if TYPE_CHECKING:
    from rla_gym.data.tokens import TokenStore


NEEDED = ("autoencoder", "features", "flow")
"""Trainings that a world model is made of; others may be left out."""


@dataclass(frozen=True)
class TrainedRun:
    """The latest checkpoint of a run that `rla_gym.training.loop.fit` wrote.

    Attributes:
        step, steps: optimiser steps done, and those that the run was planned for.
        metrics: held-out metrics of the last evaluation.
        processes: processes that trained it, each with batches of its own.
        loop: settings of the loop.
        trainable: description of model, data and loss.
        weights: averaged weights by module.
    """

    folder: Path
    step: int
    steps: int
    metrics: dict[str, float]
    processes: int
    loop: dict[str, Any]
    trainable: dict[str, Any]
    weights: dict[str, dict[str, Tensor]]

    @classmethod
    def read(cls, folder: str | Path) -> TrainedRun:
        """Read a run; a FileNotFoundError where nothing has been saved yet."""
        latest = RunRecords(folder).latest()
        if latest is None:
            raise FileNotFoundError(f"no training run has saved anything in {folder}: `rla-gym train` writes there")
        state, tensors = RunRecords(folder).load(latest)
        found = state["description"]
        return cls(
            folder=Path(folder),
            step=state["step"],
            steps=found["loop"]["steps"],
            metrics=state["metrics"],
            processes=found["processes"],
            loop=found["loop"],
            trainable=found["trainable"],
            weights=weights_of(tensors),
        )

    @property
    def finished(self) -> bool:
        """Whether all planned steps were done."""
        return self.step >= self.steps

    def lacks(self) -> str:
        """The steps that it lacks of those planned, and about how long they take at the speed of its own log."""
        missing, speed = self.steps - self.step, RunRecords(self.folder).steps_a_second()
        time = f", about {duration(missing / speed)} at {speed:.3g} a second" if speed else ""
        return (
            f"stopped at step {self.step:,} of {self.steps:,}, {missing:,} are missing{time}; the command that began "
            "it resumes it"
        )

    def complete(self) -> TrainedRun:
        """The run itself; a ValueError if it was stopped before its last planned step."""
        if not self.finished:
            raise ValueError(f"the run in {self.folder} was {self.lacks()}, or take it as it stands with --unfinished")
        return self

    def check_data(self, store: TokenStore, like: bool = True) -> None:
        """A ValueError unless the run learned from tokens of the same data set, encoder and coordinates as `store`.

        Args:
            like: whether the data set may also be that of a store that this one was encoded like.
        """
        found, info = self.entry("data", dict[str, Any]), store.info
        dataset = self.entry("data.dataset", str)
        fitting = {info["dataset"], *(info.get("like_datasets", []) if like else [])}
        if dataset not in fitting or found.get("encoder") != info["encoder"]:
            raise ValueError(
                f"the run in {self.folder} was trained on data set {dataset[:12]} with {shown(found.get('encoder'))}, "
                f"the store {store.path} is of {info['dataset'][:12]} with {info['encoder']}: give the store that it "
                "was trained on, or train it on this one, in a new folder"
            )
        if found.get("coordinates", store.coordinates) != store.coordinates:  # older runs do not tell
            raise ValueError(
                f"the run in {self.folder} was trained on tokens of other channels or statistics than those of "
                f"{store.path}, as every store has its own: give the store that it was trained on, or one encoded "
                "`--like` it"
            )

    def config(self, kind: Any) -> Any:
        """The model's configuration as the dataclass `kind`; a ValueError if the run is of another model."""
        return config_of(kind, self.entry("model", dict[str, Any]), self.folder)

    def entry(self, path: str, kind: Any) -> Any:
        """The description's value at `path`, such as "data.dataset"; a ValueError if it is no `kind`."""
        value: Any = self.trainable
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return check(kind, value, f"the run in {self.folder}", "train it anew", f"description.trainable.{path}")

    def build(self, module: str, make: Callable[[], Any]) -> Any:
        """The model that `make` makes with the averaged weights of `module`; what does not fit is refused before."""
        return built(make, self._weights_of(module), f"the run in {self.folder}", "train it anew", f"{module}.")

    def _weights_of(self, module: str) -> dict[str, Tensor]:
        if module not in self.weights:
            raise KeyError(f"the run in {self.folder} trained {', '.join(self.weights)}, not {module}")
        return self.weights[module]

    def fill(self, module: str, model: nn.Module) -> None:
        """Load the averaged weights of `module` into `model`; a KeyError if the run has no such module."""
        fill(model, self._weights_of(module), f"the run in {self.folder}", "train it anew", f"{module}.")


def config_of(kind: Any, values: Any, place: Path) -> Any:
    """A configuration dataclass from what JSON gave; a ValueError names what is unknown, missing or of another type.

    A switch that is younger than the run is off (False or 0), as by default.
    """
    return build(kind, values, f"the run in {place}", "take it with the version that trained it, or train it anew")


def check_complete(run: Path, unfinished: bool = False) -> None:
    """A ValueError that says all that the folder `run` lacks of a world model, unless nothing is missing.

    Args:
        unfinished: whether trainings that were stopped before their last step will do.
    """
    lacking = []
    for kind in NEEDED:
        if not (run / kind / "latest.json").is_file():
            lacking.append(f"{kind} has not begun")
        elif not unfinished and not (part := TrainedRun.read(run / kind)).finished:
            lacking.append(f"{kind} was {part.lacks()}")
    if len(lacking) == len(NEEDED) and not run.is_dir():
        raise FileNotFoundError(f"no training run at {run}: `rla-gym train` writes one")
    if lacking:
        more = "" if unfinished else ", or take what has begun as it stands with --unfinished"
        raise ValueError(f"{run} is unfinished: {'; '.join(lacking)}. Give the training command again{more}")
