"""The library's errors in the words of the command line: `extend=True` is what `--extend` sets there."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Any

RENAMED = {"run_folder": "run"}
"""Fields of commands whose flags have another name."""
UNPREFIXED = ("model", "settings")
"""Fields whose own fields are flags without a prefix: the variants of `train`, the settings of a benchmark."""


def flags_of(command: Any) -> dict[str, str]:
    """The flags of a parsed command, by the names that its settings have in Python; nested ones with their prefix.

    A setting that several parts of a command have, as all stages of a training have `steps`, is left out: its name
    alone does not say whose it is.
    """
    found: dict[str, list[str]] = {}

    def collect(part: Any, prefix: str) -> None:
        for field in fields(part):
            value = getattr(part, field.name)
            name = RENAMED.get(field.name, field.name).replace("_", "-")
            if is_dataclass(value):
                # Parts of a command, `--flow.steps`, have a prefix.
                collect(value, prefix if field.name in UNPREFIXED else f"{prefix}{name}.")
            else:
                found.setdefault(field.name, []).append(f"--{prefix}{name}")

    if is_dataclass(command):
        collect(command, "")
    return {name: flags[0] for name, flags in found.items() if len(flags) == 1}


def in_flags(text: str, command: Any) -> str:
    """`text` with `name=value` of the command's settings as the flag that sets it: `--extend`, `--threads 0`."""
    flags = flags_of(command)
    if not flags:
        return text
    names = "|".join(re.escape(name) for name in sorted(flags, key=len, reverse=True))
    text = re.sub(rf"(?<![\w.\-])({names})=True\b", lambda match: flags[match[1]], text)
    text = re.sub(rf"(?<![\w.\-])({names})=False\b", lambda match: _negated(flags[match[1]]), text)
    return re.sub(rf"(?<![\w.\-])({names})=(?=\S)", lambda match: f"{flags[match[1]]} ", text)


def _negated(flag: str) -> str:
    prefix, dot, name = flag[2:].rpartition(".")
    return f"--{prefix}{dot}no-{name}"
