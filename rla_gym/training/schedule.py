"""Learning rate as a pure function of the step: a resumed run needs no scheduler state."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, base: float, warmup: int = 200, final_fraction: float = 0.02) -> float:
    """Linear warm-up, then a cosine from `base` down to `final_fraction * base` at the last step.

    Args:
        step: optimiser steps already taken (0 for the first).
        steps: optimiser steps of the whole run.
        base: the highest rate.
        warmup: steps of the linear rise; the first step already has `base / warmup`.
        final_fraction: the rate of the last step as a fraction of `base`.
    """
    if step < warmup:
        return base * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
    return base * (final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * done)))
