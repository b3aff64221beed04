"""The demonstration: an agent learns in the dream of a checkpoint and is judged in the real simulator."""

from __future__ import annotations

from typing import Any

from rla_gym.learning.config import DemoConfig

__all__ = ["DemoConfig", "main"]


def main(config: DemoConfig) -> dict[str, Any]:
    """Run the demonstration, print its table, write the folder `config.out` and return what `result.json` holds."""
    from rla_gym.learning.run import run

    return run(config)
