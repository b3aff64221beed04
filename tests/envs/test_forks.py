"""Processes that fork: dreams go on in them, simulators say why they cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FORK = """
import json, os, signal, sys
import numpy as np, torch
import rla_gym

path, cases = sys.argv[1], json.loads(sys.argv[2])

def begin(env):
    env.seed(0) if hasattr(env, "seed") else None
    env.reset() if hasattr(env, "seed") else env.reset(seed=0)

torch.set_num_threads(2)
shared = torch.ones(512, 512)
for kind, options, made in cases:
    (shared @ shared).relu().sum()  # shared out to the threads of torch, so that they exist when the process forks
    env = getattr(rla_gym, kind)(path, **options)
    still = np.zeros((options["num_envs"], 8) if options else (8,), np.float32)
    begin(env)
    expected = env.step(still)[0].tobytes()
    child = os.fork()
    if child == 0:
        signal.alarm(100)  # a child that waits for ever is ended, and the test fails
        try:
            if made == "after":
                env = getattr(rla_gym, kind)(path, **options)
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
    print(code, env.step(still)[0].shape, flush=True)
    env.close()
"""

DREAMS = [
    ("RLAWorldEnv", {}, "before"),
    ("RLAWorldEnv", {}, "after"),
    ("RLAWorldVectorEnv", {"num_envs": 3}, "before"),
    ("RLAWorldVecEnv", {"num_envs": 3}, "before"),
]
SIMULATORS = [
    ("RLARealEnv", {}, "before"),
    ("RLARealEnv", {}, "after"),
    ("RLARealVecEnv", {"num_envs": 2, "workers": 0}, "before"),
    ("RLARealVectorEnv", {"num_envs": 2, "workers": 1}, "before"),
]


@pytest.mark.parametrize(("cases", "told"), [(DREAMS, "same"), (SIMULATORS, "'spawn'")], ids=["dreams", "simulators"])
def test_forks(checkpoint: Path, cases: list[tuple[str, dict[str, Any], str]], told: str) -> None:
    """A forked dream goes on as its parent; a simulator, which cannot, says what to do; all parents go on."""
    command = [sys.executable, "-c", FORK, str(checkpoint), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=400)
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * len(cases), done.stdout
    for case, child, parent in zip(cases, lines[::2], lines[1::2], strict=True):
        assert told in child, case
        assert parent.startswith("0 "), case
