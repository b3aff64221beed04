"""The stages of a demo, what each is expected to take, and the time that is left of all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rla_gym.learning.config import DemoConfig
from rla_gym.utils.progress import Progress, duration

COSTS = {
    "demonstrations": 0.33,
    "cloning": 0.045,
    "simulator": 0.17,
    "dream": 0.025,
    "ppo": 0.0044,
    "simulator ppo": 0.015,
    "video": 1.6,
}
"""Seconds of one unit of each kind of stage: the built-in checkpoint, one idle core that has bf16, two for the
simulator. The first estimate is made of them; it then follows what is measured."""
USUAL_EPOCHS = 100
"""Passes over the demonstrations after which cloning has usually stopped."""
TRUST = 10.0
"""Seconds of work at the expected speed that the first estimate weighs as much as."""


@dataclass(frozen=True)
class Stage:
    """A part of the work.

    Attributes:
        name: unlike those of all others.
        kind: one of `COSTS`; a unit of stages of one kind takes equally long.
        title, unit: for the bar.
        total: units.
        expected: units that it usually takes; it may stop before `total`.
    """

    name: str
    kind: str
    title: str
    unit: str
    total: int
    expected: float

    @property
    def seconds(self) -> float:
        """Expected by `COSTS`."""
        return COSTS[self.kind] * self.expected


def stages(config: DemoConfig, dreams: int) -> list[Stage]:
    """All stages of a demo in order; `dreams` are evaluated at a time."""
    found: list[Stage] = []

    def add(name: str, kind: str, title: str, unit: str, total: int, expected: float | None = None) -> None:
        found.append(Stage(name, kind, title, unit, total, float(total) if expected is None else expected))

    for seed in config.seeds:
        own = f"seed {seed}, " if len(config.seeds) > 1 else ""
        add(f"demonstrations-{seed}", "demonstrations", f"{own}recording demonstrations", "demonstration",
            config.demonstrations)  # fmt: skip
        usual = min(USUAL_EPOCHS, config.clone_epochs) * config.demonstrations / 100
        add(f"cloning-{seed}", "cloning", f"{own}behaviour cloning", "epoch", config.clone_epochs, usual)
        for when in ("before", "after"):
            if when == "after":
                chunks = rounded_chunks(config, config.timesteps)
                # Dreams are evaluated along the way as well.
                more = config.dream_checks * dreams * COSTS["dream"] / COSTS["ppo"]
                add(f"ppo-{seed}", "ppo", f"{own}PPO in dreams", "chunk", chunks, chunks + more)
            agent = "the BC policy" if when == "before" else "the agent"
            add(f"simulator-{when}-{seed}", "simulator", f"{own}evaluating {agent} in the simulator", "episode",
                config.episodes)  # fmt: skip
            add(f"dream-{when}-{seed}", "dream", f"{own}evaluating {agent} in dreams", "episode", dreams)
        if config.simulator_timesteps:
            chunks = rounded_chunks(config, config.simulator_timesteps)
            add(f"simulator-ppo-{seed}", "simulator ppo", f"{own}PPO in the simulator", "chunk", chunks)
            add(f"simulator-ppo-after-{seed}", "simulator", f"{own}evaluating that agent in the simulator", "episode",
                config.episodes)  # fmt: skip
        if seed == config.seeds[0] and config.videos:
            add(f"video-{seed}", "video", "video", "episode", config.videos)
    return found


def rounded_chunks(config: DemoConfig, timesteps: int) -> int:
    """Chunks that PPO dreams for `timesteps`: whole iterations of all environments."""
    iteration = config.num_envs * config.n_steps
    return -(-timesteps // iteration) * iteration


class Plan:
    """Runs stages with a bar each, and knows what is left of all of them.

    Args:
        all_stages: in order.
        show: whether anything is shown.
    """

    def __init__(self, all_stages: Sequence[Stage], show: bool = True) -> None:
        self.stages = {stage.name: stage for stage in all_stages}
        self.show = show
        self._spent: dict[str, float] = {}
        """Seconds of the stages that ended; 0 for those of an earlier run."""
        self._measured: dict[str, tuple[float, float]] = {}
        """Seconds and units by kind."""
        self._running: tuple[Stage, Progress, float] | None = None

    @contextmanager
    def run(self, name: str) -> Iterator[Progress]:
        """Show the bar of the stage while the block runs."""
        stage, began = self.stages[name], time.monotonic()
        number = list(self.stages).index(name) + 1
        title = f"[{number}/{len(self.stages)}] {stage.title}"
        with Progress(stage.total, title, stage.unit, show=self.show, note=self.note) as progress:
            self._running = stage, progress, began
            yield progress
            # Whatever stopped early took what it usually takes.
            units = stage.expected if progress.done < stage.total else max(stage.expected, stage.total)
        self._running = None
        self._spent[name] = time.monotonic() - began
        seconds, before = self._measured.get(stage.kind, (0.0, 0.0))
        self._measured[stage.kind] = seconds + self._spent[name], before + units

    def skip(self, name: str) -> None:
        """Count a stage as done that an earlier run has finished."""
        self._spent[name] = 0.0

    def spent(self, name: str) -> float:
        """Seconds that a stage took that has ended."""
        return self._spent[name]

    def left(self) -> float:
        """Seconds that all stages are expected to take from here."""
        seconds, speed = 0.0, self._slowness()
        running = None if self._running is None else self._running[0].name
        for name, stage in self.stages.items():
            if name in self._spent:
                continue
            spent, units = self._measured.get(stage.kind, (0.0, 0.0))
            whole = spent / units * stage.expected if units else stage.seconds * speed
            if name == running:
                assert self._running is not None
                _, progress, began = self._running
                part, elapsed = min(progress.done / stage.total, 1.0), time.monotonic() - began
                # Its own speed counts as much as has been seen of it.
                known = max(elapsed, 1e-9) if part else 0.0
                whole = (known * elapsed / part + TRUST / 2 * whole) / (known + TRUST / 2) if part else whole
                seconds += whole * (1 - part) if part else max(whole - elapsed, 0.0)
            else:
                seconds += whole
        return seconds

    def note(self) -> str:
        """What is shown beside every bar."""
        return f"about {duration(self.left())} left in all"

    def _slowness(self) -> float:
        """How many times as long as expected all has taken so far."""
        took, expected = TRUST, TRUST
        for name, seconds in self._spent.items():
            if seconds:
                took, expected = took + seconds, expected + self.stages[name].seconds
        if self._running is not None:
            stage, progress, began = self._running
            part = min(progress.done / stage.total, 1.0)
            if part:
                took, expected = took + time.monotonic() - began, expected + part * stage.seconds
        return took / max(expected, 1e-9)
