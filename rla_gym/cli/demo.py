"""`rla-gym demo`: an agent learns in the dream and is judged in the real simulator."""

from __future__ import annotations

from dataclasses import dataclass

from rla_gym.learning.config import DemoConfig


@dataclass(frozen=True)
class Demo(DemoConfig):
    """Train an agent inside a checkpoint's dream, judge it in the real simulator and write the folder `out`."""

    def run(self) -> None:
        """Run the demonstration."""
        from rla_gym.learning import main
        from rla_gym.tasks.offscreen import load_mujoco
        from rla_gym.utils.threads import use_threads

        load_mujoco()  # the simulators run in processes of their own: what is missing is told here, and in one line
        use_threads(self.threads)
        main(self)
