"""The allocator's setting, in a process of its own: freed memory is taken again without new page faults."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from rla_gym.utils.allocator import keep_freed_memory
told = keep_freed_memory() if sys.argv[1] == "keep" else True
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(64_000_000, np.uint8)
before = faults()
for _ in range(5):
    np.ones(64_000_000, np.uint8)
print(told, faults() - before)
"""


def faults(how: str) -> tuple[str, int]:
    out = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True).stdout.split()
    return out[0], int(out[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's setting")
def test_freed_memory_is_kept() -> None:
    told, kept = faults("keep")
    _, plain = faults("plain")
    if told != "True":
        pytest.skip("not glibc")
    assert kept < plain / 10, (kept, plain)
