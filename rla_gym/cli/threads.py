"""Threads of torch, an option of every command that computes with it."""

from __future__ import annotations


def use_threads(count: int) -> None:
    """Let torch use `count` threads in this process; a ValueError below 1."""
    import torch

    if count < 1:
        raise ValueError(f"threads={count}: expected at least 1")
    torch.set_num_threads(count)
