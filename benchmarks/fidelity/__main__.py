"""Measure world models side by side, on the same held-out starts, under recorded and counterfactual actions.

    python -m benchmarks.fidelity --tokens runs/tokens --data data/push-cube --decoder push-cube \\
        --models rla-wm=runs/baselines/rla-wm-0 rla-wm=runs/baselines/rla-wm-1 runs/baselines/dino-wm-0 ...

Models are checkpoints or folders of `benchmarks.baselines.train`; folders of one model with other seeds count as one
model. Writes benchmarks/results/fidelity/TASK.json (tables), TASK.raw.json.gz (every handle) and strips of frames;
`python -m benchmarks.report` shows them.
"""

from __future__ import annotations

import tyro

from benchmarks.fidelity.options import Args
from benchmarks.fidelity.run import main

if __name__ == "__main__":
    main(tyro.cli(Args))
