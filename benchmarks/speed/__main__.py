"""The command `python -m benchmarks.speed`."""

from __future__ import annotations

import tyro

from benchmarks.speed.run import Args, main

if __name__ == "__main__":
    main(tyro.cli(Args))
