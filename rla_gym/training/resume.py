"""Whether a run on disk may be gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rla_gym.training.records import differences

# Entries that may change when a run is resumed: they decide what is written when, not what is learnt.
FREE_ON_RESUME = ("log_every", "eval_every", "save_every", "keep", "max_seconds")


def check_same(saved: dict[str, Any], present: dict[str, Any], extend: bool, folder: Path) -> None:
    """Compares the description of the run saved in `folder` with the present one.

    Args:
        saved, present: `loop` (settings), `trainable` (what it tells of itself) and `processes`.
        extend: the number of steps may differ.
        folder: for the error's text.

    Raises:
        ValueError: they differ in more than `FREE_ON_RESUME`; the text names each entry.
    """

    trained = present["trainable"]
    if "data" in trained and "coordinates" not in saved["trainable"].get("data", {}):  # the run is older than that
        data = {name: value for name, value in trained["data"].items() if name != "coordinates"}
        present = {**present, "trainable": {**trained, "data": data}}

    def relevant(description: dict[str, Any]) -> dict[str, Any]:
        dropped = FREE_ON_RESUME + (("steps",) if extend else ())
        loop = {name: value for name, value in description["loop"].items() if name not in dropped}
        return {**description, "loop": loop}

    found = differences(relevant(saved), relevant(present))
    if found:
        hint = " (extend=True changes the number of steps)" if any("loop.steps" in one for one in found) else ""
        raise ValueError(
            f"the run at {folder} was started with another configuration, saved -> given: {'; '.join(found)}. "
            f"Give the same one or another folder, or delete this one to train anew{hint}"
        )
