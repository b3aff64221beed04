"""Devices of torch by name, checked where they are taken: one that is not there is one sentence, not a traceback."""

from __future__ import annotations

import torch


def find_device(name: str | torch.device) -> torch.device:
    """The device called `name`, with its index where there are several of its kind.

    Raises:
        ValueError: no such device in this machine, or none that this build of torch can use; the text lists those that
            it can.
    """
    try:
        device = torch.device(name)
        if device.type == "meta":  # its tensors have no content
            raise ValueError("tensors there have no content")
        return torch.empty(0, device=device).device
    # torch raises an AssertionError where it was built without a kind of device, and others for what it cannot use.
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError, ImportError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ValueError(
            f"device={str(name)!r} cannot be used here ({reason}): choose one of {', '.join(device_names())}"
        ) from error


def device_names() -> list[str]:
    """Devices that can be computed on here."""
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*names, "mps"] if torch.backends.mps.is_available() else names
