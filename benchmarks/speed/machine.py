"""The machine: cores that are ours, what it can do at best, and what memory a run takes."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.clock import Entrant

MEGABYTE = 1024.0  # kilobytes, in which Linux tells memory
PROCESS = Path("/proc/self")


@contextmanager
def cores(threads: int) -> Iterator[list[int] | None]:
    """Compute with `threads` threads of torch on as many cores; puts both back.

    Threads and processes that are started meanwhile (those of software rendering, simulators) share these cores.

    Returns:
        The cores; None where the system lets nobody choose.

    Raises:
        ValueError: fewer cores than threads, or none asked for.
    """
    before = torch.get_num_threads()
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    most = len(allowed) if allowed is not None else os.cpu_count() or 1
    if not 1 <= threads <= most:
        raise ValueError(f"threads={threads}: expected 1 to {most}, the cores that this process may use")
    chosen = None if allowed is None else allowed[:threads]
    torch.set_num_threads(threads)
    if chosen is not None:
        os.sched_setaffinity(0, chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(before)
        if allowed is not None:
            os.sched_setaffinity(0, allowed)


def described(threads: int, chosen: Sequence[int] | None) -> dict[str, Any]:
    """The processor, and how busy it was before anything was timed."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    return {
        "processor": processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "used_cores": None if chosen is None else list(chosen),
        "threads": threads,
        "load_average": None if load is None else list(load),
        "malloc": {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")},
    }


def processor() -> str:
    """Its model as Linux names it, elsewhere its architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def matmul(size: int, precision: str) -> Entrant:
    """A product of two square matrices; its amount is in floating-point operations, a multiply-add counting as two."""
    generator = torch.Generator().manual_seed(size)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = (torch.randn(size, size, generator=generator).to(dtype) for _ in range(2))
    out = torch.empty_like(first)

    def run() -> Tensor:
        return torch.mm(first, second, out=out)

    return Entrant(f"matmul {size}", run, 2.0 * size**3)


def flops(run: Callable[[], object]) -> int:
    """Floating-point operations of matrix products, convolutions and attention in one run, by torch's counter."""
    # The counter does not know attention as the CPU runs it; this way of it is matrix products.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return int(counter.get_total_flops())


def peak_memory(run: Callable[[], object]) -> dict[str, float] | None:
    """Megabytes of this process `before` a run and at its `peak`; None where the system does not tell.

    Other processes (simulators) are not counted.
    """
    if not os.access(PROCESS / "clear_refs", os.W_OK):
        return None
    _give_back_free_memory()
    before = _memory("VmRSS")
    (PROCESS / "clear_refs").write_text("5")  # resets the highest mark to the present
    run()
    return {"before": before, "peak": _memory("VmHWM")}


def _memory(name: str) -> float:
    lines = (PROCESS / "status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name)) / MEGABYTE


def _give_back_free_memory() -> None:
    """What earlier runs left free in the allocator would hide what this one needs."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
