"""The numbers of a parsed command are checked before anything else happens, all in one place.

What each may be is declared by its annotation: `steps: Count`, `weight_decay: NonNegative` (see
`rla_gym.utils.checks`); what declares nothing more than `float` must be finite.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from rla_gym.cli.flags import RENAMED, UNPREFIXED
from rla_gym.utils.checks import checked, expanded, hints


def check_command(command: Any, prefix: str = "") -> None:
    """Check the numbers of a parsed command, and expand `~` in its paths; errors name the option (`--flow.steps`).

    Args:
        command: an instance of a dataclass; nested ones are checked too.
        prefix: of the names of its options.

    Raises:
        ValueError: a number that is not finite or out of its range.
    """
    for name, kind in hints(type(command)).items():
        value = getattr(command, name)
        if is_dataclass(value):
            check_command(value, prefix if name in UNPREFIXED else f"{prefix}{name}.")
            continue
        option = f"--{prefix}{RENAMED.get(name, name)}".replace("_", "-")
        if isinstance(value, Path):
            object.__setattr__(command, name, expanded(value))
        elif isinstance(value, str) and value.startswith("~"):  # a path where a name could be as well
            object.__setattr__(command, name, str(expanded(value)))
        elif isinstance(value, tuple) and all(isinstance(entry, Path) for entry in value):
            object.__setattr__(command, name, tuple(map(expanded, value)))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            checked(option, value, kind)
