"""Every number that the demonstration depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DemoConfig:
    """What `rla-gym demo` does; chunks are environment steps.

    Raises:
        ValueError: a value out of its range.
    """

    ckpt: str = "push-cube"
    """Checkpoint: folder, built-in name or hub id."""
    out: str = "demo"
    """Folder for result.json, learning_curve.png, dream_vs_reality.mp4 and agent.zip. A killed run resumes there."""
    seeds: tuple[int, ...] = (0,)
    """One whole run each: own demonstrations, own agent, own evaluation episodes."""
    threads: int = 1
    """Threads of torch; more than there are free cores make it much slower."""

    demonstrations: int = 100
    """Successful expert episodes to clone, recorded fresh in the simulator; where the task has no scripted expert,
    training references of the checkpoint."""
    demonstration_noise: float = 0.2
    """Noise level of the scripted expert."""
    clone_epochs: int = 400
    """At most this many passes over the demonstrations."""
    clone_learning_rate: float = 1e-3
    clone_weight_decay: float = 1e-4
    clone_noise: float = 0.02
    """Standard deviation of noise on the standardised observations while cloning."""
    clone_held_out: float = 0.2
    """Share of the demonstrations that decides when to stop."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers of policy and value function."""

    num_envs: int = 64
    """Dreams side by side."""
    timesteps: int = 50_000
    """Chunks to dream, over all environments, in whole iterations: the budget, however long it takes."""
    dream_checks: int = 6
    """Evaluations in dreams along the way, beside those before and after."""
    warmup_iterations: int = 2
    """First iterations in which the value function alone is trained: it starts from noise, the policy does not."""
    kl_weight: float = 0.02
    """Weight of KL(policy || cloned policy) on the dreamed observations, in the loss."""
    bc_weight: float = 0.0
    """Weight of the cloning loss on the demonstrations, in the loss."""
    horizon: int | None = 6
    """Chunks of a dream; None: the checkpoint's."""
    p_initial_frame: float = 0.3
    """Share of dreams that start at a reference's first frame; the others start anywhere in it."""
    reward: str | None = None
    """"progress", "goal" or "corresponding"; None here and below: the checkpoint's."""
    metric: str | None = None
    patches: str | None = None
    reward_scale: float | None = None
    success_threshold: float | None = None
    """Goal distance under which a dream counts as solved; None: the checkpoint's."""
    success_bonus: float = 0.5
    """Added to the reward of a step whose dream counts as solved; 0 where there is no threshold to tell."""
    disagreement_penalty: float = 1.0
    """Taken off the reward for each unit of disagreement of two flow samples of the step: what the model is unsure of
    does not pay."""
    terminate_on_success: bool = True
    """Whether dreams end when they count as solved; `horizon` ends them anyhow."""
    steps: int | None = None
    """Evaluations of the flow for a prediction: see `rla_gym.dream.dream.Dream`."""
    temperature: float | None = None
    """Factor of the flow's noise."""
    precision: str = "auto"
    """Of the world model while dreaming: "bf16", "float32", or "auto", the faster one here (CPUs without bf16 are many
    times slower in it)."""

    learning_rate: float = 1e-3
    log_std_init: float = -1.2
    """Logarithm of the standard deviation of each action while exploring."""
    learn_std: bool = False
    """Whether PPO may change it."""
    n_steps: int = 16
    """Chunks of each environment in an iteration."""
    batch_size: int = 256
    n_epochs: int = 5
    gamma: float = 0.95
    gae_lambda: float = 0.9
    clip_range: float = 0.2
    target_kl: float | None = 0.1

    episodes: int = 200
    """Real evaluation episodes, before and after, on the same starts."""
    dream_references: str = "all"
    """Part of the checkpoint's reference episodes that dreams are evaluated on, before and after: one dream from the
    first frame of each."""
    held_out_references: str = "validation"
    """Part of them that training does not see; the video shows it."""
    real_envs: int = 20
    """Real simulators evaluated side by side."""
    workers: int = 2
    """Processes that they run in; 0: this one."""
    simulator_timesteps: int = 0
    """Above 0: the same PPO also learns in the true simulator for so many chunks, for comparison."""
    videos: int = 3
    """Episodes in dream_vs_reality.mp4; 0: no video."""

    def __post_init__(self) -> None:
        counts = ("demonstrations", "num_envs", "timesteps", "episodes", "real_envs")
        for name in (*counts, "n_steps", "batch_size", "n_epochs", "threads", "clone_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected at least 1")
        for name in (
            "kl_weight",
            "bc_weight",
            "disagreement_penalty",
            "demonstration_noise",
            "warmup_iterations",
            "videos",
            "workers",
            "dream_checks",
            "simulator_timesteps",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected at least 0")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds={self.seeds}: expected different numbers of at least 0")
        if not 0.0 < self.clone_held_out < 1.0 or self.demonstrations < 2:
            raise ValueError(
                f"demonstrations={self.demonstrations}, clone_held_out={self.clone_held_out}: expected at least 2 "
                "demonstrations and a share between 0 and 1 of them held out"
            )

    def sampler(self) -> dict[str, Any]:
        """Keyword arguments of all environments that dream."""
        return {"steps": self.steps, "temperature": self.temperature, "precision": self.precision}

    def dream_options(self) -> dict[str, Any]:
        """Keyword arguments of the environment that dreams are trained in."""
        return {
            "reward": self.reward,
            "metric": self.metric,
            "patches": self.patches,
            "reward_scale": self.reward_scale,
            "success_threshold": self.success_threshold,
            "terminate_on_success": self.terminate_on_success,
            "p_initial_frame": self.p_initial_frame,
            "time_limit": self.horizon,
        }
