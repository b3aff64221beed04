"""Optional dependencies: imported where they are used, with a hint on what to install."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, extra: str) -> Any:
    """Import and return `module`, which the optional part `extra` of this package brings.

    Returns `Any`, as most optional libraries carry no types.

    Raises:
        ImportError: the module, or something that it imports, is not installed; the text says what to
            install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module!r} could not be imported ({error}); it comes with the {extra!r} extra: "
            f'pip install "rla_gym[{extra}]"'
        ) from error
