"""What every command that computes with torch does to its own process first."""

from __future__ import annotations

from rla_gym.utils.allocator import keep_freed_memory


def use_threads(count: int) -> None:
    """Let torch use `count` threads in this process, and keep what it frees; a ValueError below 1."""
    import torch

    if count < 1:
        raise ValueError(f"threads={count}: expected at least 1")
    torch.set_num_threads(count)
    keep_freed_memory()
