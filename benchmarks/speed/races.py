"""The races of one run: at every batch size, of the stages of a step, of Euler steps, over the tokens of a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.baselines.interface import WorldModel, parameter_count
from benchmarks.baselines.setting import Setting
from benchmarks.speed.clock import Entrant, precise, race, summary, times
from benchmarks.speed.entrants import (
    compiled,
    dream_entrants,
    model_entrants,
    random_chunks,
    real_entrant,
    started,
    started_dream,
)
from benchmarks.speed.machine import flops, matmul, peak_memory
from benchmarks.speed.scaling import token_entrants, token_exponents
from benchmarks.speed.stages import dream_stages, real_stages
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.models.batch_invariance import BLOCK
from rla_gym.tasks import make_task
from rla_gym.utils.keyed_rng import make_keys

if TYPE_CHECKING:
    from benchmarks.speed.run import Args

COMPARED = ("dream", "environment", "dream, pictures")
"""Whose rates are divided by those of all others."""


class Timing:
    """All that is timed, with what it needs.

    Args:
        args: settings.
        bundle: the checkpoint.
        setting: of the comparison.
        models: by name in results.
    """

    def __init__(self, args: Args, bundle: Bundle, setting: Setting, models: Mapping[str, WorldModel]) -> None:
        self.args, self.bundle, self.setting, self.models = args, bundle, setting, models
        self.best: dict[str, int] = {}
        """Size of the fastest matrix product by precision."""
        self.flops: dict[str, float] = {}
        """Operations a chunk by name."""
        self.latest: dict[tuple[str, str], tuple[int, float]] = {}
        """By name and precision the last batch that was timed, and the seconds of a run of it."""

    def peak(self, precision: str) -> dict[str, Any]:
        """Matrix products of several sizes: `size` of the fastest, its `flops_per_second`, and all `timed`."""
        sizes = self.args.matmuls
        timed = self._timed([matmul(size, precision) for size in sizes])
        size = max(sizes, key=lambda one: timed[f"matmul {one}"]["per_second"])
        self.best[precision] = size
        return {"size": size, "flops_per_second": timed[f"matmul {size}"]["per_second"], "timed": timed}

    def counted(self) -> dict[str, dict[str, Any]]:
        """By name `flops_per_chunk`; of models `parameters` and `evaluations` of what is evaluated repeatedly too."""
        args = (BLOCK, "float32", self.args.seed)
        entrants = dream_entrants(self.bundle, *args) + model_entrants(self.models, self.bundle, self.setting, *args)
        found: dict[str, dict[str, Any]] = {}
        for entrant in entrants:
            self.flops[entrant.name] = flops(entrant.run) / BLOCK
            found[entrant.name] = {"flops_per_chunk": self.flops[entrant.name]}
        for name, model in self.models.items():
            found[name] |= {"parameters": parameter_count(model), "evaluations": getattr(model, "steps", 1)}
        return found

    def race(self, batch: int, precision: str) -> dict[str, Any]:
        """Everything at one batch size: `timed`, `of_peak`, `ratios` to others, `memory_mb`, what was `skipped`."""
        args, skipped = self.args, dict[str, str]()
        print(f"batch {batch}, {precision}", flush=True)
        entrants = [matmul(self.best[precision], precision)]
        entrants += dream_entrants(self.bundle, batch, precision, args.seed)
        models = {name: model for name, model in self.models.items() if self._quick(name, batch, precision, skipped)}
        entrants += model_entrants(models, self.bundle, self.setting, batch, precision, args.seed)
        if args.compiled and batch == args.focus and "rla-wm" in models:
            entrants += self._compiled(batch, precision, skipped)
        with ExitStack() as stack:
            entrants += self._real(stack, batch, skipped)
            timed = self._timed(entrants)
            memory = {entrant.name: peak_memory(entrant.run) for entrant in entrants[1:]}
        for name, entry in timed.items():
            self.latest[name, precision] = (batch, entry["amount"] / entry["per_second"])
        return {
            "batch": batch,
            "precision": precision,
            "timed": timed,
            "of_peak": self._of_peak(timed, self.flops, precision),
            "ratios": {
                own: {name: times(timed, name, own) for name in timed if "matmul" not in name}
                for own in COMPARED
                if own in timed
            },
            "memory_mb": memory,
            "skipped": skipped,
        }

    def stages(self, precision: str) -> dict[str, Any]:
        """Of a dreamed step and of a real one at the focus batch: `timed`, `flops_per_chunk`, `of_peak`."""
        args = self.args
        dreamed = dream_stages(self.bundle, args.focus, precision, args.seed)
        known = {entrant.name: flops(entrant.run) / entrant.amount for entrant in dreamed}
        skipped, real = dict[str, str](), list[Entrant]()
        with ExitStack() as stack:
            try:
                task = make_task(self.bundle.config.task, **self.bundle.config.task_options)
                stack.callback(task.close)
                real = real_stages(self.bundle, task, args.focus, precision, args.seed)
            except (ImportError, RuntimeError) as error:
                skipped["real"] = str(error)
            timed = self._timed([matmul(self.best[precision], precision), *dreamed, *real])
        of_peak = self._of_peak(timed, known, precision)
        return {"batch": args.focus, "timed": timed, "flops_per_chunk": known, "of_peak": of_peak, "skipped": skipped}

    def tokens(self, precision: str) -> dict[str, Any]:
        """Growth of cost with the patches of a frame, by model: see `token_exponents`; and all `timed`."""
        args = self.args
        entrants = token_entrants(self.bundle, self.setting, args.patches, args.patch_batch, precision, args.seed)
        known = {entrant.name: flops(entrant.run) / entrant.amount for entrant in entrants.values()}
        timed = self._timed(list(entrants.values()))
        return {"batch": args.patch_batch, "timed": timed, "models": token_exponents(entrants, timed, known)}

    def euler(self, precision: str) -> dict[str, Any]:
        """Steps of the dream at the focus batch from noise, by the evaluations as "4": midpoint where even."""
        chunks = random_chunks(self.bundle, self.args.focus, self.args.seed)
        entrants = []
        for steps in self.args.quality.steps:
            dream = started_dream(self.bundle, self.args.focus, precision=precision, steps=steps, temperature=1.0)
            entrants.append(Entrant(str(steps), partial(dream.step, chunks), self.args.focus))
        return self._timed(entrants)

    def _timed(self, entrants: Sequence[Entrant]) -> dict[str, Any]:
        return summary(entrants, race(entrants, self.args.rounds, self.args.seconds))

    def _quick(self, name: str, batch: int, precision: str, skipped: dict[str, str]) -> bool:
        """Whether a run is not expected to take too long; else that goes into `skipped`."""
        before, seconds = self.latest.get((name, precision), (batch, 0.0))
        expected = seconds * batch / before
        if expected > self.args.longest:
            skipped[name] = f"{expected:.0f} s a run expected, the limit is {self.args.longest:g} s"
        return expected <= self.args.longest

    def _compiled(self, batch: int, precision: str, skipped: dict[str, str]) -> list[Entrant]:
        model, name = self.models["rla-wm"], "rla-wm, compiled"
        chunks = torch.from_numpy(random_chunks(self.bundle, batch, self.args.seed))
        keys = make_keys(self.args.seed + np.arange(batch), np.zeros(batch), np.zeros(batch))
        run = precise(compiled(model, started(model, self.setting, chunks, keys), chunks, keys), precision)
        try:
            run()
        except RuntimeError as error:
            skipped[name] = str(error).splitlines()[0]
            return []
        self.flops[name] = self.flops["rla-wm"]
        return [Entrant(name, run, batch)]

    def _real(self, stack: ExitStack, batch: int, skipped: dict[str, str]) -> list[Entrant]:
        if batch > self.args.real_most:
            skipped["real"] = f"more than {self.args.real_most} simulators, each with a renderer of its own"
            return []
        workers = 0 if self.args.threads == 1 else self.args.threads
        try:
            return [stack.enter_context(real_entrant(self.bundle, batch, workers, self.args.seed))]
        except (ImportError, RuntimeError, ValueError) as error:
            skipped["real"] = str(error)
            return []

    def _of_peak(self, timed: dict[str, Any], known: dict[str, float], precision: str) -> dict[str, float]:
        """Operations a second over those of the matrix product of the same race, by the `known` operations a chunk."""
        peak = timed[f"matmul {self.best[precision]}"]["per_second"]
        return {name: known[name] * timed[name]["per_second"] / peak for name in timed if name in known}
