"""Processes that fork: dreams go on in them, simulators say why they cannot."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

FORK = """
    import os, signal, sys
    import numpy as np, torch
    import rla_gym

    path, made = sys.argv[1:]
    still = np.zeros({shape}, np.float32)

    def begin(env):
        env.seed(0) if hasattr(env, "seed") else None
        env.reset() if hasattr(env, "seed") else env.reset(seed=0)

    torch.set_num_threads(2)
    shared = torch.ones(512, 512)
    (shared @ shared).relu().sum()  # shared out to the threads of torch, so that they exist when the process forks
    env = rla_gym.{kind}(path, **{options})
    begin(env)
    expected = env.step(still)[0].tobytes()
    child = os.fork()
    if child == 0:
        signal.alarm(100)  # a child that waits for ever is ended, and the test fails
        try:
            if made == "after":
                env = rla_gym.{kind}(path, **{options})
            begin(env)
            same = env.step(still)[0].tobytes() == expected
            (shared @ shared).relu().sum()
            print("same" if same else "different")
        except RuntimeError as error:
            print(error)
        env.close()
        sys.stdout.flush()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, env.step(still)[0].shape)
    env.close()
"""

REFUSED = "'spawn'"
FORKS = [
    ("RLAWorldEnv", {}, "before", "same"),
    ("RLAWorldEnv", {}, "after", "same"),
    ("RLAWorldVectorEnv", {"num_envs": 3}, "before", "same"),
    pytest.param("RLAWorldVecEnv", {"num_envs": 3}, "before", "same", marks=pytest.mark.slow),
    ("RLARealEnv", {}, "before", REFUSED),
    ("RLARealEnv", {}, "after", REFUSED),
    pytest.param("RLARealVecEnv", {"num_envs": 2, "workers": 0}, "before", REFUSED, marks=pytest.mark.slow),
    ("RLARealVectorEnv", {"num_envs": 2, "workers": 1}, "before", REFUSED),
]


@pytest.mark.parametrize(("kind", "options", "made", "told"), FORKS)
def test_forks(checkpoint: Path, kind: str, options: dict[str, Any], made: str, told: str) -> None:
    """A forked dream goes on as its parent; a simulator, which cannot, says what to do; all parents go on."""
    shape = (options["num_envs"], 8) if options else (8,)
    script = textwrap.dedent(FORK).format(kind=kind, options=options, shape=shape)
    done = subprocess.run(
        [sys.executable, "-c", script, str(checkpoint), made], capture_output=True, text=True, check=True, timeout=400
    )
    child, parent = done.stdout.splitlines()
    assert told in child
    assert parent.startswith("0 ")
