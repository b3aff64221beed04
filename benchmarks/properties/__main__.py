"""Three properties of residual latent actions, in numbers: they predict, they generalise, they follow time.

    python -m benchmarks.properties --tokens runs/tokens --ckpt push-cube --minutes 15 \\
        --ood-tokens runs/tokens-unseen

(a) How well a later frame comes back through a latent action of 16 to 2048 numbers, by the time between the frames,
against as many principal components of residuals and as many entries or patches of them; (b) the same on things that
were never seen; (c) whether the way from noise to a latent action leads through the frames between. Writes
benchmarks/results/properties/TASK.json and TASK.raw.json.gz, and pictures.
"""

from __future__ import annotations

import tyro

from benchmarks.properties.options import Args
from benchmarks.properties.run import main

if __name__ == "__main__":
    main(tyro.cli(Args))
